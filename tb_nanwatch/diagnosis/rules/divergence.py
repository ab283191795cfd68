"""`exploding-gradient` and `divergence` as warnings: what runs away while it is finite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.facts.trends import (
    is_short,
    largest_of_role,
    loss_improves,
    risen,
    signed_values,
)
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.growth import is_overflow
from tb_nanwatch.diagnosis.rules.trend_finding import finding_of_trend


def running_away(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One finding at most; none where an error says already that the training ran away."""
    if any(map(is_overflow, findings)):
        return
    grown = _exploding(run) or _diverging(run)
    amplified = _amplified(run)
    # What one layer makes of moderate values while its weights are as they were comes first.
    if grown is None or (amplified is not None and _explains(run, amplified, grown)):
        grown = amplified
    found = grown or _unbounded(run)
    if found is not None:
        yield found


def _explains(run: Run, amplified: Finding, grown: Finding) -> bool:
    """Whether a layer's output was out of proportion before the weights had moved."""
    before = run.norm("weight").until(amplified.step)
    if amplified.step > grown.step or not amplified.origin.layer or len(before) < 2:
        return False
    return bool(before.log10[-1] - before.log10[0] < _MOVED)


_MOVED = 0.5
"""Decades by which the norm of weights changes that are learning, and not running away."""


def _exploding(run: Run) -> Finding | None:
    limits = run.thresholds
    curve = run.norm("gradient").until(run.damaged_from)
    if is_short(run, curve) or loss_improves(run):
        return None
    rise = risen(curve, limits.growth_decades)
    if rise is None or curve.log10[-1] < np.log10(limits.exploding_norm):
        return None
    last = int(curve.steps[-1])
    return finding_of_trend(
        run,
        "exploding-gradient",
        largest_of_role(run, "gradient", last),
        (rise.first, last),
        {"growth_decades": rise.decades, "norm": float(10 ** curve.log10[-1])},
    )


def _diverging(run: Run) -> Finding | None:
    limits = run.thresholds
    for role, decades in (("loss", limits.divergence_decades), ("weight", limits.growth_decades)):
        curve = run.norm(role).until(run.damaged_from)
        if is_short(run, curve):
            continue
        rise = risen(curve, decades)
        if rise is None or (role == "weight" and curve.log10[-1] < 3):
            continue
        if role == "loss" and loss_improves(run):
            continue  # A log-likelihood falls below zero, and on.
        last = int(curve.steps[-1])
        return finding_of_trend(
            run,
            "divergence",
            largest_of_role(run, role, last),
            (rise.first, last),
            {"growth_decades": rise.decades, "value": float(10 ** curve.log10[-1])},
            variant=role,
        )
    return None


def _unbounded(run: Run) -> Finding | None:
    """For a loss that falls and falls: below zero, with nothing to end it."""
    limits = run.thresholds
    for tensor in run.recorded("loss"):
        steps, signed = signed_values(run, tensor)
        if len(signed) < limits.trend_records or steps[-1] < limits.trend_steps:
            continue
        end = float(np.median(signed[-3:]))
        start = max(1.0, float(np.median(np.abs(signed[:3]))))
        decades = float(np.log10(max(-end, 1.0) / start))
        if end > -limits.unbounded_loss or decades < limits.growth_decades:
            continue
        beyond = np.flatnonzero(signed < -np.sqrt(start * -end))  # Halfway down, in decades.
        targets = [t for t in run.recorded("target") if run.info(t).attribute != "sample_weight"]
        lowest = [float(np.nanmin(run.histories[t].column("min"), initial=0)) for t in targets]
        return finding_of_trend(
            run,
            "divergence",
            tensor,
            (int(steps[beyond[0]]), int(steps[-1])),
            {"growth_decades": decades, "value": end, "smallest_target": min(lowest, default=0.0)},
            variant="unbounded",
        )
    return None


def _amplified(run: Run) -> Finding | None:
    """For values that one layer, or the model, makes out of all proportion to what it is given."""
    limits = run.thresholds
    chain = run.recorded("activation", "prediction")
    chain.sort(key=lambda tensor: run.order.execution_rank[tensor])
    if not run.recorded("target"):
        return None  # Whole numbers are not recorded, and may be as large.
    given = run.recorded("input", "target")
    scale = max(1.0, *(run.largest(tensor) for tensor in given))
    for tensor in chain:
        history = run.histories[tensor]
        # A large negative number may be a mask, and is meant.
        magnitude = np.where(history.last < run.damaged_from, history.column("max"), np.nan)
        beyond = np.flatnonzero(magnitude > limits.amplification * scale)
        if len(beyond):
            return finding_of_trend(
                run,
                "divergence",
                tensor,
                (int(history.last[beyond[0]]), int(history.last[beyond[-1]])),
                {"largest_magnitude": float(np.nanmax(magnitude)), "largest_input": scale},
                variant="amplified",
            )
        scale = max(scale, float(np.nanmax(magnitude, initial=0.0)))
    return None
