"""What a step of a model may change, read before it and put back after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras.optimizers import find_optimizers


def variables_of(model: Any) -> list[Any]:
    """All that a step may change: the model's variables, its metrics' and its optimizers'."""
    optimizers = [each for found in find_optimizers(model) for each in found.variables]
    every = [*model.variables, *model.metrics_variables, *optimizers]
    return list({id(each): each for each in every}.values())


def moved(model: Any) -> list[Any]:
    """What a step moves besides its optimizer's: BatchNorm's statistics, metrics, seeds."""
    return [*model.non_trainable_variables, *model.metrics_variables]


def read(variables: Sequence[Any]) -> dict[int, tf.Tensor]:
    """The values of variables, by identity."""
    return {id(each): tf.identity(each.value) for each in variables}


def put_back(variables: Sequence[Any], before: Mapping[int, tf.Tensor]) -> None:
    """Assigns the values that were read before."""
    for each in variables:
        # A metric that was made in this very step begins at zero, as Metric.reset_state has it.
        each.assign(before[id(each)] if id(each) in before else tf.zeros_like(each.value))
