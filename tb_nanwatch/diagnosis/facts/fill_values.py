"""Values in the data that stand for a missing one, such as 1e20 or -999."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tb_nanwatch.diagnosis.facts.run import Run

_GAP = 40
"""Octaves, 12 decades: no quantity, not even a time in milliseconds, is so far from all others, and
no outlier."""

_NINES_GAP = 6
"""Octaves that are enough where the value is written in nines: -999, 99999."""

_FEW = 3
"""So many elements at least, where the value is nearer: fewer are outliers."""

_MOST_RECORDS = 64
"""So many records are looked at."""


class FillValue(NamedTuple):
    """A value that stands for a missing one.

    Attributes:
      value: itself.
      share: of the elements that are not zero.
      largest_other: no other magnitude is above this.
    """

    value: float
    share: float
    largest_other: float


def fill_value(run: Run, tensor: int) -> FillValue | None:
    """The fill value of an input or target; None where its magnitudes are one cluster."""
    history = run.histories[tensor]
    low, high = history.column("min"), history.column("max")
    largest = np.fmax(np.abs(low), np.abs(high))
    if not np.any(largest >= run.thresholds.unscaled_magnitude):
        return None
    at = int(np.nanargmax(largest))
    value = float(high[at] if abs(high[at]) >= abs(low[at]) else low[at])
    records = slice(max(0, at - _MOST_RECORDS // 2), at + _MOST_RECORDS // 2)
    codes, counts = run.history.histogram(
        tensor, int(history.first[records][0]), int(history.last[records][-1])
    )
    # By exponent, of both signs.
    exponents, where = np.unique(codes >> 1, return_inverse=True)
    elements = np.bincount(where, weights=counts)
    if len(exponents) < 2:
        return None
    gap = exponents[-1] - exponents[-2]
    is_in_nines = _is_written_in_nines(value) and elements[-1] >= _FEW
    if gap < (_NINES_GAP if is_in_nines else _GAP):
        return None
    share = float(elements[-1] / elements.sum())
    return FillValue(value, share, float(2.0 ** (int(exponents[-2]) + 1)))


def _is_written_in_nines(value: float) -> bool:
    digits = f"{abs(value):.0f}"
    return len(digits) >= 3 and set(digits) == {"9"}
