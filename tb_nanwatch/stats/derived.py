"""The statistics that a person chooses and that a record's columns alone give.

Each takes columns ``[..., len(COLUMNS)]`` and gives float64 ``[...]``: NaN where nothing was seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.record import Matrix
from tb_nanwatch.stats.statistics import COLUMN_STATISTICS


def _share(part: Matrix, whole: Matrix) -> Matrix:
    """part / whole, NaN where whole is 0."""
    share: Matrix = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return share


def _log10(values: Matrix) -> Matrix:
    with np.errstate(divide="ignore"):
        return np.log10(values)


def nonfinite(columns: Matrix) -> Matrix:
    """NaN, +Inf and -Inf elements together, over every step."""
    counts = columns[..., [COLUMN["nan"], COLUMN["pos_inf"], COLUMN["neg_inf"]]].sum(axis=-1)
    return np.where(columns[..., COLUMN["steps"]] > 0, counts, np.nan)


def largest_magnitude(columns: Matrix) -> Matrix:
    """Largest absolute value of a finite element in the sampled steps."""
    return np.fmax(np.abs(columns[..., COLUMN["min"]]), np.abs(columns[..., COLUMN["max"]]))


def zero_share(columns: Matrix) -> Matrix:
    """Zeros among the sampled elements, 0 to 1."""
    return _share(columns[..., COLUMN["zero"]], columns[..., COLUMN["sampled_elements"]])


def mean(columns: Matrix) -> Matrix:
    """Mean of the finite elements of the sampled steps."""
    return _share(columns[..., COLUMN["sum"]], columns[..., COLUMN["sampled_finite"]])


def rms(columns: Matrix) -> Matrix:
    """Root of the mean square of the finite elements, over every step."""
    finite = columns[..., COLUMN["elements"]] - np.nan_to_num(nonfinite(columns))
    return np.sqrt(_share(columns[..., COLUMN["sum_squares"]], finite))


_STATISTIC: dict[str, Callable[[Matrix], Matrix]] = {
    "nonfinite": nonfinite,
    "norm": lambda columns: _log10(columns[..., COLUMN["largest_norm"]]),
    "largest_magnitude": lambda columns: _log10(largest_magnitude(columns)),
    "zero_share": zero_share,
}

STATISTIC_COLUMNS: dict[str, tuple[str, ...]] = {
    "nonfinite": ("steps", "nan", "pos_inf", "neg_inf"),
    "norm": ("largest_norm",),
    "largest_magnitude": ("sampled_steps", "min", "max"),
    "zero_share": ("sampled_steps", "zero", "sampled_elements"),
}
"""The columns that each statistic is made of."""

assert set(_STATISTIC) == set(STATISTIC_COLUMNS)
assert set(_STATISTIC) == {each.name for each in COLUMN_STATISTICS}


def statistic(name: str, columns: Matrix) -> Matrix:
    """The statistic of `stats.statistics` of this name, on its scale (`log10`: -inf for 0)."""
    return _STATISTIC[name](columns)
