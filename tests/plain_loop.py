"""A training loop that knows nothing of NaNWatch: each tensor of each step, as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf


class Seen(NamedTuple):
    """One tensor of one step. `layer` is "" where it belongs to none."""

    step: int
    role: str
    layer: str
    value: npt.NDArray[Any]

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.value).all())


def observe(training: Any) -> Iterator[Seen]:
    """Trains as `model.fit` does, and gives all tensors of a step in the order of data flow.

    Weights are first given as they are before step 0, with step -1. Gradients are as before any
    clipping; those of a step that loss scaling refuses are left out.

    Args:
      training: a `tb_nanwatch_demo.training.Training`, whose layers are called once each.
    """
    model, optimizer = training.model, training.model.optimizer
    layers = [
        layer
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer) and "float" in layer.output.dtype
    ]
    tower = keras.Model(model.inputs, [layer.output for layer in layers])
    owner = {variable.path: layer.name for layer in layers for variable in layer.variables}
    variables = model.trainable_variables
    optimizer.build(variables)
    slots = getattr(optimizer, "inner_optimizer", optimizer).variables

    @tf.function
    def train_step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            activations = tf.nest.flatten(tower(x, training=True))
            loss = model.compute_loss(x, y, activations[-1])
            scaled = optimizer.scale_loss(loss)
        upstream, gradients = tape.gradient(scaled, (activations, variables))
        before = [tf.identity(variable) for variable in variables]
        optimizer.apply(gradients, variables)
        updates = [after - b for after, b in zip(variables, before, strict=True)]
        return activations, loss, upstream, gradients, updates

    def weights(step: int) -> Iterator[Seen]:
        for variable in model.weights:
            yield Seen(step, "weight", owner[variable.path], variable.numpy())

    yield from weights(-1)
    rows = range(0, len(training.x), training.batch)
    for step, start in enumerate([*rows] * training.epochs):
        x, y = (data[start : start + training.batch] for data in (training.x, training.y))
        activations, loss, upstream, gradients, updates = tf.nest.map_structure(
            lambda tensor: None if tensor is None else tensor.numpy(), train_step(x, y)
        )
        names = [layer.name for layer in layers]
        owners = [owner[variable.path] for variable in variables]
        yield Seen(step, "input", "", x)
        yield Seen(step, "target", "", y)
        for name, value in zip(names, activations, strict=True):
            yield Seen(step, "activation", name, value)
        yield Seen(step, "prediction", "", activations[-1])
        yield Seen(step, "loss", "", loss)
        scaling = hasattr(optimizer, "dynamic_scale")
        if not (scaling and any(not np.isfinite(value).all() for value in gradients)):
            for name, value in reversed([*zip(names, upstream, strict=True)]):
                if value is not None:
                    yield Seen(step, "activation_gradient", name, value)
            for name, value in reversed([*zip(owners, gradients, strict=True)]):
                yield Seen(step, "gradient", name, value)
        for slot in slots:
            yield Seen(step, "slot", "", slot.numpy())
        for name, value in zip(owners, updates, strict=True):
            yield Seen(step, "update", name, value)
        yield from weights(step)
