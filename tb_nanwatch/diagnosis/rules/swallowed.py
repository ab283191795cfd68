"""`swallowed-nonfinite`: a NaN in the forward pass that a later layer drops by accident."""

from __future__ import annotations

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.rules.event_finding import (
    NO_FINDING,
    Answer,
    counts,
    finding_from_event,
)
from tb_nanwatch.format.tensor_info import TensorInfo


def swallowed(run: Run, event: Event) -> Answer:
    """For what came to neither loss nor gradients; no finding where it was masked on purpose."""
    if run.info(event.origin).role not in ("activation", "prediction") or event.reached:
        return None
    if run.info(event.origin).role != "activation" or not counts(run, event)["nan"]:
        return NO_FINDING
    activations = run.order.of_role("activation")
    rank = run.order.execution_rank
    made = [event.origin, *(t for t in event.affected if t in activations)]
    end = max(made, key=lambda each: rank[each])
    after = sorted((t for t in activations if rank[t] > rank[end]), key=lambda each: rank[each])
    consumers = run.layers.consumers(run.info(end).layer)
    following = [t for t in after if run.info(t).layer in consumers] or after
    hiding = next((t for t in following[: max(1, len(consumers))] if _drops(run, end, t)), None)
    if hiding is None:
        return NO_FINDING
    return finding_from_event(
        run,
        event,
        "swallowed-nonfinite",
        related={"hiding_layer": run.info(hiding).layer},
    )


def _drops(run: Run, before: int, tensor: int) -> bool:
    """Whether a layer drops a NaN by its nature: by its class, or as it pools."""
    layer = run.info(tensor).layer
    return run.layers.drops_nan(layer) or (
        layer not in run.layers and _pools(run.info(before), run.info(tensor))
    )


def _pools(before: TensorInfo, after: TensorInfo) -> bool:
    """Whether there are fewer places and as many channels; what is masked keeps its shape."""
    given, made = (before.shape or ())[1:-1], (after.shape or ())[1:-1]
    is_smaller = len(given) == len(made) > 0 and any(
        0 < new < old for new, old in zip(made, given, strict=True)
    )
    return is_smaller and (before.shape or ())[-1:] == (after.shape or ())[-1:]
