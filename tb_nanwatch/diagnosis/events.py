"""From an event of the cascade to a finding: its counts, what came of it, and the words."""

from __future__ import annotations

import numpy as np

from tb_nanwatch.diagnosis.advice import advice
from tb_nanwatch.diagnosis.cascade import Event
from tb_nanwatch.diagnosis.finding import CAUSES, Finding, Severity
from tb_nanwatch.diagnosis.run import Run


def counts(run: Run, event: Event) -> dict[str, float]:
    """The elements of the record that holds the event's first step."""
    nan, pos_inf, neg_inf = run.spells.counts[event.spell].astype(np.int64).tolist()
    return {"nan": nan, "pos_inf": pos_inf, "neg_inf": neg_inf}


def told(
    run: Run,
    event: Event,
    cause: str,
    message: str,
    *,
    variant: str = "",
    layer: str | None = None,
    where: str = "",
    severity: Severity | None = None,
    evidence: dict[str, float] | None = None,
    turn_on: tuple[str, ...] = (),
) -> Finding:
    place = run.place(event.origin, layer)
    key = f"{cause}/{variant}" if variant else cause
    aftermath = _aftermath(run, event)
    return Finding(
        cause,
        severity or CAUSES[cause],
        event.step,
        event.last_step,
        place,
        tuple(run.victim(tensor, step) for tensor, step in event.victims.items()),
        {**counts(run, event), **(evidence or {})},
        f"{message} {aftermath}".strip(),
        advice(key, place, where),
        tuple(role for role in turn_on if not run.records(role)),
        aftermath,
    )


def _aftermath(run: Run, event: Event) -> str:
    """What came of it: the weights, and whether the loss shows it."""
    weights = {
        tensor: step
        for tensor, step in event.victims.items()
        if run.history.tensors[tensor].role == "weight" and run.flow.is_trained[tensor]
    }
    parts = []
    if weights:
        count = sum(run.flow.is_trained[t] for t in run.flow.of_role("weight"))
        parts.append(
            f"From step {min(weights.values()):,} on {len(weights):,} of {count:,} trained weights "
            "are non-finite."
        )
        if _spread_by_clipping(run, event):
            parts.append(
                "Weights whose own gradients are finite are among them: clipping by the global "
                "norm spreads one NaN to all."
            )
    if event.victims and _loss_hides(run, event):
        parts.append("The loss stays finite and hides it.")
    return " ".join(parts)


def _loss_hides(run: Run, event: Event) -> bool:
    """Whether the loss is finite from the event's first to its last step, and later than that."""
    losses = [t for t in run.flow.of_role("loss") if t in run.tracks]
    spells = run.spells
    during = (spells.first <= event.last_step) & (spells.last >= event.step)
    shown = np.isin(spells.tensor[during], losses).any()
    return not shown and any(run.tracks[t].last[-1] > event.step for t in losses)


def _spread_by_clipping(run: Run, event: Event) -> bool:
    """Whether weights went bad at a step with both finite and non-finite gradients, all at once."""
    infos = run.history.tensors
    gradients = {
        infos[tensor].name: tensor
        for tensor in run.flow.of_role("gradient")
        if tensor in run.tracks and run.tracks[tensor].saw(event.step)
    }
    bad = {
        infos[t].name
        for t, step in (*event.victims.items(), (event.origin, event.step))
        if step == event.step and infos[t].role == "gradient"
    }
    weights = {
        infos[t].name
        for t, step in event.victims.items()
        if step == event.step and infos[t].role == "weight"
    }
    return bool(bad) and any(name in gradients and name not in bad for name in weights)
