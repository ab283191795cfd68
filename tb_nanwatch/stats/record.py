"""A record: one window's statistics for all the tensors of a stream; and how records merge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.stats.columns import COLUMNS, WINDOW_FIELD, WINDOW_FIELDS, Column, Merge
from tb_nanwatch.stats.histogram import Histograms, merge_histograms, spread_histograms

Matrix = npt.NDArray[np.float64]


def _sum(values: Matrix, axis: int) -> Matrix:
    """The sum without NaN, several times as fast as `np.nansum` where there is none."""
    total: Matrix = values.sum(axis=axis)
    return np.nansum(values, axis=axis) if np.isnan(total).any() else total


_MERGE: dict[Merge, Callable[..., Matrix]] = {
    "sum": _sum,
    "min": np.fmin.reduce,
    "max": np.fmax.reduce,
}


@dataclass(frozen=True)
class Record:
    """One window's statistics.

    Attributes:
      window: float64 [len(WINDOW_FIELDS)].
      columns: float64 [tensors, len(COLUMNS)].
      histograms: of the sampled steps; None where no step was sampled or they were not read.
    """

    window: Matrix
    columns: Matrix
    histograms: Histograms | None = None

    def field(self, name: str) -> float:
        """One field of the window."""
        return float(self.window[WINDOW_FIELD[name]])

    def spread(self, rows: Sequence[int], tensors: int) -> Record:
        """The record among more tensors: its row i becomes row `rows[i]` of `tensors`.

        The other rows are empty: merging them in changes nothing.
        """
        columns = empty_columns(tensors)
        columns[list(rows)] = self.columns
        histograms = self.histograms and spread_histograms(self.histograms, rows, tensors)
        return Record(self.window, columns, histograms)


def empty_window() -> Matrix:
    """The window of no step: merging it in changes nothing."""
    return np.array([field.empty for field in WINDOW_FIELDS])


def empty_columns(tensors: int) -> Matrix:
    """The columns of no step, [tensors, len(COLUMNS)]: merging them in changes nothing."""
    return np.tile([column.empty for column in COLUMNS], (tensors, 1))


def _merge_axis(stacked: Matrix, columns: Sequence[Column]) -> Matrix:
    """Merges over the first axis; the last axis is the columns, one after another in memory."""
    merged = np.empty((len(columns), *stacked.shape[1:-1]))
    for index, column in enumerate(columns):
        merged[index] = _MERGE[column.merge](stacked[..., index], axis=0)
    return np.moveaxis(merged, 0, -1)


def merge_columns(stacked: npt.ArrayLike) -> Matrix:
    """Merges columns [records, ..., len(COLUMNS)] over their first axis.

    NaN means "nothing seen" and never wins. The order of the records does not matter, nor how
    they are grouped, but for the last bits of floating-point sums.
    """
    return _merge_axis(np.asarray(stacked, np.float64), COLUMNS)


def merge_windows(stacked: npt.ArrayLike) -> Matrix:
    """Merges windows [records, len(WINDOW_FIELDS)] over their first axis."""
    return _merge_axis(np.asarray(stacked, np.float64), WINDOW_FIELDS)


def merge(records: Sequence[Record]) -> Record:
    """Merges records of the same tensors; ValueError where there is none or their rows differ.

    A window, a replica and a viewport cell are all this one merge.
    """
    rows = {len(record.columns) for record in records}
    if len(rows) != 1:
        raise ValueError(f"Expected records of the same tensors, got {sorted(rows)} tensors.")
    histograms = [record.histograms for record in records if record.histograms is not None]
    return Record(
        merge_windows([record.window for record in records]),
        merge_columns([record.columns for record in records]),
        merge_histograms(histograms) if histograms else None,
    )
