"""`nonfinite-input`, `nonfinite-target`, `nonfinite-initial-weight`: what a step finds non-finite.

And what is meant: -Inf alone, in data or in a constant, of which nothing ever comes, is a mask.
"""

from __future__ import annotations

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.rules.event_finding import NO_FINDING, Answer, finding_from_event

_CAUSES = {"input": "nonfinite-input", "target": "nonfinite-target"}


def mask(run: Run, event: Event) -> Answer:
    """No finding for a mask."""
    nan, pos_inf, _ = run.intervals.counts[event.interval]
    if event.affected or nan or pos_inf or run.order.is_trained[event.origin]:
        return None
    is_given = run.info(event.origin).role == "input" or run.intervals.initial[event.interval]
    return NO_FINDING if is_given else None


def nonfinite_data(run: Run, event: Event) -> Answer:
    """For inputs and targets."""
    info = run.info(event.origin)
    if info.role not in _CAUSES:
        return None
    is_weight = info.role == "target" and info.attribute == "sample_weight"
    return finding_from_event(
        run, event, _CAUSES[info.role], variant="sample-weight" if is_weight else ""
    )


def initial_weight(run: Run, event: Event) -> Answer:
    """For a variable that the first step finds non-finite."""
    if not run.intervals.initial[event.interval]:
        return None
    return finding_from_event(run, event, "nonfinite-initial-weight")
