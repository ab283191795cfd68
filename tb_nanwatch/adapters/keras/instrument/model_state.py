"""What a step of a model may change."""

from __future__ import annotations

from typing import Any

from tb_nanwatch.adapters.keras.instrument.optimizers import find_optimizers


def variables_of(model: Any) -> list[Any]:
    """All that a step may change: the model's variables, its metrics' and its optimizers'."""
    optimizers = [each for found in find_optimizers(model) for each in found.variables]
    every = [*model.variables, *model.metrics_variables, *optimizers]
    return list({id(each): each for each in every}.values())


def seeds_of(model: Any) -> list[Any]:
    """Of these the states of seed generators: what is neither a weight nor a metric's."""
    others = {id(each) for each in (*model.weights, *model.metrics_variables)}
    return [each for each in model.variables if id(each) not in others]
