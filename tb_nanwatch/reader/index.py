"""What one run holds: its tensors, where each is non-finite, and which records make it up."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt

from tb_nanwatch.reader.blocks import Block, Unreadable
from tb_nanwatch.reader.digest import Digest, combine, digest, initial_digest
from tb_nanwatch.reader.listing import Entry
from tb_nanwatch.reader.problems import problems
from tb_nanwatch.reader.steps import hold, missing, survivors
from tb_nanwatch.schema.columns import WINDOW_FIELD
from tb_nanwatch.schema.tensor_info import TensorInfo
from tb_nanwatch.stats.record import Matrix, Record
from tb_nanwatch.wire.manifest import Manifest

Steps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tensor:
    """One watched tensor of a run, as its newest manifest describes it.

    Attributes:
      id: 12 hex digits, the same over reloads and resumed runs.
      info: role, layer, name, shape and dtype.
      worker: which of several workers watched it; "" where there is one alone.
      description: the user's own text; "" for none.
    """

    id: str
    info: TensorInfo
    worker: str
    description: str


@dataclass(frozen=True)
class PartHead:
    """What is kept for ever of a `blocks.Part`: all but its columns, and their digest."""

    manifest: int
    windows: Matrix
    wall_times: Matrix
    digest: Digest

    def steps(self, name: str) -> Steps:
        """A field of the windows that holds integers, int64 [records]."""
        return self.windows[:, WINDOW_FIELD[name]].astype(np.int64)


@dataclass(frozen=True)
class Head:
    """What is kept for ever of a `blocks.Block`; a few kB where the block has MB."""

    parts: tuple[PartHead, ...] = ()
    unreadable: Counter[Unreadable] = field(default_factory=Counter)

    @property
    def has_orphans(self) -> bool:
        """Whether records could not be read for want of their manifest."""
        return any(why.no_manifest for why in self.unreadable)


def head_of(block: Block) -> Head:
    """The head of a block."""
    parts = (
        PartHead(
            part.manifest,
            part.windows,
            part.wall_times,
            digest(part.steps("first_step"), part.columns),
        )
        for part in block.parts
    )
    return Head(tuple(parts), block.unreadable)


@dataclass(frozen=True)
class Contents:
    """Everything that was read of a run but its records' columns, in the order of `entries`.

    Attributes:
      heads: of each block of level 0; None where TensorBoard could not read it.
      manifests: hash to manifest, in the order of first appearance.
      initials: the records of the state that a session's first step found.
    """

    heads: Mapping[Entry, Head | None]
    manifests: Mapping[int, Manifest | Unreadable]
    initials: Mapping[Entry, Record | Unreadable]


@dataclass(frozen=True)
class Stretch:
    """Those records of one block and manifest that make up the run.

    Attributes:
      entry: the block's tag.
      manifest: hash of the manifest.
      wall_times: float64 [records], to find them in the block by.
      first: int64 [records], first step of each, ascending.
      last: int64 [records], last step.
      until: int64 [records], last step that the record stands for (`steps.hold`).
      tensors: int64 [rows], index in `RunIndex.tensors` of each row.
    """

    entry: Entry
    manifest: int
    wall_times: Matrix
    first: Steps
    last: Steps
    until: Steps
    tensors: Steps


@dataclass(frozen=True)
class RunIndex:
    """One run.

    Attributes:
      run: its name.
      tensors: in model order.
      nonfinite: where each of `tensors` was non-finite, the state before the first step included.
      initial: bool [tensors], whether `nonfinite.first` is that state.
      stretches: the records.
      first_step: of all records; None where there is none.
      last_step: likewise.
      written: records that were written, as far as can be told.
      read: those of them that could be read.
      scale_skipped_steps: steps that a loss-scaling optimizer refused.
      problems: what could not be read, in sentences.
    """

    run: str
    tensors: tuple[Tensor, ...]
    nonfinite: Digest
    initial: npt.NDArray[np.bool_]
    stretches: tuple[Stretch, ...]
    first_step: int | None
    last_step: int | None
    written: int
    read: int
    scale_skipped_steps: int
    problems: tuple[str, ...]


PartialDigest = Callable[[Stretch], Digest]
"""Gives the digest of a stretch that is less than its whole part; has to read the block."""


@dataclass
class _Tally:
    """Counts over the streams of a run."""

    written: int = 0
    read: int = 0
    lost: int = 0
    scale_skipped: int = 0


@dataclass(frozen=True)
class _Group:
    """All sessions of one writer: a restart of one replaces records of another.

    Attributes:
      sources: the parts, and the entry of each.
      part: int64 [records], index in `sources`, of all records in the order of writing.
      position: int64 [records], row in that part.
      session: int64 [records], ascending.
      windows: float64 [records, len(WINDOW_FIELDS)].
      alive: bool [records].
    """

    sources: Sequence[tuple[Entry, PartHead]]
    part: Steps
    position: Steps
    session: Steps
    windows: Matrix
    alive: npt.NDArray[np.bool_]

    def steps(self, name: str) -> Steps:
        return self.windows[:, WINDOW_FIELD[name]].astype(np.int64)


def _group(sources: Sequence[tuple[Entry, PartHead]]) -> _Group:
    sizes = [len(head.windows) for _, head in sources]
    sessions = sorted({entry.parsed.stream.session for entry, _ in sources})
    session = np.repeat([sessions.index(e.parsed.stream.session) for e, _ in sources], sizes)
    windows = np.concatenate([head.windows for _, head in sources])
    wall_times = np.concatenate([head.wall_times for _, head in sources])
    order = np.lexsort((wall_times, windows[:, WINDOW_FIELD["sequence"]], session))
    ordered = _Group(
        sources,
        np.repeat(np.arange(len(sources)), sizes)[order],
        np.concatenate([np.arange(size) for size in sizes])[order],
        session[order],
        windows[order],
        np.ones(len(order), bool),
    )
    alive = survivors(ordered.steps("first_step"), ordered.steps("last_step"))
    return replace(ordered, alive=alive)


def _tally(group: _Group, unreadable: Counter[int], tally: _Tally) -> None:
    """Adds the group's records to `tally`; `unreadable` counts those by session."""
    first, last, sequence = (group.steps(name) for name in ("first_step", "last_step", "sequence"))
    lost = group.steps("lost_records")
    for session in np.unique(group.session):
        of_session = np.flatnonzero(group.session == session)
        kept = of_session[survivors(first[of_session], last[of_session])]
        absent = missing(sequence[kept], first[kept], last[kept])
        tally.read += len(kept)
        tally.written += len(kept) + max(absent, unreadable[int(session)])
        tally.lost += int(lost[of_session].max())
    skipped = int(group.steps("scale_skipped_steps")[group.alive].sum())
    # Workers and streams see the same steps: the largest count, not the sum.
    tally.scale_skipped = max(tally.scale_skipped, skipped)


