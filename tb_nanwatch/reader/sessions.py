"""The sessions of a training, and which of their records a later session replaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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
"""TensorBoard's run, and the stream: the identity of a stream among all those of a directory."""

Track = tuple[str, str, str]
"""TensorBoard's run and, for `nanwatch.summary`, the role and the name: what a restart goes on
with, session after session."""


def stream_key(entry: Entry) -> StreamKey:
    return entry.run, entry.parsed.stream


def track_of(key: StreamKey) -> Track:
    run, stream = key
    return run, stream.role, stream.name


@dataclass(frozen=True)
class Session:
    """The records of one stream, in the order of writing.

    Attributes:
      key: of the stream.
      parts: the records by block and manifest.
      part: int64 [records], index in `parts`.
      position: int64 [records], row in that part.
      windows: float64 [records, len(WINDOW_FIELDS)].
      kept: bool [records], which of them no later one of the session replaces.
      alive: bool [records], which of them make up the run.
      unreadable: how many more records there are that cannot be read.
    """

    key: StreamKey
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


def sessions_by_track(
    blocks: Iterable[Entry], summaries: Mapping[Entry, BlockSummary | None]
) -> list[list[Session]]:
    """The sessions of each track of one training, oldest first.

    A session goes on with those before it: when one of its records begins at step s, those of older
    ones whose last step is s or later are replaced.

    Args:
      blocks: all of a training.
      summaries: of each; None of one that cannot be read.
    """
    tracks: dict[Track, dict[StreamKey, list[Entry]]] = {}
    for entry in blocks:
        key = stream_key(entry)
        tracks.setdefault(track_of(key), {}).setdefault(key, []).append(entry)
    return [_sessions(tracks[track], summaries) for track in sorted(tracks)]


def _sessions(
    by_key: Mapping[StreamKey, Sequence[Entry]], summaries: Mapping[Entry, BlockSummary | None]
) -> list[Session]:
    sessions: list[Session] = []
    cut: int | None = None
    # The newest first: whether a record replaces others depends on later ones only.
    for key in sorted(by_key, reverse=True):
        read = [(entry, summaries.get(entry) or BlockSummary()) for entry in by_key[key]]
        parts = [(entry, part) for entry, summary in read for part in summary.parts]
        unreadable = sum(summary.unreadable.total() for _, summary in read)
        sessions.append(_session(key, parts, cut, unreadable))
        begin = sessions[-1].begins_at()
        if begin is not None:
            cut = begin if cut is None else min(cut, begin)
    return sessions[::-1]


def _session(
    key: StreamKey, parts: Sequence[tuple[Entry, PartSummary]], cut: int | None, unreadable: int
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
        parts,
        np.repeat(np.arange(len(parts)), sizes)[order],
        np.concatenate(positions)[order],
        windows,
        kept=survivors(first, last),
        alive=survivors(first, last, cut),
        unreadable=unreadable,
    )
