"""What one run contains: its tensors, where each is non-finite, and which records make it up."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.facts import UNKNOWN_MODEL, ModelFacts
from tb_nanwatch.format.history import Series
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.reader.block_summary import PartSummary
from tb_nanwatch.reader.blocks import Unreadable
from tb_nanwatch.reader.contents import Contents
from tb_nanwatch.reader.listing import Entry
from tb_nanwatch.reader.nonfinite_summary import NonfiniteSummary, combine, summarize_initial
from tb_nanwatch.reader.problems import Replaced, problems
from tb_nanwatch.reader.sessions import Session, sessions_by_track
from tb_nanwatch.reader.steps import extend_to_next_record
from tb_nanwatch.reader.tensors import Tensor, Tensors
from tb_nanwatch.reader.times import Times, times
from tb_nanwatch.reader.trainings import span
from tb_nanwatch.stats.record import Matrix, Record

Steps = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class IndexedRecords:
    """Records of one block and manifest that make up a run.

    Attributes:
      entry: the block's tag.
      manifest: hash of the manifest.
      wall_times: float64 [records], to find them in the block by.
      event_steps: int64 [records], to find their histograms by.
      first: int64 [records], first step of each, ascending.
      last: int64 [records], last step.
      valid_until: int64 [records], last step for which the record is valid.
      tensors: int64 [rows], index in `RunIndex.tensors` of each row.
    """

    entry: Entry
    manifest: int
    wall_times: Matrix
    event_steps: Steps
    first: Steps
    last: Steps
    valid_until: Steps
    tensors: Steps

    def overlaps(self, first: int, last: int) -> npt.NDArray[np.bool_]:
        """bool [records], which are valid for a step of the closed range."""
        return (self.valid_until >= first) & (self.first <= last)

    def take(self, which: npt.NDArray[np.bool_] | Steps) -> IndexedRecords:
        """Some of the records."""
        return replace(
            self,
            wall_times=self.wall_times[which],
            event_steps=self.event_steps[which],
            first=self.first[which],
            last=self.last[which],
            valid_until=self.valid_until[which],
        )


@dataclass(frozen=True, eq=False)
class RunIndex:
    """One run, in one state of its data: once the data changes the reader makes another index.

    Attributes:
      run: its name.
      began: when the first of it was written, seconds since the epoch; None where not known.
      is_shared: whether its directory has other runs, too.
      tensors: in model order.
      nonfinite: where each of `tensors` is non-finite, the state before the first step included.
      records: the records that make up the run.
      entries: all of the run's tags.
      initials: the state before the first step of each session that no later one replaces.
      model: what the framework knew of the model, as of the latest session; of several workers the
        first.
      first_step: of all records; None where there is none.
      last_step: likewise.
      written: records that were written, as far as is known.
      read: those of them that could be read.
      times: when its steps were; None where that is not known.
      scale_skipped_steps: steps that a loss-scaling optimizer skipped.
      problems: what is not shown of the run, and why, in sentences.
    """

    run: str
    began: float | None
    is_shared: bool
    tensors: tuple[Tensor, ...]
    nonfinite: NonfiniteSummary
    records: tuple[IndexedRecords, ...]
    entries: Sequence[Entry]
    initials: tuple[Series, ...]
    model: ModelFacts
    first_step: int | None
    last_step: int | None
    written: int
    read: int
    times: Times | None
    scale_skipped_steps: int
    problems: tuple[str, ...]


def unreadable(run: str, problem: str) -> RunIndex:
    """The index of a run of which nothing can be read."""
    return RunIndex(
        run=run,
        began=None,
        is_shared=False,
        tensors=(),
        nonfinite=combine(0, ()),
        records=(),
        entries=(),
        initials=(),
        model=UNKNOWN_MODEL,
        first_step=None,
        last_step=None,
        written=0,
        read=0,
        times=None,
        scale_skipped_steps=0,
        problems=(problem,),
    )


SummarizePart = Callable[[IndexedRecords], NonfiniteSummary]
"""Where some records, less than their whole part, are non-finite; has to read the block."""


def _indexed_records(sessions: Sequence[Session]) -> Iterator[tuple[PartSummary, IndexedRecords]]:
    """The surviving records of one track by part, without the tensors of their rows."""
    if not sessions:
        return
    first, last = (
        np.concatenate([session.steps(name)[session.alive] for session in sessions])
        for name in ("first_step", "last_step")
    )
    valid_until, begin = extend_to_next_record(first, last), 0
    for session in sessions:
        alive = np.flatnonzero(session.alive)
        mine = slice(begin, begin + len(alive))
        begin += len(alive)
        # Sorted by part, then as before, so that the rows of each part are one range.
        by_part = np.argsort(session.part[alive], kind="stable")
        ends = np.searchsorted(session.part[alive][by_part], np.arange(len(session.parts) + 1))
        for index, (entry, part) in enumerate(session.parts):
            rows = by_part[ends[index] : ends[index + 1]]
            if len(rows):
                # A watcher sees every step: its records are valid for their own steps only.
                position = session.position[alive[rows]]
                is_watcher = entry.parsed.stream.is_watcher
                yield (
                    part,
                    IndexedRecords(
                        entry,
                        part.manifest,
                        part.wall_times[position],
                        part.event_steps[position],
                        first[mine][rows],
                        last[mine][rows],
                        (last if is_watcher else valid_until)[mine][rows],
                        np.zeros(0, np.int64),
                    ),
                )


def _initials(contents: Contents, tracks: Iterable[Sequence[Session]]) -> Iterator[Record]:
    """The initial records that no later session replaces."""
    # Of each watcher's directory the sessions, oldest first, and the earliest step from each on.
    later: dict[str, tuple[list[str], list[int]]] = {}
    for sessions in tracks:
        begun = [session for session in sessions if len(session.windows)]
        if begun and begun[0].key[1].is_watcher:
            first = [int(session.steps("first_step").min()) for session in begun]
            earliest = [*accumulate(reversed(first), min)][::-1]
            later[begun[0].key[0]] = [session.key[1].session for session in begun], earliest
    for entry, record in contents.initials.items():
        if isinstance(record, Unreadable):
            continue
        names, earliest = later.get(entry.run, ([], []))
        following = bisect_right(names, entry.parsed.stream.session)
        if following == len(names) or earliest[following] > record.field("last_step"):
            yield record


def _replaced(tracks: Iterable[Sequence[Session]]) -> Replaced | None:
    """What later sessions replace of earlier ones; None for nothing."""
    found = [s for sessions in tracks for s in sessions if s.replaced.any()]
    if not found:
        return None
    return Replaced(
        sum(int(session.replaced.sum()) for session in found),
        min(int(session.steps("first_step")[session.replaced].min()) for session in found),
        max(int(session.steps("last_step")[session.replaced].max()) for session in found),
    )


def _scale_skipped(sessions: Iterable[Session]) -> int:
    return sum(
        int(session.steps("scale_skipped_steps")[session.alive].sum()) for session in sessions
    )


def _model(manifests: Iterable[Manifest]) -> ModelFacts:
    """What is known of the model by manifests, oldest first: the latest of the first worker."""
    by_worker = {
        manifest.worker: manifest.model
        for manifest in manifests
        if manifest.model != UNKNOWN_MODEL  # As those of `nanwatch.summary`.
    }
    return by_worker[min(by_worker)] if by_worker else UNKNOWN_MODEL


def build(
    run: str, contents: Contents, summarize_part: SummarizePart, first_runs: Sequence[str]
) -> RunIndex:
    """The index of a run, from what was read of it.

    Args:
      run: its name.
      contents: of its training.
      summarize_part: reads what the summaries do not tell.
      first_runs: the names of the first two trainings of the directory, or of the only one.
    """
    blocks = [entry for entry in contents.entries if entry.parsed.kind == "stats"]
    tracks = sessions_by_track(blocks, contents.summaries)
    sessions = [session for track in tracks for session in track]
    unreadable: Counter[Unreadable] = Counter()
    for summary in contents.summaries.values():
        unreadable.update(summary.unreadable if summary else {})
    read = sum(int(session.kept.sum()) for session in sessions)
    written = read + sum(session.missing() for session in sessions)
    lost = sum(int(session.steps("lost_records").max(initial=0)) for session in sessions)

    found = [each for track in tracks for each in _indexed_records(track)]
    initials = list(_initials(contents, tracks))
    used = {records.manifest for _, records in found}
    used |= {int(record.field("manifest")) for record in initials}
    manifests = contents.manifests_of(used)
    is_shared = len(first_runs) > 1
    tensors = Tensors()
    rows = {hash: tensors.add(manifest) for hash, manifest in manifests.items()}

    indexed = []
    summaries = []
    for part, bare in found:
        records = replace(bare, tensors=rows[bare.manifest])
        whole = len(records.wall_times) == len(part.wall_times)
        indexed.append(records)
        summaries.append((records.tensors, part.nonfinite if whole else summarize_part(records)))
    summaries += [
        (rows[int(r.field("manifest"))], summarize_initial(int(r.field("last_step")), r.columns))
        for r in initials
    ]
    return RunIndex(
        run=run,
        began=span(contents.entries).began or None,
        is_shared=is_shared,
        tensors=tensors.all(),
        nonfinite=combine(len(tensors.all()), summaries),
        records=tuple(indexed),
        entries=contents.entries,
        initials=tuple(
            Series(rows[int(r.field("manifest"))], r.window[np.newaxis], r.columns[np.newaxis])
            for r in initials
        ),
        model=_model(manifests.values()),
        first_step=min((int(each.first[0]) for each in indexed), default=None),
        last_step=max((int(each.last[-1]) for each in indexed), default=None),
        written=written,
        read=read,
        times=times(indexed),
        # Workers and streams see the same steps: the largest count, not the sum.
        scale_skipped_steps=max((_scale_skipped(track) for track in tracks), default=0),
        problems=problems(
            written=written,
            read=read,
            lost=lost,
            unreadable=unreadable,
            unread_tags=sum(summary is None for summary in contents.summaries.values()),
            replaced=_replaced(tracks),
            others=first_runs[1] if is_shared and run == first_runs[0] else "",
        ),
    )
