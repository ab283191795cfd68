"""The statistics that a person can choose: what is derived from a record's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scale = Literal["decades", "count", "log10", "share", "headroom", "ratio"]
"""How a value is to be read: decades above or below what is usual; an exact count; a decimal
logarithm; a fraction from 0 to 1; decades that are left; the decimal logarithm of a ratio."""


@dataclass(frozen=True)
class Statistic:
    """One statistic of a tensor over a range of steps.

    Attributes:
      name: the name in HTTP parameters.
      label: the name a person reads.
      scale: how the value is to be read. With `log10` the grid holds the logarithm itself,
        and -inf for 0; with `decades` and `ratio` likewise -inf for a norm of 0. With `headroom`
        it holds the decades that are left as a negative number, -inf for a tensor of zeros.
      description: one sentence for documentation and tooltips.
    """

    name: str
    label: str
    scale: Scale
    description: str


INSTABILITY = Statistic(
    "instability",
    "Instability",
    "decades",
    "How far the L2 norm is above or below the tensor's own usual level, in decades.",
)
"""The one that takes a tensor's whole history: `stats.instability`."""

HEADROOM = Statistic(
    "headroom",
    "Headroom",
    "headroom",
    "Decades from the largest absolute value to the largest finite number of the tensor's dtype, "
    "in the steps with a histogram.",
)
"""The one that takes the tensor's dtype: `stats.headroom`."""

UPDATE_RATIO = Statistic(
    "update_ratio",
    "Update / weight",
    "ratio",
    "L2 norm of a variable's update relative to that of the variable; of its gradient, where "
    "updates are not recorded.",
)
"""The one that takes two tensors: `grid.ratio`."""

STATISTICS: tuple[Statistic, ...] = (
    INSTABILITY,
    Statistic(
        "nonfinite",
        "NaN/Inf count",
        "count",
        "NaN, +Inf and -Inf elements, counted at every step.",
    ),
    Statistic(
        "norm",
        "L2 norm",
        "log10",
        "Largest L2 norm of the finite elements in any one step.",
    ),
    Statistic(
        "largest_magnitude",
        "Max abs",
        "log10",
        "Largest absolute value of a finite element in the steps with a histogram.",
    ),
    Statistic(
        "zero_share",
        "% zeros",
        "share",
        "Share of exact zeros in the steps with a histogram.",
    ),
    HEADROOM,
    UPDATE_RATIO,
)

COLUMN_STATISTICS = tuple(
    each for each in STATISTICS if each not in (INSTABILITY, HEADROOM, UPDATE_RATIO)
)
"""Those that a record's columns alone give: `stats.derived`."""

STATISTIC: dict[str, Statistic] = {statistic.name: statistic for statistic in STATISTICS}
