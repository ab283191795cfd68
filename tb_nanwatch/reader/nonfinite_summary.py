"""Where each tensor of some records is non-finite."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.record import Matrix

_COUNTS = [COLUMN["nan"], COLUMN["pos_inf"], COLUMN["neg_inf"]]


@dataclass(frozen=True)
class NonfiniteSummary:
    """Where each tensor is non-finite; steps that a loss-scaling optimizer skipped do not count.

    Attributes:
      first: float64 [tensors], the first such step; NaN where there is none.
      last: float64 [tensors], the last such step; NaN where there is none.
      steps: float64 [tensors], how many.
    """

    first: Matrix
    last: Matrix
    steps: Matrix


def empty(tensors: int) -> NonfiniteSummary:
    """Of no record."""
    nothing = np.full(tensors, np.nan)
    return NonfiniteSummary(nothing, nothing.copy(), np.zeros(tensors))


def summarize_nonfinite(first_steps: npt.NDArray[np.int64], columns: Matrix) -> NonfiniteSummary:
    """The summary of some records.

    Args:
      first_steps: first step of each record [records], ascending; used where a record has
        non-finite steps without their numbers.
      columns: [records, tensors, len(COLUMNS)].
    """
    if not len(first_steps):
        return empty(columns.shape[1])
    steps = columns[..., COLUMN["nonfinite_steps"]]
    hit = steps > 0
    if not hit.any():
        return empty(columns.shape[1])
    earliest, row = hit.argmax(axis=0), np.arange(columns.shape[1])
    named = columns[..., COLUMN["first_nonfinite_step"]]
    first = np.where(np.isnan(named), first_steps[:, np.newaxis], named)
    last = np.where(hit, np.fmax(first, columns[..., COLUMN["last_nonfinite_step"]]), np.nan)
    return NonfiniteSummary(
        np.where(hit.any(axis=0), first[earliest, row], np.nan),
        np.fmax.reduce(last, axis=0),
        np.where(hit, steps, 0).sum(axis=0),
    )


def summarize_initial(step: int, columns: Matrix) -> NonfiniteSummary:
    """The summary of the state before `step`, columns [tensors, len(COLUMNS)]."""
    counts = columns[:, _COUNTS]
    where = np.where((counts > 0).any(axis=1), float(step), np.nan)
    return NonfiniteSummary(where, where.copy(), np.zeros(len(columns)))


def combine(
    tensors: int, parts: Iterable[tuple[npt.NDArray[np.int64], NonfiniteSummary]]
) -> NonfiniteSummary:
    """One summary [tensors] of several, each with its rows' tensors: int64 [rows], none twice."""
    total = empty(tensors)
    for rows, part in parts:
        total.first[rows] = np.fmin(total.first[rows], part.first)
        total.last[rows] = np.fmax(total.last[rows], part.last)
        total.steps[rows] += part.steps
    return total
