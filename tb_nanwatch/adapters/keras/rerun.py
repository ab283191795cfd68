"""Runs a step of a Keras model once more, operation by operation, and leaves all as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras.layer_outputs import hands_on, relative_path
from tb_nanwatch.adapters.keras.optimizers import find_optimizers
from tb_nanwatch.adapters.keras.spies import Spies, Spy
from tb_nanwatch.adapters.keras.withholding import variables_of
from tb_nanwatch.adapters.tensorflow.operation_origin import Search, find_origin
from tb_nanwatch.adapters.tensorflow.operations import traced


def examine(
    model: Any, train_step: Callable[[Any], Any], data: Any, progress: Callable[[int], None]
) -> Search:
    """Runs the step eagerly, without its update, and looks for the operation at fault.

    Args:
      model: the model, in the state before the step.
      train_step: its own, bound.
      data: the batch.
      progress: told the number of operations so far, after each.
    """

    def layer_of(owner: Any) -> str | None:
        if not isinstance(owner, keras.Operation) or owner is model or hands_on(owner):
            return None
        return relative_path(getattr(owner, "path", None) or owner.name, model)

    def withhold(observer: Any, original: Any, *args: Any, **kwargs: Any) -> None:
        """In place of an optimizer's `apply`."""

    spied = [Spy(each, "apply", withhold) for each in find_optimizers(model)]
    spies: Spies[str] = Spies()
    with unchanged(model), spies.report_to("rerun", spied), traced(layer_of, progress) as trace:
        train_step(data)
    leaves = tf.nest.flatten(data, expand_composites=True)
    read = [each.value for each in model.variables if tf.as_dtype(each.dtype).is_floating]
    return find_origin(trace, [leaf for leaf in leaves if leaf is not None], read)


@contextmanager
def unchanged(model: Any) -> Iterator[None]:
    """Puts all variables back when the block ends, however it ends."""
    # A read shares the variable's memory until something is assigned.
    before = [(each, tf.convert_to_tensor(each.value)) for each in variables_of(model)]
    try:
        yield
    finally:
        for each, value in before:
            each.assign(value)


def state_of(model: Any) -> dict[str, Any]:
    """All that a step may change, as arrays, by number and path."""
    variables = variables_of(model)
    return {f"{n:06d}/{each.path}": each.numpy() for n, each in enumerate(variables)}


def batch_of(data: Any) -> dict[str, Any]:
    """The arrays of a batch by their place, such as "0" or "1/mask"; without sparse tensors."""
    return {
        "/".join(map(str, place)): np.asarray(leaf)
        for place, leaf in keras.tree.flatten_with_path(data)
        if isinstance(leaf, tf.Tensor)
    }


def rows_of(data: Any) -> int | None:
    """How many rows the batch has; None where its tensors do not agree on it."""
    leaves = [leaf for leaf in tf.nest.flatten(data) if isinstance(leaf, tf.Tensor)]
    sizes = {leaf.shape[0] for leaf in leaves if leaf.shape.rank}
    return sizes.pop() if len(sizes) == 1 else None
