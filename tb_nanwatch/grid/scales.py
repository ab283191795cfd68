"""Where steps stand on the horizontal axis: as they count, by their logarithm, by wall time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]


class Scale(Protocol):
    """A strictly ascending map from steps to places on the axis, and back."""

    def place(self, steps: Steps) -> Matrix:
        """float64 [steps], where each step begins."""

    def step(self, places: Matrix) -> Matrix:
        """float64 [places], the step at each place, with its fraction."""


class LogScale:
    """Decades of steps: step s begins at log10(1 + s), so that step 0 has a place.

    A step before 0 is as far to the other side.
    """

    def place(self, steps: Steps) -> Matrix:
        return np.sign(steps) * np.log10(1.0 + np.abs(steps))

    def step(self, places: Matrix) -> Matrix:
        return np.sign(places) * (10.0 ** np.abs(places) - 1.0)


@dataclass(frozen=True)
class WallScale:
    """Seconds from the first step's begin on.

    Between the steps whose times are known it is linear, and beyond them it goes on as fast as on
    the whole.

    Attributes:
      steps: int64 [n], n >= 2, strictly ascending.
      seconds: float64 [n], when each of `steps` began, strictly ascending.
    """

    steps: Steps
    seconds: Matrix

    def place(self, steps: Steps) -> Matrix:
        return _through(steps, self.steps, self.seconds)

    def step(self, places: Matrix) -> Matrix:
        return _through(places, self.seconds, self.steps)


def _through(at: Steps | Matrix, known: Steps | Matrix, values: Steps | Matrix) -> Matrix:
    """Linear between what is known, and beyond it by the slope from its first to its last."""
    slope = (values[-1] - values[0]) / (known[-1] - known[0])
    beyond = np.maximum(at - known[-1], 0) + np.minimum(at - known[0], 0)
    places: Matrix = np.interp(at, known, values) + beyond * slope
    return places


AXES = ("step", "log", "wall")
"""What the horizontal axis may count: steps, decades of them, or seconds."""
