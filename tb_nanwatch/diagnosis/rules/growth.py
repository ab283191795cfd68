"""`exploding-gradient` as an error: magnitudes that grow, over steps or within one, until they
overflow; and what counts as such growth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.curves import Curve, Growth, growth
from tb_nanwatch.diagnosis.facts.magnitudes import huge
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import Affected, Finding
from tb_nanwatch.diagnosis.rules.event_finding import Answer, finding_from_event, known


def grown_until_overflow(run: Run, event: Event) -> Answer:
    """For what becomes non-finite at the end of a growth over steps that no data explains."""
    if huge_data(run, event.step):
        return None
    grown = growth_before(run, event.step)
    if grown is None or _is_one_jump_of_gradients(run, event, *grown):
        return None
    return grown_over_steps(run, event, *grown)


def _is_one_jump_of_gradients(run: Run, event: Event, quantity: str, rise: Growth) -> bool:
    """Whether gradients were huge in one step alone, and the optimizer's slots overflowed at it."""
    is_of_slot = run.info(event.origin).role == "slot"
    return quantity == "gradient" and is_of_slot and rise.is_one_jump


def grown_over_steps(run: Run, event: Event, quantity: str, rise: Growth) -> Finding:
    """For what rose over the steps up to the event's."""
    return finding_from_event(
        run,
        event,
        "exploding-gradient",
        variant="overflow",
        severity="error",
        related={"quantity": quantity},
        evidence={
            "growth_decades": rise.decades,
            # The state before the first step counts as step -1.
            "growth_first_step": max(rise.first, 0),
        },
    )


def grown_within_step(run: Run, event: Event, largest: float, quantity: str) -> Finding:
    """For values of a role that reach `largest` within the event's step."""
    inputs = run.magnitude(run.order.of_role("input"), event.step)
    return finding_from_event(
        run,
        event,
        "exploding-gradient",
        variant="depth",
        severity="error",
        related={"quantity": quantity},
        evidence=known(largest_magnitude=largest, largest_input=inputs),
    )


def growth_before(run: Run, step: int) -> tuple[str, Growth] | None:
    """What grew and how, of gradients, weights, predictions and loss up to a step."""
    limits = run.thresholds
    for role in ("gradient", "weight", "prediction", "loss"):
        curve = run.norm(role).until(step + 1)
        grown = growth(curve, limits.growth_decades, limits.growth_steps, limits.jump_decades)
        if grown is None and role == "weight":
            # A thousandfold in one step is too much for weights, if not for gradients.
            end = Curve(curve.steps[-2:], curve.log10[-2:])
            grown = growth(end, np.inf, limits.growth_steps, limits.growth_decades)
        if grown is None:
            continue
        if role == "weight":
            is_large = curve.log10[-1] >= np.log10(limits.exploding_norm)
        else:  # On its way to where squares overflow: what stays moderate has not made it.
            is_large = curve.log10[-1] + 3 * grown.pace >= np.log10(huge("float32"))
        if is_large:
            return role, grown
    return None


def huge_data(run: Run, step: int) -> str:
    """The role of data whose magnitude alone explains an overflow; "" for none."""
    for role in ("target", "input"):
        tensors = run.order.of_role(role)
        if tensors and run.magnitude(tensors, step) >= huge(run.dtype(tensors)):
            return role
    return ""


def is_overflow(finding: Finding) -> bool:
    """Whether a finding is of magnitudes that ran away."""
    if finding.severity != "error":
        return False
    evidence, limit = finding.evidence, huge("float32")
    if finding.cause in ("loss-domain", "layer-forward", "layer-backward", "loss-backward"):
        names = ("largest_target", "largest_prediction", "largest_input")
        return max(evidence.get(name, 0) for name in names) >= limit
    return finding.cause in ("exploding-gradient", "optimizer-overflow", "fill-value")


def follows(later: Finding, earlier: Finding) -> bool:
    """Whether a finding is what comes next where magnitudes have run away already."""
    is_data = later.origin.role in ("input", "target")
    return later.step <= earlier.last_step + 1 and not is_data


def with_later(finding: Finding, later: Finding) -> Finding:
    """The finding with what another one found as affected by it."""
    origin = later.origin
    reached = Affected(origin.role, origin.layer, origin.tensor, later.step, origin.worker)
    known_places = {(each.role, each.tensor, each.worker) for each in finding.affected}
    known_places.add((finding.origin.role, finding.origin.tensor, finding.origin.worker))
    more = (
        each
        for each in (reached, *later.affected)
        if (each.role, each.tensor, each.worker) not in known_places
    )
    return replace(
        finding,
        last_step=max(finding.last_step, later.last_step),
        affected=(*finding.affected, *more),
    )
