"""The statistics that a person can choose: what is derived from a record's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scale = Literal["decades", "count", "log10", "share"]
"""How a value is to be read: decades above or below what is usual; an exact count; a decimal
logarithm; a fraction from 0 to 1."""


@dataclass(frozen=True)
class Statistic:
    """One statistic of a tensor over a range of steps.

    Attributes:
      name: the name in HTTP parameters.
      label: the name a person reads.
      scale: how the value is to be read. With `log10` the grid holds the logarithm itself,
        and -inf for 0; with `decades` likewise -inf for a norm of 0.
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
)

STATISTIC: dict[str, Statistic] = {statistic.name: statistic for statistic in STATISTICS}
