"""The sessions of a run: which later one replaces what of which earlier one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from tb_nanwatch.reader.heads import Head, PartHead
from tb_nanwatch.reader.listing import Entry
from tb_nanwatch.reader.steps import missing, survivors
from tb_nanwatch.schema.columns import WINDOW_FIELD
from tb_nanwatch.schema.tags import Stream
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
      sources: the parts, and the entry of each.
      part: int64 [records], index in `sources`.
      position: int64 [records], row in that part.
      windows: float64 [records, len(WINDOW_FIELDS)].
      kept: bool [records], which of them no later one of the session replaces.
      alive: bool [records], which of them make up the run.
      unreadable: how many more records there are that cannot be read.
    """

    span: Span
    sources: Sequence[tuple[Entry, PartHead]]
    part: Steps
    position: Steps
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
        kept = self.kept
        sequence, first, last = (
            self.steps(name)[kept] for name in ("sequence", "first_step", "last_step")
        )
        return max(missing(sequence, first, last), self.unreadable)


def sessions_by_writer(
    heads: Mapping[Entry, Head | None], span: Mapping[StreamKey, Span]
) -> list[list[Session]]:
    """The sessions of each writer, oldest first.

    A writer is what a restart goes on with: the directory and, for `nanwatch.summary`, the role and
    the name. A session that begins to write when an older one has ended goes on with it: when one
    of its records begins at step s, those of the older one whose last step is s or later are
    replaced. Sessions written at the same time stand side by side.
    """

    def writer(entry: Entry) -> tuple[str, str, str]:
        return entry.run, entry.parsed.stream.role, entry.parsed.stream.name

    return [
        _sessions(list(entries), heads, span)
        for _, entries in groupby(sorted(heads, key=writer), key=writer)
    ]


def _sessions(
    entries: Sequence[Entry], heads: Mapping[Entry, Head | None], span: Mapping[StreamKey, Span]
) -> list[Session]:
    by_session: dict[str, list[Entry]] = {}
    for entry in entries:
        by_session.setdefault(entry.parsed.stream.session, []).append(entry)
    sessions: list[Session] = []
    # The newest first: whether a record replaces others depends on later ones alone.
    for name in sorted(by_session, reverse=True):
        of_session = by_session[name]
        mine = span[stream_key(of_session[0])]
        later = [other.begins_at() for other in sessions if mine.precedes(other.span)]
        cut = min((step for step in later if step is not None), default=None)
        sessions.append(_session([(e, heads[e] or Head()) for e in of_session], mine, cut))
    return sessions[::-1]


def _session(heads: Sequence[tuple[Entry, Head]], span: Span, cut: int | None) -> Session:
    sources = [(entry, part) for entry, head in heads for part in head.parts]
    sizes = [len(head.windows) for _, head in sources]
    empty = np.zeros((0, len(WINDOW_FIELD)))
    windows = np.concatenate([empty, *(head.windows for _, head in sources)])
    wall_times = np.concatenate([empty[:, 0], *(head.wall_times for _, head in sources)])
    order = np.lexsort((wall_times, windows[:, WINDOW_FIELD["sequence"]]))
    windows = windows[order]
    first = windows[:, WINDOW_FIELD["first_step"]].astype(np.int64)
    last = windows[:, WINDOW_FIELD["last_step"]].astype(np.int64)
    return Session(
        span,
        sources,
        np.repeat(np.arange(len(sources)), sizes)[order],
        np.concatenate([np.zeros(0, np.int64), *(np.arange(size) for size in sizes)])[order],
        windows,
        kept=survivors(first, last),
        alive=survivors(first, last, cut),
        unreadable=sum(head.unreadable.total() for _, head in heads),
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
