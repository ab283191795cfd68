"""`layer-forward`: a layer makes something non-finite of finite inputs."""

from __future__ import annotations

from collections.abc import Iterable

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.magnitudes import huge
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.rules.event_finding import (
    Answer,
    counts,
    finding_from_event,
    in_same_step,
    known,
)


def layer_forward(run: Run, event: Event) -> Answer:
    """For an activation or a prediction."""
    role = run.info(event.origin).role
    if role not in ("activation", "prediction"):
        return None
    around = run.magnitude(_upstream(run, event.origin), event.step)
    if counts(run, event)["nan"]:
        variant = "invalid"
    elif around >= huge(run.dtype([event.origin])):
        variant = "overflow"
    else:
        variant = "division"
    return finding_from_event(
        run,
        event,
        "layer-forward",
        variant=variant,
        evidence=known(largest_input=around),
        record_also=("activation",) if role == "prediction" else (),
    )


def hidden_forward(run: Run, event: Event) -> Answer:
    """For a gradient that is non-finite as the input of its layer is, which the loss hides.

    The gradient of a bias is what arrives at its layer's output, that of a kernel is the same times
    the input. Where the one is finite and the other is not, the input is not; the layer's
    activation function then drops it, as ReLU kernels drop a NaN. Unless the kernel is treated
    apart, by a regularizer or a penalty of its gradient.
    """
    if run.info(event.origin).role != "gradient":
        return None
    into = _first_with_nonfinite_input(run, in_same_step(event), event.step)
    if into is None:
        return None
    upstream = run.layers.inputs(into)
    return finding_from_event(
        run,
        event,
        "layer-forward",
        variant="hidden",
        layer=upstream[0] if len(upstream) == 1 else "",
        related={"next_layer": into},
        inferred_from="gradient",
        record_also=("activation",),
    )


def _upstream(run: Run, tensor: int) -> list[int]:
    """What is fed into an activation or a prediction, as far as it is known."""
    layers = run.layers.inputs(run.info(tensor).layer)
    direct = [t for t in run.order.of_role("activation") if run.info(t).layer in layers]
    if direct:
        return direct
    rank = run.order.execution_rank
    forward = run.order.of_role("input", "activation")
    return [each for each in forward if rank[each] < rank[tensor]]


def _first_with_nonfinite_input(run: Run, bad: Iterable[int], step: int) -> str | None:
    """The first such layer; None where there is none, or where activations tell."""
    if run.seen_at(step, "activation"):
        return None
    bad = set(bad)
    finite_biases = {
        run.info(t).layer
        for t in run.seen_at(step, "gradient")
        if run.info(t).attribute == "bias" and t not in bad
    }
    found = [
        t
        for t in bad
        if _is_kernel(run, t)
        and run.info(t).layer in finite_biases
        and run.layers.multiplies_input(run.info(t).layer)
        and not run.layers.is_regularized(run.info(t).layer)
        and _is_hidden(run, run.info(t).layer)
        and _is_in_whole_rows(run, t, step)
    ]
    # One input makes one layer's kernel so, or those of the layers that share it. A penalty of the
    # gradient itself makes all of them so.
    if len({run.layers.inputs(run.info(t).layer) for t in found}) > 1:
        return None
    first = min(found, key=lambda t: run.order.depth[t], default=None)
    return None if first is None else run.info(first).layer


def _is_kernel(run: Run, tensor: int) -> bool:
    info = run.info(tensor)
    return info.role == "gradient" and info.attribute == "kernel"


def _is_hidden(run: Run, layer: str) -> bool:
    """Whether the layer itself, or one that consumes its output, may drop a NaN."""
    return any(map(run.layers.drops_nan, (layer, *run.layers.consumers(layer))))


def _is_in_whole_rows(run: Run, tensor: int, step: int) -> bool:
    """Whether a kernel's gradient is non-finite for all units alike, as an input's column makes it.

    A regularizer or a constraint spoils elements of its own.
    """
    shape = run.info(tensor).shape
    spans = run.intervals
    mine = (spans.tensor == tensor) & (spans.first <= step) & (spans.last >= step)
    elements = spans.counts[mine].sum(axis=1)
    if shape is None or len(shape) != 2 or shape[-1] < 1 or not len(elements):
        return True
    return bool(elements[0] % shape[-1] == 0)
