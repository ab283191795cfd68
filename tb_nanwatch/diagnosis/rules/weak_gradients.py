"""`vanishing-gradient`, `dead-layer`: gradients too small to learn by, or exactly zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tb_nanwatch.diagnosis.facts.layer_gradients import LayerGradients, layer_gradients
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.facts.trends import is_short
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.trend_finding import finding_of_trend

_TINY = 1e-46
"""Stands for a root mean square of 0: below every float32."""


def weak_gradients(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One finding at most: gradients that vanish over depth explain layers that are dead."""
    layers = layer_gradients(run)
    found = _vanishing(run, layers) or _dead(run, layers)
    if found is not None:
        yield found


def _vanishing(run: Run, layers: Sequence[LayerGradients]) -> Finding | None:
    limits = run.thresholds
    curve = run.norm("gradient").until(run.damaged_from)
    if len(layers) < limits.vanishing_layers or is_short(run, curve):
        return None
    rms = np.log10(np.fmax([layer.rms for layer in layers], _TINY))
    part = max(1, len(layers) // 4)
    first, last = float(np.median(rms[:part])), float(np.median(rms[-part:]))
    middle = float(np.median(rms[part:-part]))
    falls_steadily = first < middle < last and float(np.diff(rms).max()) < 0.8 * (last - first)
    if last - first < -np.log10(limits.vanishing_ratio) or not falls_steadily:
        return None
    origin, end = layers[0], layers[-1]
    return finding_of_trend(
        run,
        "vanishing-gradient",
        origin.tensor,
        (origin.first, origin.last),
        {"rms_first_layer": origin.rms, "rms_last_layer": end.rms, "layers": len(layers)},
        related={"last_layer": end.layer},
    )


def _dead(run: Run, layers: Sequence[LayerGradients]) -> Finding | None:
    dead = [layer for layer in layers if layer.zero_steps >= run.thresholds.dead_steps]
    if not dead:
        return None
    origin = dead[-1]  # Nearest to the loss: those upstream get nothing through it.
    since = origin.zero_since
    if since is None or run.has_converged(since):
        return None
    # What had a gradient at first depends on the weights: a step has switched it off.
    died = since > origin.first
    return finding_of_trend(
        run,
        "dead-layer",
        origin.tensor,
        (since, origin.last),
        {"zero_steps": origin.zero_steps, "layers": len(dead)},
        variant="units" if died else "loss" if len(dead) == len(layers) else "cut",
        affected=tuple(run.affected(layer.tensor, layer.zero_since or 0) for layer in dead[:-1]),
    )
