"""The records of each tensor in the order of steps, over restarts and streams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.history import History, Series
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]


class RecordMatrix:
    """Tensors that are in the same series, so that their records are those of one matrix.

    Attributes:
      tensors: int64 [tensors], index in `History.tensors`.
      windows: float64 [records, len(WINDOW_FIELDS)], by ascending steps.
      first: int64 [records], first step of each record.
      last: int64 [records], its last step.
    """

    def __init__(self, tensors: Steps, series: Sequence[Series]):
        self.tensors = tensors
        self._series = series
        self._rows = [_positions(each.rows, tensors) for each in series]
        windows = np.concatenate([each.windows for each in series])
        self._order = np.argsort(windows[:, WINDOW_FIELD["first_step"]], kind="stable")
        self.windows = windows[self._order]
        self.first = self.windows[:, WINDOW_FIELD["first_step"]].astype(np.int64)
        self.last = self.windows[:, WINDOW_FIELD["last_step"]].astype(np.int64)
        self._columns: dict[str, Matrix] = {}

    def column(self, name: str) -> Matrix:
        """A column of the records, float64 [records, tensors]."""
        if name not in self._columns:
            parts = [
                each.columns[:, :, COLUMN[name]][:, rows]
                for each, rows in zip(self._series, self._rows, strict=True)
            ]
            # In memory tensor after tensor, as `TensorHistory` reads it.
            self._columns[name] = np.ascontiguousarray(np.concatenate(parts)[self._order].T).T
        return self._columns[name]

    @cached_property
    def magnitude(self) -> Matrix:
        """Largest absolute value of the sampled steps, float64 [records, tensors]."""
        return np.fmax(np.abs(self.column("min")), np.abs(self.column("max")))


@dataclass(frozen=True)
class TensorHistory:
    """One tensor's records: column `position` of its matrix, those alone in which it was seen."""

    matrix: RecordMatrix
    position: int

    @cached_property
    def seen(self) -> Steps | slice:
        """Rows of the matrix in which the tensor was seen: int64 [records], or a slice of all."""
        seen = self.matrix.column("steps")[:, self.position] > 0
        return slice(None) if seen.all() else np.flatnonzero(seen)

    @cached_property
    def first(self) -> Steps:
        return self.matrix.first[self.seen]

    @cached_property
    def last(self) -> Steps:
        return self.matrix.last[self.seen]

    def column(self, name: str) -> Matrix:
        """A column of the records in which the tensor was seen, float64 [records]."""
        column: Matrix = self.matrix.column(name)[:, self.position][self.seen]
        return column

    def magnitude(self) -> Matrix:
        """The largest absolute value in each record, as far as it is known.

        Of the sampled steps exactly; of the others at least their largest root mean square. NaN
        where nothing is known.
        """
        rms = self.rms()
        least = np.where(rms > 0, rms, np.nan)
        magnitude: Matrix = np.fmax(self.matrix.magnitude[:, self.position][self.seen], least)
        return magnitude

    def rms(self) -> Matrix:
        """The largest root mean square of each record's steps, zero where nothing is finite."""
        elements = self.column("elements") / np.fmax(self.column("steps"), 1)
        rms: Matrix = np.nan_to_num(self.column("largest_norm")) / np.sqrt(np.fmax(elements, 1))
        return rms

    def record_at(self, step: int) -> int | None:
        """Index among the records of the one that covers `step`; None where none does."""
        first = self.first
        index = int(np.searchsorted(first, step, side="right")) - 1
        return index if index >= 0 and self.last[index] >= step else None

    def saw(self, step: int) -> bool:
        """Whether the tensor is known to have been seen at this very step.

        A record with fewer steps than its window saw the last one: what is observed only in
        trouble is observed at the step that ends the window.
        """
        index = self.record_at(step)
        if index is None:
            return False
        width = int(self.last[index] - self.first[index]) + 1
        return bool(self.column("steps")[index] >= width or self.last[index] == step)


def record_matrices(history: History) -> tuple[RecordMatrix, ...]:
    """The records of a history as matrices; tensors that no record has seen are in none."""
    members: dict[int, list[int]] = defaultdict(list)
    seen: set[int] = set()
    for number, series in enumerate(history.series):
        for tensor in series.rows.tolist():
            members[tensor].append(number)
        seen.update(series.rows[(series.columns[:, :, COLUMN["steps"]] > 0).any(axis=0)].tolist())
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for tensor in sorted(seen):
        groups[tuple(members[tensor])].append(tensor)
    return tuple(
        RecordMatrix(np.array(tensors, np.int64), [history.series[number] for number in numbers])
        for numbers, tensors in groups.items()
    )


def tensor_histories(record_matrices: Sequence[RecordMatrix]) -> dict[int, TensorHistory]:
    """The history of each tensor that was seen, by its index in `History.tensors`."""
    return {
        tensor: TensorHistory(matrix, position)
        for matrix in record_matrices
        for position, tensor in enumerate(matrix.tensors.tolist())
    }


def _positions(rows: Steps, tensors: Steps) -> Steps:
    order = np.argsort(rows)
    found: Steps = order[np.searchsorted(rows, tensors, sorter=order)]
    return found
