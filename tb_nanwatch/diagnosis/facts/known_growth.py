"""What has grown up to a step at which a number is absurd: less is asked of it than of a trend."""

from __future__ import annotations

import numpy as np

from tb_nanwatch.diagnosis.facts.curves import Curve, Growth, norm_curve
from tb_nanwatch.diagnosis.facts.run import Run

_DECADES = {"weight": 1.0, "gradient": 2.0, "prediction": 2.0, "loss": 2.0}
"""How far each has to rise; weights move slowly unless they run away."""

_ENOUGH = 6
"""Points from which on the median of a curve is its level; of fewer the lowest is."""


def known_growth(run: Run, step: int) -> tuple[str, Growth] | None:
    """What rose up to the step, and how far; None where nothing did, or a bad batch explains it.

    Only to be asked where an operation of that step overflowed on an absurd number: then a rise
    of one or two decades over what was usual before is why.
    """
    is_outlier = _is_outlier(run, step)
    for role in ("gradient", "weight", "prediction", "loss"):
        # A batch out of the ordinary moves everything but the weights before it.
        until = step if role == "weight" or is_outlier else step + 1
        rise = _rise(_curve(run, role, until), _DECADES[role])
        if rise is not None:
            return role, rise
    return None


def _curve(run: Run, role: str, until: int) -> Curve:
    """Norms of the finite elements of a role up to `until`."""
    if role == "weight":
        return run.norm(role).until(until)
    return norm_curve((run.histories[t] for t in run.recorded(role)), partly=True).until(until)


def _rise(curve: Curve, decades: float) -> Growth | None:
    y = curve.log10
    if len(y) < 2:
        return None
    before = y[:-1]
    level = float(np.median(before) if len(before) >= _ENOUGH else before.min())
    rise = float(y[-1] - level)
    if rise < decades:
        return None
    start = int(np.flatnonzero(before <= level + 0.1 * rise)[-1])
    pace = float(np.diff(y[start:]).max())
    return Growth(int(curve.steps[start]), rise, pace)


def _is_outlier(run: Run, step: int) -> bool:
    """Whether inputs or targets of the step are ten times those of the steps before."""
    for tensor in run.recorded("input", "target"):
        history = run.histories[tensor]
        magnitude = history.magnitude()[history.first <= step]
        before = magnitude[:-1][~np.isnan(magnitude[:-1])]
        if len(before) and magnitude[-1] > 10 * np.median(before):
            return True
    return False
