"""The variables that a step of a model may change."""

from __future__ import annotations

from typing import Any

from tb_nanwatch.adapters.keras.instrument.optimizers import find_optimizers


def model_variables(model: Any) -> list[Any]:
    """All variables that a step may change: the model's, its metrics' and its optimizers'."""
    optimizers = [each for found in find_optimizers(model) for each in found.variables]
    every = [*model.variables, *model.metrics_variables, *optimizers]
    return list({id(each): each for each in every}.values())


def seed_variables(model: Any) -> list[Any]:
    """Those that are states of seed generators: neither a weight nor a metric's."""
    others = {id(each) for each in (*model.weights, *model.metrics_variables)}
    return [each for each in model.variables if id(each) not in others]
