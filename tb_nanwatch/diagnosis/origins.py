"""From an event of the cascade to its cause: what made something non-finite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tb_nanwatch.diagnosis import advice
from tb_nanwatch.diagnosis.cascade import Cascade, Event
from tb_nanwatch.diagnosis.finding import CAUSES, Finding, Place, Severity
from tb_nanwatch.diagnosis.run import Run
from tb_nanwatch.diagnosis.words import held, named


def origins(run: Run) -> Iterator[Finding]:
    """A finding for each event that did harm."""
    cascade = Cascade(run.flow, run.spells, run.tracks)
    for event in cascade.events:
        yield from _finding(run, event)


def _finding(run: Run, event: Event) -> Iterator[Finding]:
    info = run.history.tensors[event.origin]
    if info.role in ("input", "target"):
        yield _said(run, event, f"nonfinite-{info.role}")
    elif run.spells.initial[event.spell]:
        yield _said(run, event, "nonfinite-initial-weight")
    elif info.role == "loss":
        yield _said(run, event, "loss-domain")
    elif info.role in ("activation", "prediction") and event.reached:
        yield _said(run, event, "layer-forward")
    elif info.role in ("activation_gradient", "gradient"):
        yield _said(run, event, "layer-backward")
    elif info.role in ("slot", "update", "weight"):
        yield _said(run, event, "optimizer-overflow")


def _said(run: Run, event: Event, cause: str) -> Finding:
    place = run.place(event.origin)
    evidence = counts(run, event)
    severity: Severity = CAUSES[cause]
    victims = tuple(run.victim(*pair) for pair in event.victims.items())
    return Finding(
        cause,
        severity,
        event.step,
        event.last_step,
        place,
        victims,
        evidence,
        message=_message(place, event, evidence),
        advice=advice.of(cause, place),
    )


def counts(run: Run, event: Event) -> dict[str, float]:
    """The elements of the record that holds the event's first step."""
    nan, pos_inf, neg_inf = run.spells.counts[event.spell].astype(np.int64).tolist()
    return {"nan": nan, "pos_inf": pos_inf, "neg_inf": neg_inf}


def _message(place: Place, event: Event, evidence: dict[str, float]) -> str:
    return f"At step {event.step} {named(place)} holds {held(evidence)}."
