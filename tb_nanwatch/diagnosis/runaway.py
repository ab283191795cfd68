"""Magnitudes that run away, over the steps or within one, until they overflow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tb_nanwatch.diagnosis.cascade import Event
from tb_nanwatch.diagnosis.curves import Curve, Growth, growth, huge
from tb_nanwatch.diagnosis.events import counts, told
from tb_nanwatch.diagnosis.finding import Finding, Victim
from tb_nanwatch.diagnosis.run import Run
from tb_nanwatch.diagnosis.words import held, named, number, sentence


def is_of_magnitude(finding: Finding) -> bool:
    """Whether a finding tells of magnitudes that ran away."""
    if finding.cause == "loss-domain":
        largest = (
            finding.evidence.get(name, 0) for name in ("largest_target", "largest_prediction")
        )
        return max(largest) >= huge("float32")
    if finding.cause == "layer-forward":
        return finding.evidence.get("largest_magnitude_before", 0) >= huge("float32")
    return finding.cause in ("exploding-gradient", "optimizer-overflow")


def belongs(later: Finding, earlier: Finding) -> bool:
    """Whether a finding is what comes next where magnitudes have run away already."""
    is_data = later.origin.role in ("input", "target")
    return later.step <= earlier.last_step + 1 and not is_data


def with_later(finding: Finding, later: Finding) -> Finding:
    origin = later.origin
    reached = Victim(origin.role, origin.layer, origin.tensor, later.step, origin.worker)
    known = {(each.role, each.tensor, each.worker) for each in finding.victims}
    known.add((finding.origin.role, finding.origin.tensor, finding.origin.worker))
    return replace(
        finding,
        last_step=max(finding.last_step, later.last_step),
        victims=(
            *finding.victims,
            *(
                each
                for each in (reached, *later.victims)
                if (each.role, each.tensor, each.worker) not in known
            ),
        ),
    )


def growth_before(run: Run, step: int) -> tuple[str, Growth] | None:
    """What grew and how, of gradients, weights, predictions and loss up to a step."""
    limits = run.thresholds
    for name in ("gradient", "weight", "prediction", "loss"):
        curve = run.norm(name).until(step + 1)
        grown = growth(curve, limits.growth_decades, limits.growth_steps, limits.jump_decades)
        if grown is None and name == "weight":
            # A thousandfold in one step is too much for weights, if not for gradients.
            end = Curve(curve.steps[-2:], curve.log10[-2:])
            grown = growth(end, np.inf, limits.growth_steps, limits.growth_decades)
        if grown is None:
            continue
        if name == "weight":
            is_large = curve.log10[-1] >= np.log10(limits.exploding_norm)
        else:  # On its way to where squares overflow: what stays moderate has not made it.
            is_large = curve.log10[-1] + 3 * grown.pace >= np.log10(huge("float32"))
        if is_large:
            return name, grown
    return None


def exploding(run: Run, event: Event, grown: tuple[str, Growth]) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    what, rise = grown
    begins = max(rise.first, 0)  # The state before the first step stands at -1.
    words = {
        "gradient": "norm of the gradients",
        "weight": "norm of the weights",
        "prediction": "norm of the predictions",
    }
    return told(
        run,
        event,
        "exploding-gradient",
        f"The {words.get(what, what)} grows by a factor of {number(10**rise.decades)} "
        f"from step {begins:,} to step {event.step:,}, where {named(place)} holds "
        f"{held(evidence)}: the training runs away and overflows.",
        severity="error",
        evidence={"growth_decades": rise.decades, "growth_first_step": begins},
    )


def exploding_in_depth(run: Run, event: Event, largest: float, what: str) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    came_in = run.magnitude(run.flow.of_role("input"), event.step)
    message = (
        f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}: within this "
        f"one step the {what} reach {number(largest)}"
    )
    if np.isfinite(came_in):
        message += f" from inputs of {number(came_in)}"
    return told(
        run,
        event,
        "exploding-gradient",
        f"{message}. The layers amplify, one after another or time step after time step.",
        variant="depth",
        severity="error",
        evidence={"largest_magnitude": largest},
    )


def huge_data(run: Run, step: int) -> str:
    """The role of data whose magnitude alone explains an overflow; "" for none."""
    for role in ("target", "input"):
        tensors = run.flow.of_role(role)
        if tensors and run.magnitude(tensors, step) >= huge(run.dtype(tensors)):
            return role
    return ""
