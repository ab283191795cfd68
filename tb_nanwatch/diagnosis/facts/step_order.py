"""The order in which one step computes its tensors, and which variables are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.facts import UNKNOWN_MODEL, ModelFacts
from tb_nanwatch.format.roles import FLOW
from tb_nanwatch.format.tensor_info import INTEGER, TensorInfo

_BACKWARD = frozenset({"activation_gradient", "gradient"})
_OF_LAYERS = frozenset({"activation", "activation_gradient", "gradient", "weight"})
_STATE = frozenset({"weight", "slot"})


@dataclass(frozen=True)
class StepOrder:
    """The order of the tensors of a run within a step.

    Attributes:
      tensors: of the run.
      layers: their layers in the order of execution.
      execution_rank: float64 [tensors], ascending with the step: forward through the layers,
        backward through them in reverse, then slots, updates and weights.
      depth: int64 [tensors], index in `layers`, -1 for a tensor without a layer.
      is_state: bool [tensors], whether the tensor lasts from step to step.
      is_trained: bool [tensors], whether an optimizer changes it: trainable variables and slots.
        Statistics such as those of a batch normalization are weights and not trained.
    """

    tensors: Sequence[TensorInfo]
    layers: tuple[str, ...]
    execution_rank: npt.NDArray[np.float64]
    depth: npt.NDArray[np.int64]
    is_state: npt.NDArray[np.bool_]
    is_trained: npt.NDArray[np.bool_]

    def of_role(self, *roles: str) -> list[int]:
        """The tensors of these roles, in model order; without data in whole numbers, whose
        magnitude means nothing."""
        return [
            index
            for index, info in enumerate(self.tensors)
            if info.role in roles and info.attribute != INTEGER
        ]

    def integers(self, role: str) -> list[int]:
        """The inputs or targets in whole numbers, in model order."""
        return [
            index
            for index, info in enumerate(self.tensors)
            if info.role == role and info.attribute == INTEGER
        ]


def step_order(tensors: Sequence[TensorInfo], model: ModelFacts = UNKNOWN_MODEL) -> StepOrder:
    """The order of a run's tensors.

    Args:
      tensors: in model order within each role; roles that `format.roles` does not know come last.
      model: its layers give the order; where they are not known, the order of the tensors does.
    """
    layers = layer_order(tensors, model)
    position = {layer: index for index, layer in enumerate(layers)}
    depth = np.array([position.get(_layer(info), -1) for info in tensors], np.int64)
    stage = np.array([FLOW.get(info.role, len(FLOW)) for info in tensors], np.float64)
    backward = np.array([info.role in _BACKWARD for info in tensors], bool)
    count = len(tensors)
    within = np.where(backward, len(layers) - depth, depth + 1).astype(np.float64)
    # Backward, an activation's gradient comes before those of the variables of the same layer, and
    # after those of the layers downstream: the two roles are one stage.
    together = FLOW["activation_gradient"]
    is_variable = stage == FLOW["gradient"]
    order = np.arange(count) / max(count, 1)
    within = within + np.where(is_variable, 0.5, 0.0) + 0.5 * order
    rank = np.where(backward, together, stage) * (len(layers) + 3.0) + within
    return StepOrder(
        tensors,
        layers,
        rank,
        depth,
        np.array([info.role in _STATE for info in tensors], bool),
        np.array(_trained(tensors), bool),
    )


def _trained(tensors: Sequence[TensorInfo]) -> list[bool]:
    """Of each tensor, whether an optimizer changes it.

    The recorder says so of a variable. Where it does not, a variable is trained that has a gradient
    among the tensors; where there is none at all, any that is no statistic.
    """
    differentiated = {info.name for info in tensors if info.role == "gradient"}

    def is_trained(info: TensorInfo) -> bool:
        if info.role != "weight":
            return info.role == "slot"
        if info.is_statistic or info.trainable is not None:
            return bool(info.trainable) and not info.is_statistic
        return info.name in differentiated or not differentiated

    return [is_trained(info) for info in tensors]


def layer_order(
    tensors: Sequence[TensorInfo], model: ModelFacts = UNKNOWN_MODEL
) -> tuple[str, ...]:
    """The layers in the order of execution, as far as the model or the tensors tell it.

    Activations stand in that order. A layer without one comes where the order of the variables puts
    it: after the layer of the variable before.
    """
    order = list(dict.fromkeys(layer.path for layer in model.layers))
    for role in ("activation", "gradient", "weight", "activation_gradient"):
        latest = 0
        known = set(order)
        for layer in dict.fromkeys(_layer(info) for info in tensors if info.role == role):
            if layer in known:
                latest = order.index(layer) + 1
            else:
                order.insert(latest, layer)
                known.add(layer)
                latest += 1
    return tuple(order)


def _layer(info: TensorInfo) -> str:
    """The layer; a tensor that needs one and has none is a layer of its own."""
    return info.layer or (info.name if info.role in _OF_LAYERS else "")
