"""Loss scaling: what its optimizer handled, and where it cannot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tb_nanwatch.diagnosis.advice import advice
from tb_nanwatch.diagnosis.finding import CAUSES, Finding, Place
from tb_nanwatch.diagnosis.frontier import maker
from tb_nanwatch.diagnosis.run import Run
from tb_nanwatch.diagnosis.spells import Spells, find_spells
from tb_nanwatch.diagnosis.tracks import Panel
from tb_nanwatch.diagnosis.words import named, number, steps
from tb_nanwatch.stats.columns import WINDOW_FIELD

_FORWARD = ("activation", "prediction", "loss")


def loss_scaling(run: Run) -> Iterator[Finding]:
    """One finding about the steps that a loss-scaling optimizer refused; none without any."""
    refusing = [panel for panel in run.panels if _skips(panel).any()]
    if not refusing:
        return
    panel = max(refusing, key=lambda each: int(_skips(each).sum()))
    skips, scale = _skips(panel), panel.windows[:, WINDOW_FIELD["loss_scale"]]
    at = np.flatnonzero(skips > 0)
    begin, end, streak = _longest_streak(panel, skips)
    floored = np.flatnonzero((skips > 0) & (scale <= run.thresholds.scale_floor))
    collapsed = streak >= run.thresholds.skip_streak or len(floored) > 0
    if collapsed and streak < run.thresholds.skip_streak:
        begin, end = int(floored[0]), int(floored[-1])
    elif not collapsed:
        begin, end = int(at[0]), int(at[-1])
    first, last = int(panel.first[begin]), int(panel.last[end])
    if collapsed and begin > 0 and 0 < skips[begin - 1] < _widths(panel)[begin - 1]:
        # The record before was partly refused: its last steps, as they go on.
        first -= int(skips[begin - 1])
        streak += int(skips[begin - 1])
        begin -= 1
    lowest = float(np.nanmin(scale[begin : end + 1])) if not np.isnan(scale).all() else np.nan
    evidence: dict[str, float] = {
        "skipped_steps": int(skips[begin : end + 1].sum()),
        "longest_streak": streak,
    }
    if np.isfinite(lowest):
        evidence["lowest_loss_scale"] = lowest
    origin, is_forward = _origin(run, first, last)
    cause = "loss-scale-collapse" if collapsed else "loss-scale-backoff"
    lowered = f", its scale down to {number(lowest)}" if np.isfinite(lowest) else ""
    message = (
        f"The loss-scaling optimizer refused {steps(evidence['skipped_steps'])} from step "
        f"{first:,} to step {last:,}{lowered}. "
    )
    if collapsed:
        message += (
            f"{streak:,} of them in a row: no scale is small enough, as {named(origin)} is "
            "non-finite at each."
            if streak > 1
            else f"At that scale {named(origin)} is non-finite still."
        )
    else:
        message += "It recovered, as it should: such steps change no weight."
    needs_layer = is_forward and not origin.layer and not run.records("activation")
    variant = f"/{'forward' if is_forward else 'backward'}" if collapsed else ""
    yield Finding(
        cause,
        CAUSES[cause],
        first,
        last,
        origin,
        (),
        evidence,
        message,
        advice(cause + variant, origin),
        ("activation",) if collapsed and needs_layer else (),
    )


def _skips(panel: Panel) -> np.typing.NDArray[np.float64]:
    skips: np.typing.NDArray[np.float64] = panel.windows[:, WINDOW_FIELD["scale_skipped_steps"]]
    return skips


def _widths(panel: Panel) -> np.typing.NDArray[np.int64]:
    return panel.last - panel.first + 1


def _longest_streak(panel: Panel, skips: np.typing.NDArray[np.float64]) -> tuple[int, int, int]:
    """First and last record of the longest run of refused steps, and its number of steps.

    A window in which some steps were taken ends one: which of its steps, the record does not say.
    """
    widths = _widths(panel)
    whole = skips >= widths
    best, start, steps = (0, 0, 0), 0, 0
    for record in range(len(skips)):
        if whole[record]:
            start = record if steps == 0 else start
            steps += int(widths[record])
            best = max(best, (start, record, steps), key=lambda each: each[2])
        else:
            steps = 0
    return best


def _origin(run: Run, first: int, last: int) -> tuple[Place, bool]:
    """What was first non-finite in those steps, and whether the forward pass made it."""
    spells: Spells = find_spells(
        run.history, run.panels, is_state=run.flow.is_state, scale_skipped=True
    )
    within = np.flatnonzero((spells.last >= first) & (spells.first <= last))
    if not len(within):
        return Place("gradient", "", "gradient"), False
    at = min(within.tolist(), key=lambda i: (spells.first[i], run.flow.rank[spells.tensor[i]]))
    tensor = int(spells.tensor[at])
    role = run.history.tensors[tensor].role
    if role in _FORWARD:
        return run.place(tensor), True
    layer = maker(run, tensor, int(spells.first[at])).layer
    return run.place(tensor, layer), False
