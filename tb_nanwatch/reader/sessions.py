"""The sessions of a run: which later one replaces what of which earlier one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.tags import Stream
from tb_nanwatch.reader.cover import Piece, by_level, cover, is_complete, records_of
from tb_nanwatch.reader.heads import Head
from tb_nanwatch.reader.listing import Entry
from tb_nanwatch.reader.steps import missing, survivors
from tb_nanwatch.stats.columns import WINDOW_FIELD
from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

StreamKey = tuple[str, Stream]
"""TensorBoard's run, and the stream: what tells apart all the streams of a shown run."""


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
    # Manifests first: where there is one, it alone says when its stream began.
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
      span: when it was written.
      pieces: the records by block and manifest, as few as hold all that was written.
      piece: int64 [records], index in `pieces`.
      position: int64 [records], row in that piece's part.
      begins: int64 [records], number of the first record of level 0 that it holds.
      count: int64 [records], how many of those it holds.
      windows: float64 [records, len(WINDOW_FIELDS)].
      kept: bool [records], which of them no later one of the session replaces.
      alive: bool [records], which of them make up the run.
      unreadable: how many more records there are that cannot be read.
    """

    span: Span
    pieces: Sequence[Piece]
    piece: Steps
    position: Steps
    begins: Steps
    count: Steps
    windows: Matrix
    kept: Flags
    alive: Flags
    unreadable: int

    def steps(self, name: str) -> Steps:
        """A field of the windows that holds integers, int64 [records]."""
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
        first, last = (self.steps(name)[self.kept] for name in ("first_step", "last_step"))
        absent = missing(self.begins[self.kept], first, last, self.count[self.kept])
        return max(absent, self.unreadable)

    def records(self, which: Flags) -> int:
        """How many records of level 0 those are."""
        return int(self.count[which].sum())


def sessions_by_writer(
    entries: Iterable[Entry],
    heads: Mapping[Entry, Head | None],
    span: Mapping[StreamKey, Span],
    level: int,
    wanted: set[Entry],
) -> list[list[Session]]:
    """The sessions of each writer, oldest first.

    A writer is what a restart goes on with: the directory and, for `nanwatch.summary`, the role and
    the name. A session that begins to write when an older one has ended goes on with it: when one
    of its records begins at step s, those of the older one whose last step is s or later are
    replaced. Sessions written at the same time stand side by side.

    Args:
      entries: the blocks of all levels.
      heads: of those that were read; None of one that cannot be read.
      span: when each stream was written.
      level: the highest to take records of.
      wanted: as in `cover.cover`.
    """

    def writer(entry: Entry) -> tuple[str, str, str]:
        return entry.run, entry.parsed.stream.role, entry.parsed.stream.name

    return [
        _sessions(of_writer, heads, span, level, wanted)
        for _, of_writer in groupby(sorted(entries, key=writer), key=writer)
    ]


def _sessions(
    entries: Iterable[Entry],
    heads: Mapping[Entry, Head | None],
    span: Mapping[StreamKey, Span],
    level: int,
    wanted: set[Entry],
) -> list[Session]:
    by_key: dict[StreamKey, list[Entry]] = {}
    for entry in entries:
        by_key.setdefault(stream_key(entry), []).append(entry)
    sessions: list[Session] = []
    # The newest first: whether a record replaces others depends on later ones alone.
    for key in sorted(by_key, reverse=True):
        mine = span[key]
        later = [other.begins_at() for other in sessions if mine.precedes(other.span)]
        cut = min((step for step in later if step is not None), default=None)
        blocks = by_level(by_key[key])
        highest = min(level, max(blocks))
        if highest and not is_complete(blocks, heads, wanted):
            highest = 0
        cuts = [] if cut is None else [cut]
        pieces = cover(blocks, heads, highest, wanted, cuts=cuts)
        read = (heads.get(entry) for entry in blocks.get(0, {}).values())
        unreadable = sum(head.unreadable.total() for head in read if head is not None)
        sessions.append(_session(pieces, mine, cut, unreadable))
    return sessions[::-1]


def _session(pieces: Sequence[Piece], span: Span, cut: int | None, unreadable: int) -> Session:
    sizes = [len(piece.positions) for piece in pieces]
    empty = np.zeros((0, len(WINDOW_FIELD)))
    windows = np.concatenate([empty, *(p.part.windows[p.positions] for p in pieces)])
    wall_times = np.concatenate([empty[:, 0], *(p.part.wall_times[p.positions] for p in pieces)])
    count = np.repeat(np.array([records_of(p.level) for p in pieces], np.int64), sizes)
    begins = windows[:, WINDOW_FIELD["sequence"]].astype(np.int64) * count
    order = np.lexsort((wall_times, begins))
    windows = windows[order]
    first = windows[:, WINDOW_FIELD["first_step"]].astype(np.int64)
    last = windows[:, WINDOW_FIELD["last_step"]].astype(np.int64)
    return Session(
        span,
        pieces,
        np.repeat(np.arange(len(pieces)), sizes)[order],
        np.concatenate([np.zeros(0, np.int64), *(piece.positions for piece in pieces)])[order],
        begins[order],
        count[order],
        windows,
        kept=survivors(first, last),
        alive=survivors(first, last, cut),
        unreadable=unreadable,
    )


def tracks(sessions: Iterable[Session]) -> list[list[Session]]:
    """Sessions of one writer, oldest first, in as few rows as none of them overlap within."""
    rows: list[list[Session]] = []
    for session in sessions:
        for row in rows:
            if row[-1].span.precedes(session.span):
                row.append(session)
                break
        else:
            rows.append([session])
    return rows
