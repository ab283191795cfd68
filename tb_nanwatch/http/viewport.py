"""The steps that a request wants to see: what is read of them, and their columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from werkzeug import wrappers

from tb_nanwatch.grid import LogScale, Scale, WallScale, aligned_edges, column_edges
from tb_nanwatch.http import params
from tb_nanwatch.http.respond import BadRequestError
from tb_nanwatch.reader import Reader, Records, RunIndex
from tb_nanwatch.reader.records import RecordHistogram

_MAGNITUDE = 16
"""A logarithmic axis is read in pieces; each reaches this many times as far as the one before."""


@dataclass(frozen=True)
class _Piece:
    first: int
    last: int
    level: int


class Viewport:
    """What `first`, `last`, `columns` and `axis` of a request ask for. Empty without a record."""

    def __init__(self, request: wrappers.Request, reader: Reader, index: RunIndex):
        self._columns = params.columns(request)
        self._scale = _scale(params.axis(request), index)
        self._reader, self._access, self._index = reader, params.access(request), index
        first, last = params.steps(request, (index.first_step, index.last_step))
        self._pieces: list[_Piece] = []
        if first is None or last is None:
            return
        begins = [first]
        if isinstance(self._scale, LogScale):
            begins += [begin for begin in _magnitudes() if first < begin <= last]
        for begin, end in zip(begins, [*begins[1:], last + 1], strict=True):
            self._pieces.append(_Piece(begin, end - 1, reader.level(index, begin, end - 1)))

    def records(self) -> Iterator[Records]:
        """Those that stand for a step in sight, at the level that each piece of it needs."""
        for number, piece in enumerate(self._pieces):
            steps = piece.first, piece.last, piece.level
            for slab in self._reader.records(self._access, self._index, *steps):
                # The piece before has what begins in it.
                fresh = slab.first >= piece.first
                if number == 0 or fresh.all():
                    yield slab
                elif fresh.any():
                    yield _take(slab, fresh)

    def histograms(self, tensor: int) -> Iterator[RecordHistogram]:
        """One tensor's, of the same records."""
        for number, piece in enumerate(self._pieces):
            steps = piece.first, piece.last, piece.level
            found = self._reader.histograms(self._access, self._index, tensor, *steps)
            yield from (each for each in found if number == 0 or each.first >= piece.first)

    def edges(self, records: list[Records]) -> npt.NDArray[np.int64]:
        """Where the columns begin, int64 [columns + 1]; they divide no merged record."""
        if not self._pieces:
            return np.zeros(1, np.int64)
        first, last = self._pieces[0].first, self._pieces[-1].last
        edges = column_edges(first, last, self._columns, self._scale)
        if any(piece.level for piece in self._pieces):
            edges = aligned_edges(edges, records)
        return edges


def _scale(axis: str, index: RunIndex) -> Scale | None:
    if axis == "log":
        return LogScale()
    if axis == "step":
        return None
    if index.times is None:
        raise BadRequestError(
            f"Cannot show run {index.run!r} by wall time: fewer than two of its records tell when "
            "they were written. Use axis=step."
        )
    return WallScale(index.times.steps, index.times.seconds - index.times.seconds[0])


def _magnitudes() -> Iterator[int]:
    step = _MAGNITUDE
    while step <= params.LARGEST_STEP:
        yield step
        step *= _MAGNITUDE


def _take(slab: Records, which: npt.NDArray[np.bool_]) -> Records:
    return replace(
        slab,
        first=slab.first[which],
        last=slab.last[which],
        until=slab.until[which],
        windows=slab.windows[which],
        columns=slab.columns[which],
    )
