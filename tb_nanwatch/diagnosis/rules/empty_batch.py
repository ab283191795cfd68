"""`empty-batch`: a step that was fed no rows, of which every mean is NaN."""

from __future__ import annotations

from dataclasses import replace

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.facts.tensor_history import TensorHistory
from tb_nanwatch.diagnosis.rules.event_finding import Answer, finding_from_event


def empty_batch(run: Run, event: Event) -> Answer:
    """For whatever becomes non-finite in a step whose inputs and targets have no elements."""
    if run.intervals.initial[event.interval]:
        return None
    data = [*run.recorded("input", "target"), *run.integers("input"), *run.integers("target")]
    if not data or not all(_is_empty(run.histories[tensor], event.step) for tensor in data):
        return None
    found = finding_from_event(run, event, "empty-batch")
    first = run.affected(event.origin, event.step)
    return replace(found, origin=run.place(data[0]), affected=(first, *found.affected))


def _is_empty(history: TensorHistory, step: int) -> bool:
    """Whether the tensor is known to have had no elements at the step, which ends a window."""
    index = history.record_at(step)
    if index is None or history.last[index] != step:
        return False
    sampled = history.column("sampled_steps")[index]
    if sampled == 1:
        return bool(history.column("sampled_elements")[index] == 0)
    return bool(history.column("steps")[index] == 1 and history.column("elements")[index] == 0)
