"""The sessions of a run, and which of their records a later session replaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.tags import Stream
from tb_nanwatch.reader.block_summary import BlockSummary, PartSummary
from tb_nanwatch.reader.listing import Entry
from tb_nanwatch.reader.steps import missing, survivors
from tb_nanwatch.stats.columns import WINDOW_FIELD
from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

StreamKey = tuple[str, Stream]
"""TensorBoard's run, and the stream: the identity of a stream among all those of a shown run."""


def stream_key(entry: Entry) -> StreamKey:
    return entry.run, entry.parsed.stream


@dataclass(frozen=True)
class Span:
    """From when to when a stream was written: wall times of events, in seconds.

    The same in both of TensorBoard's modes and however much it samples away: a manifest is written
    once, with the first record, and the newest event of a tag is always there.
    """

    began: float
    ended: float

    def precedes(self, other: Span) -> bool:
        """Whether all of it was written before the first of `other`."""
        return self.ended <= other.began


def spans(entries: Iterable[Entry]) -> dict[StreamKey, Span]:
    """When each stream was written."""
    began: dict[StreamKey, float] = {}
    ended: dict[StreamKey, float] = {}
    # Manifests first: where there is one, only it has the time at which its stream began.
    for entry in sorted(entries, key=lambda entry: entry.parsed.kind != "manifest"):
        key, (_, wall_time) = stream_key(entry), entry.state
        if entry.parsed.kind == "manifest" or key not in began:
            began[key] = min(began.get(key, wall_time), wall_time)
        ended[key] = max(ended.get(key, wall_time), wall_time)
    return {key: Span(began[key], ended[key]) for key in began}


@dataclass(frozen=True)
class Session:
    """The records of one stream, in the order of writing.

    Attributes:
      key: of the stream.
      span: when it was written.
      parts: the records by block and manifest.
      part: int64 [records], index in `parts`.
      position: int64 [records], row in that part.
      windows: float64 [records, len(WINDOW_FIELDS)].
      kept: bool [records], which of them no later one of the session replaces.
      alive: bool [records], which of them make up the run.
      unreadable: how many more records there are that cannot be read.
    """

    key: StreamKey
    span: Span
    parts: Sequence[tuple[Entry, PartSummary]]
    part: Steps
    position: Steps
    windows: Matrix
    kept: Flags
    alive: Flags
    unreadable: int

    def steps(self, name: str) -> Steps:
        """An integer field of the windows, int64 [records]."""
        return self.windows[:, WINDOW_FIELD[name]].astype(np.int64)

    @property
    def replaced(self) -> Flags:
        """bool [records], which of them a later session replaces."""
        return self.kept & ~self.alive

    def begins_at(self) -> int | None:
        """The first step of the records that make up the run; None where there is none."""
        return int(self.steps("first_step")[self.alive].min()) if self.alive.any() else None

    def missing(self) -> int:
        """How many records were written, but did not arrive readable."""
        names = ("sequence", "first_step", "last_step")
        absent = missing(*(self.steps(name)[self.kept] for name in names))
        return max(absent, self.unreadable)


def sessions_by_writer(
    blocks: Iterable[Entry],
    summaries: Mapping[Entry, BlockSummary | None],
    span: Mapping[StreamKey, Span],
) -> list[list[Session]]:
    """The sessions of each writer, oldest first.

    A writer is what a restart goes on with: the directory and, for `nanwatch.summary`, the role and
    the name. A session that begins to write when an older one has ended goes on with it: when one
    of its records begins at step s, those of the older one whose last step is s or later are
    replaced. Sessions written at the same time stand side by side.

    Args:
      blocks: all of a run.
      summaries: of each; None of one that cannot be read.
      span: when each stream was written.
    """

    def writer(entry: Entry) -> tuple[str, str, str]:
        return entry.run, entry.parsed.stream.role, entry.parsed.stream.name

    return [
        _sessions(of_writer, summaries, span)
        for _, of_writer in groupby(sorted(blocks, key=writer), key=writer)
    ]


def _sessions(
    blocks: Iterable[Entry],
    summaries: Mapping[Entry, BlockSummary | None],
    span: Mapping[StreamKey, Span],
) -> list[Session]:
    by_key: dict[StreamKey, list[Entry]] = {}
    for entry in blocks:
        by_key.setdefault(stream_key(entry), []).append(entry)
    sessions: list[Session] = []
    # The newest first: whether a record replaces others depends on later ones only.
    for key in sorted(by_key, reverse=True):
        later = [other.begins_at() for other in sessions if span[key].precedes(other.span)]
        cut = min((step for step in later if step is not None), default=None)
        read = [(entry, summaries.get(entry) or BlockSummary()) for entry in by_key[key]]
        parts = [(entry, part) for entry, summary in read for part in summary.parts]
        unreadable = sum(summary.unreadable.total() for _, summary in read)
        sessions.append(_session(key, span[key], parts, cut, unreadable))
    return sessions[::-1]


def _session(
    key: StreamKey,
    span: Span,
    parts: Sequence[tuple[Entry, PartSummary]],
    cut: int | None,
    unreadable: int,
) -> Session:
    sizes = [len(part.windows) for _, part in parts]
    empty = np.zeros((0, len(WINDOW_FIELD)))
    windows = np.concatenate([empty, *(part.windows for _, part in parts)])
    wall_times = np.concatenate([empty[:, 0], *(part.wall_times for _, part in parts)])
    order = np.lexsort((wall_times, windows[:, WINDOW_FIELD["sequence"]]))
    windows = windows[order]
    first = windows[:, WINDOW_FIELD["first_step"]].astype(np.int64)
    last = windows[:, WINDOW_FIELD["last_step"]].astype(np.int64)
    positions = [np.zeros(0, np.int64), *(np.arange(size) for size in sizes)]
    return Session(
        key,
        span,
        parts,
        np.repeat(np.arange(len(parts)), sizes)[order],
        np.concatenate(positions)[order],
        windows,
        kept=survivors(first, last),
        alive=survivors(first, last, cut),
        unreadable=unreadable,
    )


def non_overlapping(sessions: Iterable[Session]) -> list[list[Session]]:
    """Sessions of one writer, oldest first, in as few groups as none of them overlap within."""
    groups: list[list[Session]] = []
    for session in sessions:
        for group in groups:
            if group[-1].span.precedes(session.span):
                group.append(session)
                break
        else:
            groups.append([session])
    return groups
