"""State that is not trained and stays non-finite while the training goes on well."""

from __future__ import annotations

import numpy as np

from tb_nanwatch.diagnosis.cascade import Event
from tb_nanwatch.diagnosis.events import counts, told
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.run import Run
from tb_nanwatch.diagnosis.runaway import growth_before
from tb_nanwatch.diagnosis.words import held, named, sentence


def poisoned_statistics(run: Run, event: Event) -> Finding | None:
    """For state that is not trained and stays non-finite while the training goes on well."""
    flow, spells = run.flow, run.spells
    statistics = {
        tensor: step
        for tensor, step in {event.origin: event.step, **event.victims}.items()
        if run.history.tensors[tensor].role == "weight" and not flow.is_trained[tensor]
    }
    if not statistics or spells.initial[event.spell]:
        return None
    first = min(statistics, key=lambda tensor: (statistics[tensor], flow.rank[tensor]))
    step = statistics[first]
    mine = int(np.flatnonzero((spells.tensor == first) & (spells.first == step))[0])
    if not goes_on(run, step, int(spells.last[mine])) and (
        first != event.origin or growth_before(run, step) is not None
    ):
        return None  # Lost with everything else.
    others = [tensor for tensor in statistics if tensor != first]
    own = Event(
        first,
        step,
        mine,
        max(int(spells.last[mine]), step),
        {tensor: statistics[tensor] for tensor in others},
    )
    place, evidence = run.place(first), counts(run, own)
    message = (
        f"{sentence(named(place))}, a statistic that training keeps and does not train, holds "
        f"{held(evidence)} from step {step:,} on"
    )
    if others:
        message += f", with {len(others):,} more"
    message += (
        ". Training uses the statistics of each batch and goes on; evaluation and prediction use "
        "these, and are lost."
    )
    return told(run, own, "poisoned-statistics", message)


def goes_on(run: Run, step: int, until: int) -> bool:
    """Whether the training is healthy at some step after `step`, up to `until`."""
    spells = run.spells
    trained = run.flow.is_trained[spells.tensor]
    if np.any(trained & (spells.first <= step) & (spells.healed > step + 1)):
        return False
    for tensor in run.flow.of_role("loss", "gradient"):
        if tensor in run.tracks:
            track = run.tracks[tensor]
            later = (track.first > step) & (track.last <= until)
            return bool(np.any(later & (track.column("nonfinite_steps") == 0)))
    return False
