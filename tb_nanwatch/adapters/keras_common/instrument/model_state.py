"""The variables that a step of a model may change."""

from __future__ import annotations

from typing import Any

from tb_nanwatch.adapters.keras_common.framework import framework_of
from tb_nanwatch.adapters.keras_common.instrument.optimizers import find_optimizers


def model_variables(model: Any) -> list[Any]:
    """All variables that a step may change: the model's, its metrics' and its optimizers'."""
    framework = framework_of(model)
    optimizers = [
        each for found in find_optimizers(model) for each in framework.optimizer_variables(found)
    ]
    others = [*framework.metrics_variables(model), *framework.seed_variables(model)]
    every = [*framework.variables(model), *others, *optimizers]
    return list({id(each): each for each in every}.values())


def seed_variables(model: Any) -> list[Any]:
    """Those that are states of seed generators: neither a weight nor a metric's."""
    return framework_of(model).seed_variables(model)
