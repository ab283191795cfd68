"""The steps that a request wants to see: what is read of them, and their columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from werkzeug import wrappers

from tb_nanwatch.grid import LogScale, Scale, WallScale, aligned_edges, column_edges
from tb_nanwatch.http import params
from tb_nanwatch.http.respond import BadRequestError
from tb_nanwatch.reader import Access, Reader, Records, RunIndex
from tb_nanwatch.reader.records import RecordHistograms

_MAGNITUDE = 16
"""A logarithmic axis is read in sections, each 16 times as long as the one before."""


@dataclass(frozen=True)
class _Section:
    first: int
    last: int
    is_merged: bool


class Viewport:
    """Steps of a run in sight, of all that it recorded by default. Empty without a record.

    Args:
      columns: the most that are wanted.
      axis: what they are equally wide in.
      steps: a closed range; None at either end for that of the run.
    """

    def __init__(
        self,
        reader: Reader,
        access: Access,
        index: RunIndex,
        columns: int,
        *,
        axis: str = "step",
        steps: tuple[int | None, int | None] = (None, None),
    ):
        self.access, self.index = access, index
        self._reader, self._columns = reader, columns
        self._scale = _scale(axis, index)
        first = index.first_step if steps[0] is None else steps[0]
        last = index.last_step if steps[1] is None else steps[1]
        self._sections: list[_Section] = []
        if first is None or last is None:
            return
        begins = [first]
        if isinstance(self._scale, LogScale):
            begins += [begin for begin in _magnitudes() if first < begin <= last]
        for begin, end in zip(begins, [*begins[1:], last + 1], strict=True):
            merged = reader.is_large(index, begin, end - 1)
            self._sections.append(_Section(begin, end - 1, merged))

    @classmethod
    def asked(cls, request: wrappers.Request, reader: Reader, index: RunIndex) -> Viewport:
        """What `first`, `last`, `columns` and `axis` of a request ask for."""
        return cls(
            reader,
            params.access(request),
            index,
            params.columns(request),
            axis=params.axis(request),
            steps=params.steps(request, (index.first_step, index.last_step)),
        )

    def records(self) -> Iterator[Records]:
        """Those that are valid for a step in sight; merged in a section with very many of them."""
        for number, section in enumerate(self._sections):
            steps = section.first, section.last
            for chunk in self._reader.records(
                self.access, self.index, *steps, merged=section.is_merged
            ):
                # The section before has what begins in it.
                fresh = chunk.first >= section.first
                if number == 0 or fresh.all():
                    yield chunk
                elif fresh.any():
                    yield chunk.take(fresh)

    def histograms(self, tensor: int) -> Iterator[RecordHistograms]:
        """One tensor's, of the same records, each by itself."""
        if self._sections:
            steps = self._sections[0].first, self._sections[-1].last
            yield from self._reader.histograms(self.access, self.index, tensor, *steps)

    def edges(self, records: list[Records]) -> npt.NDArray[np.int64]:
        """Where the columns begin, int64 [columns + 1]; they divide no merge of records."""
        if not self._sections:
            return np.zeros(1, np.int64)
        first, last = self._sections[0].first, self._sections[-1].last
        edges = column_edges(first, last, self._columns, self._scale)
        if any(section.is_merged for section in self._sections):
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
