"""`poisoned-statistics`: untrained variables stay non-finite while training goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.event_finding import NO_FINDING, Answer, finding_from_event
from tb_nanwatch.diagnosis.rules.growth import growth_before


def surviving_statistics(run: Run, event: Event) -> Answer:
    """No finding of an event rule: `poisoned_statistics` finds it."""
    if _is_statistic(run, event.origin) and goes_on(run, event.step, event.last_step):
        return NO_FINDING
    return None


def lost_statistics(run: Run, event: Event) -> Answer:
    """No finding: lost with everything else."""
    return NO_FINDING if _is_statistic(run, event.origin) else None


def poisoned_statistics(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One for each event that left statistics non-finite in a training run that goes on well."""
    empty = {each.step for each in findings if each.cause == "empty-batch"}
    for event in run.events:
        own = _of_event(run, event)
        if own is not None and own.step in empty and not goes_on(run, own.step, own.last_step):
            continue  # Lost with everything else.
        if own is not None:
            info = run.info(own.origin)
            # Where the layer that holds the variable is known, so is what it keeps as a statistic.
            is_untrained = bool(info.attribute) and not info.is_statistic
            variant = "untrained" if is_untrained else ""
            yield finding_from_event(run, own, "poisoned-statistics", variant=variant)


def _of_event(run: Run, event: Event) -> Event | None:
    """The event of the statistics alone; None where they were lost with everything else."""
    spans, rank = run.intervals, run.order.execution_rank
    statistics = {
        tensor: step
        for tensor, step in {event.origin: event.step, **event.affected}.items()
        if _is_statistic(run, tensor)
    }
    if not statistics or spans.initial[event.interval]:
        return None
    first = min(statistics, key=lambda tensor: (statistics[tensor], rank[tensor]))
    step = statistics.pop(first)
    mine = int(np.flatnonzero((spans.tensor == first) & (spans.first == step))[0])
    if not goes_on(run, step, int(spans.last[mine])) and (
        first != event.origin or growth_before(run, step) is not None
    ):
        return None
    return Event(first, step, mine, max(int(spans.last[mine]), step), statistics)


def _is_statistic(run: Run, tensor: int) -> bool:
    return run.info(tensor).role == "weight" and not run.order.is_trained[tensor]


def goes_on(run: Run, step: int, until: int) -> bool:
    """Whether the training is healthy at some step after `step`, up to `until`."""
    spans = run.intervals
    trained = run.order.is_trained[spans.tensor]
    if np.any(trained & (spans.first <= step) & (spans.recovered_at > step + 1)):
        return False
    for tensor in run.recorded("loss", "gradient"):
        history = run.histories[tensor]
        later = (history.first > step) & (history.last <= until)
        return bool(np.any(later & (history.column("nonfinite_steps") == 0)))
    return False
