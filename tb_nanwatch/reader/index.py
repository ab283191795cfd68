"""What one run holds: its tensors, where each is non-finite, and which records make it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.history import Series
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.reader.blocks import Unreadable
from tb_nanwatch.reader.cover import level_of
from tb_nanwatch.reader.digest import Digest, combine, initial_digest
from tb_nanwatch.reader.heads import Head, PartHead
from tb_nanwatch.reader.listing import Entry
from tb_nanwatch.reader.problems import Replaced, problems
from tb_nanwatch.reader.sessions import Session, sessions_by_writer, spans, stream_key, tracks
from tb_nanwatch.reader.steps import hold
from tb_nanwatch.reader.tensors import Tensor, Tensors
from tb_nanwatch.reader.times import Times, times
from tb_nanwatch.stats.record import Matrix, Record

Steps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Contents:
    """Everything that was read of a run but its records' columns, in the order of `entries`.

    Attributes:
      entries: all of the run's tags.
      level: the highest whose records make up the index.
      heads: of each block that was read; None where TensorBoard could not.
      manifests: hash to manifest, in the order of first appearance.
      initials: the records of the state that a session's first step found.
    """

    entries: Sequence[Entry]
    level: int
    heads: Mapping[Entry, Head | None]
    manifests: Mapping[int, Manifest | Unreadable]
    initials: Mapping[Entry, Record | Unreadable]


@dataclass(frozen=True)
class Stretch:
    """Records of one block and manifest.

    Attributes:
      entry: the block's tag.
      begins: int64 [records], number of the first record of level 0 that each holds.
      manifest: hash of the manifest.
      wall_times: float64 [records], to find them in the block by.
      first: int64 [records], first step of each, ascending.
      last: int64 [records], last step.
      until: int64 [records], last step that the record stands for (`steps.hold`).
      tensors: int64 [rows], index in `RunIndex.tensors` of each row.
    """

    entry: Entry
    manifest: int
    begins: Steps
    wall_times: Matrix
    first: Steps
    last: Steps
    until: Steps
    tensors: Steps

    @property
    def level(self) -> int:
        return level_of(self.entry)

    def overlap(self, first: int, last: int) -> npt.NDArray[np.bool_]:
        """bool [records], which stand for a step of the closed range."""
        return (self.until >= first) & (self.first <= last)

    def take(self, which: npt.NDArray[np.bool_] | Steps) -> Stretch:
        """Some of the records."""
        return replace(
            self,
            begins=self.begins[which],
            wall_times=self.wall_times[which],
            first=self.first[which],
            last=self.last[which],
            until=self.until[which],
        )


@dataclass(frozen=True)
class RunIndex:
    """One run.

    Attributes:
      run: its name.
      tensors: in model order.
      nonfinite: where each of `tensors` was non-finite, the state before the first step included.
      initial: bool [tensors], whether `nonfinite.first` is that state.
      stretches: the records that make up the run, where they are many of higher levels: no two
        of one writer and time hold the same.
      entries: all of the run's tags.
      initials: the state before the first step of each session that no later one replaces.
      first_step: of all records; None where there is none.
      last_step: likewise.
      written: records that were written, as far as can be told.
      read: those of them that could be read.
      times: when its steps were; None where that is not known.
      scale_skipped_steps: steps that a loss-scaling optimizer refused.
      problems: what is not shown of the run, and why, in sentences.
    """

    run: str
    tensors: tuple[Tensor, ...]
    nonfinite: Digest
    initial: npt.NDArray[np.bool_]
    stretches: tuple[Stretch, ...]
    entries: Sequence[Entry]
    initials: tuple[Series, ...]
    first_step: int | None
    last_step: int | None
    written: int
    read: int
    times: Times | None
    scale_skipped_steps: int
    problems: tuple[str, ...]

    @property
    def level(self) -> int:
        """The highest level of its records."""
        return max((stretch.level for stretch in self.stretches), default=0)


PartialDigest = Callable[[Stretch], Digest]
"""Gives the digest of a stretch that is less than its whole part; has to read the block."""


def _stretches(sessions: Sequence[Session]) -> Iterator[tuple[PartHead, Stretch]]:
    """The surviving records of one writer by part, without the tensors of their rows."""
    for track in tracks(sessions):
        first, last = (
            np.concatenate([session.steps(name)[session.alive] for session in track])
            for name in ("first_step", "last_step")
        )
        until, begin = hold(first, last), 0
        for session in track:
            alive = np.flatnonzero(session.alive)
            mine = slice(begin, begin + len(alive))
            begin += len(alive)
            for index, piece in enumerate(session.pieces):
                rows = np.flatnonzero(session.piece[alive] == index)
                if len(rows):
                    # A watcher sees every step: its records stand for what they say.
                    is_watcher = piece.entry.parsed.stream.is_watcher
                    yield (
                        piece.part,
                        Stretch(
                            piece.entry,
                            piece.part.manifest,
                            session.begins[alive[rows]],
                            piece.part.wall_times[session.position[alive[rows]]],
                            first[mine][rows],
                            last[mine][rows],
                            (last if is_watcher else until)[mine][rows],
                            np.zeros(0, np.int64),
                        ),
                    )


def _initials(contents: Contents, writers: Iterable[Sequence[Session]]) -> Iterator[Record]:
    """The initial records that no later session replaces."""
    sessions = {
        stream_key(session.pieces[0].entry): session
        for writer in writers
        for session in writer
        if session.pieces
    }
    span = spans(contents.entries)
    for entry, record in contents.initials.items():
        if isinstance(record, Unreadable):
            continue
        mine = span[stream_key(entry)]
        later = [
            session.steps("first_step").min()
            for (run, stream), session in sessions.items()
            if run == entry.run and stream.is_watcher and mine.precedes(session.span)
        ]
        if not later or min(later) > record.field("last_step"):
            yield record


def _replaced(writers: Iterable[Sequence[Session]]) -> Replaced | None:
    """What later sessions replace of earlier ones; None for nothing."""
    found = [s for sessions in writers for s in sessions if s.replaced.any()]
    if not found:
        return None
    return Replaced(
        sum(session.records(session.replaced) for session in found),
        min(int(session.steps("first_step")[session.replaced].min()) for session in found),
        max(int(session.steps("last_step")[session.replaced].max()) for session in found),
    )


def _scale_skipped(sessions: Iterable[Session]) -> int:
    return sum(
        int(session.steps("scale_skipped_steps")[session.alive].sum()) for session in sessions
    )


def build(run: str, contents: Contents, partial: PartialDigest) -> RunIndex:
    """The index of a run, from what was read of it."""
    blocks = [entry for entry in contents.entries if entry.parsed.kind == "stats"]
    writers = sessions_by_writer(
        blocks, contents.heads, spans(contents.entries), contents.level, wanted=set()
    )
    sessions = [session for writer in writers for session in writer]
    unreadable: Counter[Unreadable] = Counter()
    lowest = [head for entry, head in contents.heads.items() if level_of(entry) == 0]
    for head in lowest:
        unreadable.update(head.unreadable if head else {})
    read = sum(session.records(session.kept) for session in sessions)
    written = read + sum(session.missing() for session in sessions)
    lost = sum(int(session.steps("lost_records").max(initial=0)) for session in sessions)

    found = [stretch for writer in writers for stretch in _stretches(writer)]
    initials = list(_initials(contents, writers))
    used = {stretch.manifest for _, stretch in found}
    used |= {int(record.field("manifest")) for record in initials}
    tensors = Tensors()
    rows = {
        hash: tensors.add(manifest)
        for hash, manifest in contents.manifests.items()
        if hash in used and isinstance(manifest, Manifest)
    }

    stretches = []
    digests = []
    for part, bare in found:
        stretch = replace(bare, tensors=rows[bare.manifest])
        whole = len(stretch.wall_times) == len(part.wall_times)
        stretches.append(stretch)
        digests.append((stretch.tensors, part.digest if whole else partial(stretch)))
    count = len(tensors.all())
    later = combine(count, digests)
    before = combine(
        count,
        (
            (rows[int(r.field("manifest"))], initial_digest(int(r.field("last_step")), r.columns))
            for r in initials
        ),
    )
    initial = ~np.isnan(before.first) & ~(later.first < before.first)
    everything = combine(count, [(np.arange(count), before), (np.arange(count), later)])
    return RunIndex(
        run=run,
        tensors=tensors.all(),
        nonfinite=everything,
        initial=initial,
        stretches=tuple(stretches),
        entries=contents.entries,
        initials=tuple(
            Series(rows[int(r.field("manifest"))], r.window[np.newaxis], r.columns[np.newaxis])
            for r in initials
        ),
        first_step=min((int(s.first[0]) for s in stretches), default=None),
        last_step=max((int(s.last[-1]) for s in stretches), default=None),
        written=written,
        read=read,
        times=times(stretches),
        # Workers and streams see the same steps: the largest count, not the sum.
        scale_skipped_steps=max(
            (_scale_skipped(track) for writer in writers for track in tracks(writer)), default=0
        ),
        problems=problems(
            written=written,
            read=read,
            lost=lost,
            unreadable=unreadable,
            unread_tags=lowest.count(None),
            replaced=_replaced(writers),
        ),
    )