def _stretches(group: _Group) -> Iterator[tuple[PartHead, Stretch]]:
    """The group's surviving records by part, without the tensors of their rows."""
    alive = np.flatnonzero(group.alive)
    first, last = group.steps("first_step")[alive], group.steps("last_step")[alive]
    until = hold(first, last)
    of_part = group.part[alive]
    for index, (entry, head) in enumerate(group.sources):
        mine = np.flatnonzero(of_part == index)
        if len(mine):
            wall_times = head.wall_times[group.position[alive[mine]]]
            yield (
                head,
                Stretch(
                    entry,
                    head.manifest,
                    wall_times,
                    first[mine],
                    last[mine],
                    until[mine],
                    np.zeros(0, np.int64),
                ),
            )


def tensor_id(role: str, name: str, worker: str, occurrence: int = 0) -> str:
    """The first 12 hex digits of a SHA-256; `occurrence` tells apart equal rows of one manifest."""
    parts = [role, name, worker, *([str(occurrence)] if occurrence else [])]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


class _Tensors:
    """Collects the tensors of the manifests in use, in the order of first appearance."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._tensors: list[Tensor] = []

    def add(self, manifest: Manifest) -> Steps:
        """The index of each row's tensor, int64 [rows], no index twice."""
        rows = []
        seen: Counter[tuple[str, str]] = Counter()
        for info in manifest.tensors:
            occurrence = seen[info.role, info.name]
            seen[info.role, info.name] += 1
            identity = tensor_id(info.role, info.name, manifest.worker, occurrence)
            tensor = Tensor(identity, info, manifest.worker, manifest.description)
            index = self._index.setdefault(identity, len(self._tensors))
            if index == len(self._tensors):
                self._tensors.append(tensor)
            else:
                self._tensors[index] = tensor
            rows.append(index)
        return np.array(rows, np.int64)

    def all(self) -> tuple[Tensor, ...]:
        return tuple(self._tensors)


def _initials(contents: Contents, groups: Iterable[_Group]) -> Iterator[Record]:
    """The initial records that no later session replaces."""
    groups = tuple(groups)
    for entry, record in contents.initials.items():
        if isinstance(record, Unreadable):
            continue
        later = [
            head.steps("first_step").min()
            for group in groups
            for other, head in group.sources
            if other.run == entry.run
            and other.parsed.stream.is_watcher
            and other.parsed.stream.session > entry.parsed.stream.session
        ]
        if not later or min(later) > record.field("last_step"):
            yield record


def build(run: str, contents: Contents, partial: PartialDigest) -> RunIndex:
    """The index of a run, from what was read of it."""
    tally, unreadable, groups = _Tally(), Counter[Unreadable](), []
    unread = sum(head is None for head in contents.heads.values())

    def writer(entry: Entry) -> tuple[str, str, str]:
        return entry.run, entry.parsed.stream.role, entry.parsed.stream.name

    for _, entries in groupby(sorted(contents.heads, key=writer), key=writer):
        heads = [(entry, contents.heads[entry] or Head()) for entry in entries]
        sources = [(entry, part) for entry, head in heads for part in head.parts]
        by_session: Counter[str] = Counter()
        for entry, head in heads:
            unreadable.update(head.unreadable)
            by_session[entry.parsed.stream.session] += head.unreadable.total()
        sessions = sorted({entry.parsed.stream.session for entry, _ in sources})
        tally.written += sum(n for session, n in by_session.items() if session not in sessions)
        if sources:
            groups.append(_group(sources))
            known = Counter({sessions.index(s): by_session[s] for s in sessions})
            _tally(groups[-1], known, tally)

    found = [stretch for group in groups for stretch in _stretches(group)]
    initials = list(_initials(contents, groups))
    used = {stretch.manifest for _, stretch in found}
    used |= {int(record.field("manifest")) for record in initials}
    tensors = _Tensors()
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
        first_step=min((int(s.first[0]) for s in stretches), default=None),
        last_step=max((int(s.last[-1]) for s in stretches), default=None),
        written=tally.written,
        read=tally.read,
        scale_skipped_steps=tally.scale_skipped,
        problems=problems(
            written=tally.written,
            read=tally.read,
            lost=tally.lost,
            unreadable=unreadable,
            unread_tags=unread,
        ),
    )
