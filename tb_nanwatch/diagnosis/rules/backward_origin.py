"""Which layer makes what the backward pass shows, from where gradients are still finite."""

from __future__ import annotations

from dataclasses import dataclass

from tb_nanwatch.diagnosis.facts.run import Run

_BACKWARD = ("activation_gradient", "gradient")

_NO, _OWN, _USER_AT_END, _UNKNOWN, _USER, _INFINITE = -1, 0, 1, 2, 3, 4
"""How likely a layer of the frontier has an infinite derivative."""


@dataclass(frozen=True)
class BackwardOrigin:
    """What makes gradients non-finite.

    Attributes:
      layer: its path; None where it is the loss.
      between: the layers at both ends of where it may be; None where the layer is known.
      is_known: whether the recorded tensors show it.
      is_of_variables: whether the gradients of the layer's variables alone show it.
    """

    layer: str | None
    between: tuple[str, str] | None = None
    is_known: bool = True
    is_of_variables: bool = False


def locate_backward_origin(run: Run, origin: int, step: int) -> BackwardOrigin:
    """The layer in whose backward pass, or the loss in which, gradients became non-finite.

    Args:
      run: the run.
      origin: the first non-finite tensor of the backward pass, so the one nearest to the loss.
      step: when it was.

    What arrives at a layer's output is made downstream: by the layer that consumes it and got
    something finite. A variable's gradient is made by its own layer, where what arrived there was
    finite. Where arrivals were not recorded: if gradients of layers upstream are finite, it is the
    layer of the variable, as a non-finite arrival would have gone on to them. Else it is one of
    those from the last non-finite gradient to the first finite one; if a layer there can have an
    infinite derivative by what it is, it is that one.
    """
    order = run.order
    depth = int(order.depth[origin])
    if depth < 0:
        return BackwardOrigin(None, is_known=False)
    arrivals = run.seen_at(step, "activation_gradient")
    if run.info(origin).role == "activation_gradient":
        return _downstream(run, origin, arrivals, run.bad_at(step))
    if any(order.depth[each] == depth for each in arrivals):
        return BackwardOrigin(order.layers[depth], is_of_variables=True)
    bad = run.bad_at(step)
    if _arrives_finite(run, order.layers[depth], step, bad):
        return BackwardOrigin(order.layers[depth], is_of_variables=True)
    finite = [t for t in run.seen_at(step, *_BACKWARD) if order.depth[t] >= 0 and t not in bad]
    if any(order.depth[each] < depth for each in finite):
        return BackwardOrigin(order.layers[depth], is_of_variables=True)

    downstream = [int(order.depth[each]) for each in finite if order.depth[each] > depth]
    end = min(downstream) if downstream else len(order.layers)
    candidates = order.layers[depth : end + 1]
    priors = [_prior(run, layer, depth < depth + n < end) for n, layer in enumerate(candidates)]
    if not downstream and max(priors) <= _OWN:
        return BackwardOrigin(None, is_known=False)
    between = (order.layers[depth], order.layers[end]) if downstream else None
    return BackwardOrigin(candidates[priors.index(max(priors))], between, is_known=False)


def _arrives_finite(run: Run, layer: str, step: int, bad: set[int]) -> bool:
    """Whether what arrives at a layer's output is finite, as the gradient of its bias is."""
    return run.layers.multiplies_input(layer) and any(
        run.info(t).layer == layer and run.info(t).attribute == "bias" and t not in bad
        for t in run.seen_at(step, "gradient")
    )


def _downstream(run: Run, origin: int, arrivals: list[int], bad: set[int]) -> BackwardOrigin:
    """The layer that makes what arrives at another one's output."""
    depth = run.order.depth
    consumers = run.layers.consumers(run.info(origin).layer)
    finite = [t for t in arrivals if t not in bad and run.info(t).layer in consumers]
    if not finite:
        finite = [t for t in arrivals if depth[t] > depth[origin]]
        nearest = min((int(depth[t]) for t in finite), default=-1)
        return BackwardOrigin(run.order.layers[nearest] if finite else None)
    finite.sort(key=lambda t: (-_prior(run, run.info(t).layer, True), depth[t]))
    return BackwardOrigin(run.info(finite[0]).layer)


def _prior(run: Run, layer: str, is_within: bool) -> int:
    """How likely it is that layer, by what it is and whether it lies within the frontier."""
    layers = run.layers
    if layers.has_infinite_derivative(layer):
        return _INFINITE
    if layers.runs_user_code(layer):
        return _USER if is_within else _USER_AT_END
    if layers.is_smooth(layer):
        return _NO
    return _UNKNOWN if is_within else _OWN
