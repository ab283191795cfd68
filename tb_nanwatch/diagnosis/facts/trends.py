"""Whether a finite curve has risen over its own start for good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tb_nanwatch.diagnosis.facts.curves import Curve, growth, level, norm_curve
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.facts.tensor_history import Steps
from tb_nanwatch.stats.record import Matrix


@dataclass(frozen=True)
class Rise:
    """A rise that is there at the end of a curve: the end of its first record, and how far."""

    first: int
    decades: float


def risen(curve: Curve, decades: float) -> Rise | None:
    """A rise over the curve's own start of `decades` at least; None where it came back."""
    start, end = level(curve, first=True), level(curve, first=False)
    top = curve.log10[-1]
    if end - start >= decades:
        rise = end - start
    elif top - start >= decades and growth(curve, decades, 3, np.inf) is not None:
        rise = top - start
    else:
        return None
    below = np.flatnonzero(curve.log10 < start + 0.3 * rise)
    if len(below) and below[-1] == len(curve) - 1:
        return None  # It is down again.
    # By the end of the record that is above: a trend is not said to begin before its reason.
    first = int(curve.steps[below[-1] + 1 if len(below) else 0])
    return Rise(first, float(rise))


def is_short(run: Run, curve: Curve) -> bool:
    """Whether a curve is too short to judge a trend by it."""
    limits = run.thresholds
    if len(curve) < limits.trend_records:
        return True
    return bool(curve.steps[-1] - max(curve.steps[0], 0) + 1 < limits.trend_steps)


def loss_improves(run: Run) -> bool:
    """Whether the loss, with its sign, ends below its start."""
    for tensor in run.recorded("loss"):
        _, values = signed_values(run, tensor)
        if np.all(values >= 0):  # The norm is known of every record, and is the loss itself.
            curve = norm_curve([run.histories[tensor]]).until(run.damaged_from)
            values = curve.log10
        part = max(3, len(values) // 5)
        return len(values) > 3 and bool(np.median(values[-part:]) < np.median(values[:part]))
    return False


def signed_values(run: Run, tensor: int) -> tuple[Steps, Matrix]:
    """(last steps, mean values) of a tensor's records as long as the weights are finite: int64 and
    float64 [records]. Unlike a norm, the mean has its sign; it is that of the sampled steps."""
    history = run.histories[tensor]
    keep = (history.last < run.damaged_from) & (history.column("sampled_finite") > 0)
    values: Matrix = history.column("sum")[keep] / history.column("sampled_finite")[keep]
    return history.last[keep], values


def largest_of_role(run: Run, role: str, step: int) -> int:
    """The tensor of a role with the largest norm in the record that ends at `step`."""

    def norm(tensor: int) -> float:
        history = run.histories[tensor]
        index = history.record_at(step)
        norms = history.column("largest_norm")
        return -1.0 if index is None else float(np.nan_to_num(norms[index]))

    return max(run.recorded(role), key=norm)
