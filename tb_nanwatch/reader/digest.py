"""What of a block a run's overview needs: where each tensor was non-finite."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.record import Matrix

COUNTS = [COLUMN["nan"], COLUMN["pos_inf"], COLUMN["neg_inf"]]
"""The columns that a digest's counts are."""


@dataclass(frozen=True)
class Digest:
    """Where each tensor was non-finite; steps that loss scaling handled are left out.

    Attributes:
      first: float64 [tensors], the first such step; NaN where there is none.
      last: float64 [tensors], the last such step; NaN where there is none.
      steps: float64 [tensors], how many.
      counts: float64 [tensors, 3], NaN, +Inf and -Inf elements of the record that holds `first`:
        in a run's index of the one of level 0 for the first step of all, of one of any level else.
    """

    first: Matrix
    last: Matrix
    steps: Matrix
    counts: Matrix


def empty(tensors: int) -> Digest:
    """Of no record."""
    nothing = np.full(tensors, np.nan)
    return Digest(nothing, nothing.copy(), np.zeros(tensors), np.zeros((tensors, 3)))


def digest(first_steps: npt.NDArray[np.int64], columns: Matrix) -> Digest:
    """The digest of some records.

    Args:
      first_steps: first step of each record [records], ascending; stands in where a record has
        non-finite steps and does not say which.
      columns: [records, tensors, len(COLUMNS)].
    """
    if not len(first_steps):
        return empty(columns.shape[1])
    steps = columns[..., COLUMN["nonfinite_steps"]]
    hit = steps > 0
    earliest, row = hit.argmax(axis=0), np.arange(columns.shape[1])
    said = columns[..., COLUMN["first_nonfinite_step"]]
    first = np.where(np.isnan(said), first_steps[:, np.newaxis], said)
    last = np.where(hit, np.fmax(first, columns[..., COLUMN["last_nonfinite_step"]]), np.nan)
    return Digest(
        np.where(hit.any(axis=0), first[earliest, row], np.nan),
        np.fmax.reduce(last, axis=0),
        np.where(hit, steps, 0).sum(axis=0),
        columns[earliest, row][:, COUNTS],
    )


def initial_digest(step: int, columns: Matrix) -> Digest:
    """The digest of the state before `step`, columns [tensors, len(COLUMNS)]."""
    counts = columns[:, COUNTS]
    where = np.where((counts > 0).any(axis=1), float(step), np.nan)
    return Digest(where, where.copy(), np.zeros(len(columns)), counts)


def combine(tensors: int, parts: Iterable[tuple[npt.NDArray[np.int64], Digest]]) -> Digest:
    """One digest [tensors] of several, each with its rows' tensors: int64 [rows], none twice."""
    total = empty(tensors)
    for rows, part in parts:
        # Written so that a NaN, which is "never", is never earlier.
        earlier = (part.first < total.first[rows]) | (
            np.isnan(total.first[rows]) & ~np.isnan(part.first)
        )
        total.counts[rows[earlier]] = part.counts[earlier]
        total.first[rows] = np.fmin(total.first[rows], part.first)
        total.last[rows] = np.fmax(total.last[rows], part.last)
        total.steps[rows] += part.steps
    return total
