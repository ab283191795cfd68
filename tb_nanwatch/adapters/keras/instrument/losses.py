"""The losses of one step: what `compute_loss` gives, and what tapes are asked to differentiate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.tapes import scalars, variables


class _Loss(NamedTuple):
    tensor: tf.Tensor
    part: str
    """The attribute of the model that alone is trained by it; "" where it is all of the model."""


class Losses:
    """Collects the losses of one step, each once and unscaled.

    Args:
      model: the model that is trained.
    """

    def __init__(self, model: Any):
        self._model = model
        self._found: list[_Loss] = []
        self._scaled: list[tuple[Any, Any]] = []

    def computed(self, loss: Any) -> None:
        """Takes in what `compute_loss` gives."""
        self._found.append(_Loss(loss, ""))

    def scaled(self, loss: Any, scaled: Any) -> None:
        """Takes in what an optimizer makes of a loss."""
        if scaled is not loss:
            self._scaled.append((scaled, loss))

    def differentiated(self, target: Any, sources: Any) -> list[tf.Tensor]:
        """Takes in what a tape was asked for: the losses among it that were not yet known.

        A loss is a scalar whose gradient by variables is asked for. By anything else it is a part
        of a loss, as in a gradient penalty.
        """
        trained = variables(sources)
        if not trained:
            return []
        known = [each.tensor for each in self._found]
        fresh: list[tf.Tensor] = []
        for each in scalars(target):
            loss = next((loss for scaled, loss in self._scaled if scaled is each), each)
            if not any(loss is other for other in (*known, *fresh)):
                fresh.append(loss)
        self._found += [_Loss(loss, _part_of(self._model, trained)) for loss in fresh]
        return fresh

    def named(self) -> Iterator[tuple[str, Any]]:
        """(name, loss) of each: "loss", and of several "loss/generator" by what they train."""
        parts = {each.part for each in self._found}
        for loss, part in self._found:
            yield (f"loss/{part}" if part and len(parts) > 1 else "loss"), loss


def _part_of(model: Any, trained: list[Any]) -> str:
    """The attribute of a model that holds all of the trained variables, the smallest such."""
    wanted = {id(each) for each in trained}
    sizes = {}
    for name, value in list(vars(model).items()):
        if isinstance(value, keras.layers.Layer) and not name.startswith("_"):
            held = {id(each) for each in value.variables}
            if wanted <= held:
                sizes[name] = len(held)
    smallest = min(sizes.values(), default=0)
    names = [name for name, size in sizes.items() if size == smallest]
    whole = len(model.trainable_variables) == len(wanted)
    return names[0] if names and not whole else ""
