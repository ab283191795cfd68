"""When each tensor was non-finite: intervals of consecutive steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.diagnosis.facts.tensor_history import RecordMatrix
from tb_nanwatch.format.history import History
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NEVER = np.iinfo(np.int64).max
"""A step that does not come."""

_COUNTS = ("nan", "pos_inf", "neg_inf")
_FAR = 2
"""A gap of more than so many median gaps is none that the cadence explains."""


@dataclass(frozen=True)
class NonfiniteIntervals:
    """Every interval of a run, by ascending first step.

    Attributes:
      tensor: int64 [intervals], index in `History.tensors`.
      first: int64 [intervals], the first step.
      last: int64 [intervals], the last step at which it was seen non-finite.
      recovered_at: int64 [intervals], first step of the record that saw it finite again; NEVER for
        none.
      initial: bool [intervals], whether it was so before step `first` began.
      steps: int64 [intervals], how many non-finite steps were seen.
      counts: float64 [intervals, 3], NaN, +Inf and -Inf elements of the record of `first`.
    """

    tensor: Steps
    first: Steps
    last: Steps
    recovered_at: Steps
    initial: Flags
    steps: Steps
    counts: Matrix

    def __len__(self) -> int:
        return len(self.tensor)


def find_nonfinite_intervals(
    history: History,
    matrices: Sequence[RecordMatrix],
    *,
    is_state: Flags,
    scale_skipped: bool = False,
) -> NonfiniteIntervals:
    """Every interval of a history.

    Args:
      history: for the state before the first step.
      matrices: of that history.
      is_state: bool [tensors], which of `History.tensors` last from step to step. Such a tensor
        stays non-finite until it is seen finite; another one that was not looked at for a while
        begins a new interval.
      scale_skipped: take the steps that loss scaling handled, instead of the others.
    """
    parts = [_of_matrix(matrix, is_state[matrix.tensors], scale_skipped) for matrix in matrices]
    rows = np.concatenate([np.zeros((0, 6), np.int64), *(part[0] for part in parts)])
    counts = np.concatenate([np.zeros((0, 3)), *(part[1] for part in parts)])
    if not scale_skipped:
        rows, counts = _with_initial(history, rows, counts)
    order = np.lexsort((rows[:, 0], ~rows[:, 4].astype(bool), rows[:, 1]))
    rows, counts = rows[order], counts[order]
    tensor, first, last, recovered_at, initial, steps = rows.T
    return NonfiniteIntervals(
        tensor, first, last, recovered_at, initial.astype(bool), steps, counts
    )


def _of_matrix(matrix: RecordMatrix, is_state: Flags, scale_skipped: bool) -> tuple[Steps, Matrix]:
    """Rows of tensor, first, last, recovered_at, initial, steps; and the counts."""
    number = matrix.column("scale_skipped_steps" if scale_skipped else "nonfinite_steps")
    bad = number > 0
    if not bad.any():
        return np.zeros((0, 6), np.int64), np.zeros((0, 3))
    seen = matrix.column("steps") > 0
    begins = np.where(bad, _steps(matrix, "first", scale_skipped), 0).astype(np.int64)
    ends = np.where(bad, _steps(matrix, "last", scale_skipped), 0).astype(np.int64)
    row = np.arange(len(bad))[:, np.newaxis]
    # The record before in which the tensor was seen, -1 for none.
    latest = np.maximum.accumulate(np.where(seen, row, -1), axis=0)
    before = np.vstack([np.full((1, bad.shape[1]), -1), latest[:-1]])
    column = np.arange(bad.shape[1])
    was_bad = (before >= 0) & bad[before, column]
    gaps = matrix.first[1:] - matrix.last[:-1]
    is_far = np.append(False, gaps > _FAR * np.median(gaps) if len(gaps) else gaps > 0)
    looked_away = ((before != row - 1) | is_far[:, np.newaxis]) & ~is_state
    recovered = (ends[before, column] < matrix.last[before]) | (
        begins > matrix.first[:, np.newaxis]
    )
    goes_on = bad & was_bad & ~recovered & ~looked_away
    starts = bad & ~goes_on

    # Tensor after tensor, so that a interval is a run of neighbours.
    at_tensor, at_row = np.nonzero(bad.T)
    is_start = starts[at_row, at_tensor]
    interval = np.cumsum(is_start) - 1
    heads = np.flatnonzero(is_start)
    tails = np.append(heads[1:], len(interval)) - 1
    head_row, head_tensor = at_row[heads], at_tensor[heads]
    tail_row = at_row[tails]
    # Recovered: at the next record in which the tensor was seen, or within the last one.
    following = np.minimum.accumulate(np.where(seen, row, len(bad))[::-1], axis=0)[::-1]
    after = np.vstack([following[1:], np.full((1, bad.shape[1]), len(bad))])[tail_row, head_tensor]
    last = ends[tail_row, head_tensor]
    recovered_at = np.where(
        last < matrix.last[tail_row],
        last + 1,
        np.where(after < len(bad), matrix.first[np.minimum(after, len(bad) - 1)], NEVER),
    )
    totals = np.bincount(interval, weights=number[at_row, at_tensor]).astype(np.int64)
    rows = np.stack(
        [
            matrix.tensors[head_tensor],
            begins[head_row, head_tensor],
            last,
            recovered_at,
            np.zeros(len(heads), np.int64),
            totals,
        ],
        axis=1,
    )
    counts = np.stack([matrix.column(name)[head_row, head_tensor] for name in _COUNTS], axis=1)
    return rows, counts


def _steps(matrix: RecordMatrix, which: str, scale_skipped: bool) -> Matrix:
    """First or last non-finite step of each record; the window's own where it does not say."""
    edge = (matrix.first if which == "first" else matrix.last)[:, np.newaxis]
    if scale_skipped:
        return np.broadcast_to(edge, matrix.column("steps").shape).astype(np.float64)
    recorded_step = matrix.column(f"{which}_nonfinite_step")
    return np.where(np.isnan(recorded_step), edge, recorded_step)


def _with_initial(history: History, rows: Steps, counts: Matrix) -> tuple[Steps, Matrix]:
    """The intervals of the records, and those of the state before a first step."""
    recorded = {tensor for series in history.series for tensor in series.rows.tolist()}
    for series in history.initial:
        for window, columns in zip(series.windows, series.columns, strict=True):
            step = int(window[WINDOW_FIELD["first_step"]])
            found = columns[:, [COLUMN[name] for name in _COUNTS]]
            for row in np.flatnonzero((found > 0).any(axis=1)).tolist():
                tensor = int(series.rows[row])
                mine = rows[:, 0] == tensor
                if np.any(mine & (rows[:, 1] < step) & (rows[:, 3] >= step)):
                    continue  # It went on from the session before.
                interval = [tensor, step, step, step if tensor in recorded else NEVER, 1, 0]
                goes_on = mine & (rows[:, 1] == step)
                if goes_on.any():
                    index = int(np.flatnonzero(goes_on)[0])
                    interval[2], interval[3], interval[5] = rows[index, [2, 3, 5]].tolist()
                    rows, counts = np.delete(rows, index, 0), np.delete(counts, index, 0)
                rows = np.vstack([rows, interval])
                counts = np.vstack([counts, found[row]])
    return rows, counts
