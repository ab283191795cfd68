"""Which layer made what the backward pass shows, from the frontier of finite gradients."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tb_nanwatch.diagnosis.run import Run

_BACKWARD = ("activation_gradient", "gradient")

_POLES = re.compile(
    r"(^|_)(r?sqrt|log(1p|2|10|sumexp)?|norm|normalize|pow(er)?|(true_)?divide|reciprocal|where|"
    r"a(rc)?(cos|sin)|std)($|_)"
)
"""Operations with an infinite slope somewhere, as Keras names the layers that it makes of them."""

_STANDARD = re.compile(
    r"dense|embedding|lstm|gru|simple_rnn|bidirectional|time_distributed|(\w+_)?attention|"
    r"((depthwise|separable)_)?conv(\dd)?(_transpose)?|(\w+_)?normalization|"
    r"(\w+_)?dropout(\dd)?|gaussian_noise|flatten|reshape|permute|repeat_vector|input_layer|"
    r"activation|(\w+_)?re_lu|elu|softmax|add|subtract|multiply|average|maximum|minimum|"
    r"concatenate|dot|(\w+_)?pooling\dd|zero_padding\dd|cropping\dd|up_sampling\dd|rescaling|"
    r"masking|sequential|functional"
)
"""Names that Keras gives to its own layers, which have a finite slope everywhere."""


@dataclass(frozen=True)
class Maker:
    """What makes gradients non-finite.

    Attributes:
      layer: its path; None where it is the loss.
      between: the layers on both sides of the frontier where they do not name it for sure.
      sure: whether the recorded tensors name it.
      own: whether the gradients of its variables alone show it.
    """

    layer: str | None
    between: tuple[str, str] | None = None
    sure: bool = True
    own: bool = False


def maker(run: Run, origin: int, step: int) -> Maker:
    """The layer in whose backward pass, or the loss in which, gradients became non-finite.

    Args:
      run: the run.
      origin: the first non-finite tensor of the backward pass, so the one nearest to the loss.
      step: when it was.

    What arrives at a layer's output is made behind it: by the next layer that got something
    finite. A variable's gradient is made by its own layer, where what arrived there was finite.
    Where arrivals were not recorded: if gradients of layers before it are finite, it is the layer
    of the variable, as a non-finite arrival would have gone on to them. Else it is one of those
    from the last non-finite gradient to the first finite one; if a layer there is of the kind that
    has an infinite slope, it is that one.
    """
    flow = run.flow
    depth = int(flow.depth[origin])
    arrivals = [
        tensor
        for tensor in flow.of_role("activation_gradient")
        if tensor in run.tracks and run.tracks[tensor].saw(step)
    ]
    if depth < 0:
        return Maker(None, sure=False)
    if run.history.tensors[origin].role == "activation_gradient":
        behind = [int(flow.depth[each]) for each in arrivals if flow.depth[each] > depth]
        return Maker(flow.layers[min(behind)]) if behind else Maker(None)
    if any(flow.depth[each] == depth for each in arrivals):
        return Maker(flow.layers[depth], own=True)
    finite = _finite(run, step)
    if any(flow.depth[each] < depth for each in finite):
        return Maker(flow.layers[depth], own=True)

    behind = [int(flow.depth[each]) for each in finite if flow.depth[each] > depth]
    end = min(behind) if behind else len(flow.layers)
    candidates = range(depth, min(end + 1, len(flow.layers)))
    scores = [_suspicion(flow.layers[each], within=depth < each < end) for each in candidates]
    best = candidates[int(np.argmax(scores))]
    if not behind and max(scores) <= _OWN:
        return Maker(None, sure=False)
    between = (flow.layers[depth], flow.layers[end]) if behind else None
    return Maker(flow.layers[best], between, sure=False)


_BIAS = {"kernel": "bias", "gamma": "beta", "recurrent_kernel": "bias", "depthwise_kernel": "bias"}
"""What is multiplied with what comes into a layer, and what is only added."""


def receiver(run: Run, bad: Iterable[int], step: int) -> str | None:
    """The first layer into which something non-finite comes that the loss does not show.

    Args:
      run: the run.
      bad: the gradients that became non-finite at the step.
      step: the step.

    The gradient of a bias is what arrives at its layer's output, that of a kernel is the same
    times what came in. Where the one is finite and the other is not, what came in is not: so ReLU
    kernels that drop a NaN are found out. None where activations tell, or no layer is so.
    """
    flow, infos = run.flow, run.history.tensors
    if any(t in run.tracks and run.tracks[t].saw(step) for t in flow.of_role("activation")):
        return None
    finite = {infos[each].name for each in _finite(run, step)}
    found = []
    for each in bad:
        path, _, part = infos[each].name.rpartition("/")
        if infos[each].role == "gradient" and f"{path}/{_BIAS.get(part)}" in finite:
            found.append(int(flow.depth[each]))
    return flow.layers[min(found)] if found else None


def _finite(run: Run, step: int) -> list[int]:
    """What the backward pass was seen to leave finite at the step, where it has a layer."""
    spells = run.spells
    bad = spells.tensor[(spells.first <= step) & (spells.last >= step)]
    return [
        each
        for each in run.flow.of_role(*_BACKWARD)
        if run.flow.depth[each] >= 0
        and each in run.tracks
        and run.tracks[each].saw(step)
        and each not in bad
    ]


_OWN, _WITHIN, _CUSTOM, _POLE = 0, 1, 2, 3


def _suspicion(layer: str, *, within: bool) -> int:
    """How likely a layer has an infinite slope, by its name and where it stands."""
    name = re.sub(r"(_\d+)$", "", layer.rpartition("/")[2])
    if _STANDARD.fullmatch(name):
        return _WITHIN if within else _OWN
    if _POLES.search(name):
        return _POLE
    return _CUSTOM if within else _OWN
