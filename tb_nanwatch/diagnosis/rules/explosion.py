"""`exploding-gradient` where the re-run shows it: an operation that overflowed on an absurd number.

The end of an explosion looks like an operation outside of its domain. The operand tells them apart,
and what was tried: bounding one operation of a network that has run away leaves the next one, or a
loss of 1e19.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tb_nanwatch.diagnosis.facts.absurd_operands import (
    exponent,
    is_absurd_gradient,
    overflowed_at,
    still_absurd,
)
from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.known_growth import known_growth
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.growth import grown_over_steps, grown_within_step, huge_data

_OF_ONE_OPERATION = frozenset({"layer-forward", "loss-domain", "layer-backward", "loss-backward"})


def as_explosion(run: Run, event: Event, finding: Finding) -> Finding:
    """The finding as one of growth, where its operation is only where that ended."""
    if finding.severity != "error" or huge_data(run, event.step):
        return finding
    data = run.magnitude(run.order.of_role("input", "target"), event.step)
    data = 1.0 if np.isnan(data) else data
    found = _of_growth(run, event, finding, data)
    if found is None or found.rerun is None:
        return found or finding
    # What was tried on the operation is told where it was of no use.
    useless = tuple(each for each in found.rerun.tried if still_absurd(each, data))
    return replace(found, rerun=replace(found.rerun, tried=useless))


def _of_growth(run: Run, event: Event, finding: Finding, data: float) -> Finding | None:
    """The finding of what has grown; None where that is not why."""
    rerun, operation = finding.rerun, finding.operation
    if finding.cause == "optimizer-overflow":
        return _of_gradients(run, replace(event, step=finding.step), finding, data)
    if finding.cause == "exploding-gradient":
        grown = known_growth(run, event.step) if finding.variant == "depth" else None
        return (
            finding if grown is None else replace(grown_over_steps(run, event, *grown), rerun=rerun)
        )
    if finding.cause not in _OF_ONE_OPERATION or rerun is None or operation is None:
        return None
    absurd = overflowed_at(operation, data)
    largest = absurd or exponent(operation)
    if not largest:
        return None
    grown = known_growth(run, event.step)
    if grown is not None:
        return replace(grown_over_steps(run, event, *grown), rerun=rerun)
    if not absurd and not any(still_absurd(each, data) for each in rerun.tried):
        return None
    return replace(grown_within_step(run, event, largest, "operand"), rerun=rerun)


def _of_gradients(run: Run, event: Event, finding: Finding, data: float) -> Finding | None:
    """For gradients that are beyond all that a loss makes of the data, before they are squared."""
    largest = finding.evidence.get("largest_gradient", 0.0)
    if finding.variant != "squares" or not is_absurd_gradient(largest, data):
        return None
    grown = known_growth(run, event.step)
    if grown is not None and not grown[1].is_one_jump:
        return replace(grown_over_steps(run, event, *grown), rerun=finding.rerun)
    if run.layers.unbounded_recurrence() is None:
        return None  # To clip each element may be all that it takes.
    return replace(grown_within_step(run, event, largest, "gradient"), rerun=finding.rerun)
