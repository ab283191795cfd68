"""`not-training`: steps are taken, and nothing comes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.facts.trends import signed_values
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.trend_finding import finding_of_trend

_MOVED = 1e-2
"""Share of its start by which a loss has moved that is not stuck."""


def not_training(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One finding at most; none where another one tells why nothing is learned."""
    losses = run.recorded("loss")
    if not losses:
        return
    tensor = losses[0]
    history = run.histories[tensor]
    steps = (int(history.last[0]), int(history.last[-1]))
    if run.history.model.trainable_variables == 0:
        frozen = {"variables": _frozen(run)}
        variant = "frozen" if frozen["variables"] else "no-variables"
        yield finding_of_trend(run, "not-training", tensor, steps, frozen, variant=variant)
        return
    ends = _stuck_at(run, tensor)
    if ends is not None and not any(each.severity != "info" for each in findings):
        evidence = dict(zip(("first", "last"), ends, strict=True))
        yield finding_of_trend(run, "not-training", tensor, steps, evidence, variant="stuck")


def _frozen(run: Run) -> int:
    """How many variables would be trained, were it not for their layers' `trainable`."""
    layers = {each.path for each in run.history.model.layers if not each.trainable}
    weights = map(run.info, run.recorded("weight"))
    return sum(each.layer in layers and not each.is_statistic for each in weights)


def _stuck_at(run: Run, tensor: int) -> tuple[float, float] | None:
    """The loss at the start and at the end, where it is far away and has not come nearer."""
    limits, history = run.thresholds, run.histories[tensor]
    _, values = signed_values(run, tensor)
    is_long = history.last[-1] - history.first[0] + 1 >= limits.stuck_steps
    if not is_long or len(values) < limits.trend_records:
        return None
    start, end = float(np.median(values[:3])), float(np.median(values[-3:]))
    is_stuck = start > limits.stuck_loss and abs(end - start) < _MOVED * start
    return (start, end) if is_stuck else None
