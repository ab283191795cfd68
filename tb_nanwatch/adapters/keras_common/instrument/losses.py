"""The losses of one step: what `compute_loss` returns, and what gradient tapes differentiate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.framework import framework_of
from tb_nanwatch.adapters.tensorflow.graph.tapes import float_tensors, variables_among


class _Loss(NamedTuple):
    tensor: tf.Tensor
    part: str
    """The attribute of the model that it trains; "" where it trains the whole model."""


class Losses:
    """Collects the losses of one step, each once and unscaled.

    Args:
      model: the model that is trained.
    """

    def __init__(self, model: Any):
        self._model = model
        self._found: list[_Loss] = []
        self._scaled: list[tuple[Any, Any]] = []

    def add(self, loss: Any) -> None:
        """Adds what `compute_loss` returned."""
        self._found.append(_Loss(loss, ""))

    def add_scaled(self, loss: Any, scaled: Any) -> None:
        """Adds a loss that an optimizer scaled."""
        if scaled is not loss:
            self._scaled.append((scaled, loss))

    def add_tape_target(self, target: Any, sources: Any) -> list[tf.Tensor]:
        """Adds the losses that a tape differentiated; returns those that were not yet known.

        A loss is what is differentiated with respect to variables: a scalar, or a tensor that is
        not reduced yet, as a loss for each row, which the tape adds up. With respect to anything
        else it is a part of a loss, as in a gradient penalty.
        """
        trained = variables_among(sources)
        if not trained:
            return []
        known = [each.tensor for each in self._found]
        fresh: list[tf.Tensor] = []
        for each in float_tensors(target):
            loss = next((loss for scaled, loss in self._scaled if scaled is each), each)
            if not any(loss is other for other in (*known, *fresh)):
                fresh.append(loss)
        self._found += [_Loss(loss, _part_of(self._model, trained)) for loss in fresh]
        return fresh

    def named(self) -> Iterator[tuple[str, Any]]:
        """(name, loss) of each: "loss"; of several, "loss/generator" after what they train."""
        parts = {each.part for each in self._found}
        for loss, part in self._found:
            yield (f"loss/{part}" if part and len(parts) > 1 else "loss"), loss


def _part_of(model: Any, trained: list[Any]) -> str:
    """The name of the smallest attribute of a model that contains all the trained variables."""
    wanted = {id(each) for each in trained}
    kind = framework_of(model).keras.layers.Layer
    sizes = {}
    for name, value in list(vars(model).items()):
        if isinstance(value, kind) and not name.startswith("_"):
            variables_of_part = {id(each) for each in value.variables}
            if wanted <= variables_of_part:
                sizes[name] = len(variables_of_part)
    smallest = min(sizes.values(), default=0)
    names = [name for name, size in sizes.items() if size == smallest]
    whole = len(model.trainable_variables) == len(wanted)
    return names[0] if names and not whole else ""
