"""The order in which data flows through one step of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.roles import FLOW
from tb_nanwatch.format.tensor_info import TensorInfo

_BACKWARD = frozenset({"activation_gradient", "gradient"})
_LAYERED = frozenset({"activation", "activation_gradient", "gradient", "weight"})
_STATE = frozenset({"weight", "slot"})


@dataclass(frozen=True)
class Flow:
    """Where each tensor of a run stands in the flow of a step.

    Attributes:
      tensors: of the run.
      layers: their layers in the order of execution.
      rank: float64 [tensors], ascending with the flow: forward through the layers, backward
        through them in reverse, then slots, updates and weights.
      depth: int64 [tensors], index in `layers`, -1 for a tensor without a layer.
      is_state: bool [tensors], whether the tensor lasts from step to step.
      is_trained: bool [tensors], whether an optimizer changes it: a weight with a gradient, or a
        slot. Statistics such as those of a batch normalization are weights and not trained.
    """

    tensors: Sequence[TensorInfo]
    layers: tuple[str, ...]
    rank: npt.NDArray[np.float64]
    depth: npt.NDArray[np.int64]
    is_state: npt.NDArray[np.bool_]
    is_trained: npt.NDArray[np.bool_]

    def of_role(self, *roles: str) -> list[int]:
        """The tensors of these roles, in model order."""
        return [index for index, info in enumerate(self.tensors) if info.role in roles]


def flow(tensors: Sequence[TensorInfo]) -> Flow:
    """The flow through the tensors of a run, which stand in model order within each role."""
    layers = layer_order(tensors)
    position = {layer: index for index, layer in enumerate(layers)}
    depth = np.array([position.get(_layer(info), -1) for info in tensors], np.int64)
    stage = np.array([FLOW.get(info.role, len(FLOW)) for info in tensors], np.float64)
    backward = np.array([info.role in _BACKWARD for info in tensors], bool)
    count = len(tensors)
    within = np.where(backward, len(layers) - depth, depth + 1).astype(np.float64)
    # Backward, an activation's gradient comes before those of the variables of the same layer, and
    # after those of the layers behind: the two roles are one stage.
    together = FLOW["activation_gradient"]
    is_variable = stage == FLOW["gradient"]
    order = np.arange(count) / max(count, 1)
    within = within + np.where(is_variable, 0.5, 0.0) + 0.5 * order
    rank = np.where(backward, together, stage) * (len(layers) + 3.0) + within
    differentiated = {info.name for info in tensors if info.role == "gradient"}
    is_trained = [
        info.role == "slot"
        or (
            info.role == "weight"
            and (info.name in differentiated or not (differentiated or _is_statistic(info.name)))
        )
        for info in tensors
    ]
    return Flow(
        tensors,
        layers,
        rank,
        depth,
        np.array([info.role in _STATE for info in tensors], bool),
        np.array(is_trained, bool),
    )


def layer_order(tensors: Sequence[TensorInfo]) -> tuple[str, ...]:
    """The layers in the order of execution, as far as the tensors tell it.

    Activations stand in that order. Layers without one (or with none recorded) come where the
    order of the variables puts them: after the layer before them, within the one around them.
    """
    order = list(dict.fromkeys(_layer(info) for info in tensors if info.role == "activation"))
    for role in ("gradient", "weight", "activation_gradient"):
        latest = 0
        known = set(order)
        for layer in dict.fromkeys(_layer(info) for info in tensors if info.role == role):
            if layer not in known:
                around = next((each for each in _around(layer) if each in known), None)
                latest = order.index(around) if around is not None else latest
                order.insert(latest, layer)
                known.add(layer)
                latest += 1
            else:
                latest = order.index(layer) + 1
    return tuple(order)


def _layer(info: TensorInfo) -> str:
    """The layer; of what names none and has to have one, the path or name stands for it."""
    if info.layer or info.role not in _LAYERED:
        return info.layer
    return info.name.rpartition("/")[0] or info.name


def _around(layer: str) -> list[str]:
    """The layers that a path lies within, the innermost first."""
    parts = layer.split("/")
    return ["/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def _is_statistic(name: str) -> bool:
    return name.rpartition("/")[2].startswith("moving_")
