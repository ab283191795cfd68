"""Curves over a run's own history, and when they have run away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tb_nanwatch.diagnosis.facts.tensor_history import Steps, TensorHistory
from tb_nanwatch.stats.record import Matrix


@dataclass(frozen=True)
class Curve:
    """A positive quantity over the steps.

    Attributes:
      steps: int64 [points], ascending: the last step of each record.
      log10: float64 [points], finite.
    """

    steps: Steps
    log10: Matrix

    def until(self, step: int) -> Curve:
        """The points before `step`."""
        end = int(np.searchsorted(self.steps, step))
        return Curve(self.steps[:end], self.log10[:end])

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class Growth:
    """A sustained rise at the end of a curve.

    Attributes:
      first: the step at which it begins.
      decades: how far it rises.
      pace: decades of its longest step from one point to the next.
    """

    first: int
    decades: float
    pace: float

    @property
    def is_one_jump(self) -> bool:
        """Whether nearly all of it is the work of one step."""
        return self.pace > 0.85 * self.decades


def norm_curve(histories: Iterable[TensorHistory], *, partly: bool = False) -> Curve:
    """The norm of several tensors together: root of the sum of their squared norms.

    Points at which none of them has anything finite are left out, and those at which one is partly
    non-finite; not the latter with `partly`, which takes the finite elements.
    """
    steps, squares, broken = [], [], []
    for history in histories:
        steps.append(history.last)
        with np.errstate(over="ignore"):
            squares.append(history.column("largest_norm") ** 2)
        broken.append(history.column("nonfinite_steps") + history.column("scale_skipped_steps") > 0)
    if not steps:
        return Curve(np.zeros(0, np.int64), np.zeros(0))
    at, index = np.unique(np.concatenate(steps), return_inverse=True)
    total = np.bincount(index, weights=np.nan_to_num(np.concatenate(squares), posinf=1e300))
    bad = np.bincount(index, weights=np.concatenate(broken))
    keep = (total > 0) & (partly | (bad == 0))
    return Curve(at[keep], 0.5 * np.log10(total[keep]))


def growth(curve: Curve, decades: float, records: int, jump: float) -> Growth | None:
    """The sustained rise at the end of a curve; None where there is none.

    Args:
      curve: what is judged.
      decades: the least rise.
      records: over how many points at least.
      jump: the least rise where there are two points in all.

    A rise is sustained where it is not the work of one point, and where most of its points are
    above those before them. A spike that recovers is not one: the curve has to end at its top.
    """
    y = curve.log10
    if len(y) < 2:
        return None
    if len(y) == 2:
        rise = float(y[1] - y[0])
        return Growth(int(curve.steps[0]), rise, rise) if rise >= jump else None
    smooth = _median_of_three(y)
    lowest = float(smooth.min())
    rise = float(y[-1] - lowest)
    # From where it was last near its lowest: what came before may have been level for long.
    start = int(np.flatnonzero(smooth <= lowest + 0.1 * rise)[-1])
    tail = y[start:]
    if rise < decades or len(tail) - 1 < records:
        return None
    found = Growth(int(curve.steps[start]), rise, float(np.diff(tail).max()))
    is_at_top = y[-1] >= tail.max() - 0.2 * rise
    if found.is_one_jump or not is_at_top or _ascending_share(tail) < 0.75:
        return None
    return found


def level(curve: Curve, *, first: bool) -> float:
    """The median of the first or of the last fifth of a curve, of three points at least."""
    part = max(3, len(curve) // 5)
    return float(np.median(curve.log10[:part] if first else curve.log10[-part:]))


def _median_of_three(y: Matrix) -> Matrix:
    padded = np.concatenate([y[:1], y, y[-1:]])
    median: Matrix = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
    return median


def _ascending_share(y: Matrix) -> float:
    """Share of the pairs of points of which the later one is higher: Kendall's statistic."""
    if len(y) > 200:
        y = y[np.linspace(0, len(y) - 1, 200).astype(int)]
    later = np.triu_indices(len(y), 1)
    return float(np.mean(y[later[1]] > y[later[0]]))
