"""Layers' outputs, and the gradients that arrive there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.framework import KerasFramework, framework_of
from tb_nanwatch.adapters.keras_common.instrument.call_graph import is_pass_through
from tb_nanwatch.adapters.keras_common.instrument.paths import Paths
from tb_nanwatch.adapters.tensorflow.private_api import private


class NamedLayer(NamedTuple):
    """A layer, and its path within the model."""

    path: str
    layer: Any


def layers_with_outputs(model: Any, paths: Paths) -> Iterator[NamedLayer]:
    """The layers whose outputs can be recorded, nested ones too.

    Not the model, whose output is the prediction; not Sequential and functional models, which pass
    on the output of their last layer; not the cell of a recurrent layer, which is called in a loop,
    once a time step.
    """
    framework = framework_of(model)
    kinds = framework.keras.layers
    layers = framework.layers(model, include_self=False)
    cells = {
        id(part)
        for layer in layers
        if isinstance(layer, kinds.RNN) and isinstance(layer.cell, kinds.Layer)
        for part in framework.layers(layer.cell)
    }
    for layer in layers:
        is_input = isinstance(layer, kinds.InputLayer)
        if is_input or is_pass_through(layer) or id(layer) in cells:
            continue
        yield NamedLayer(paths.layer(layer), layer)


def named_leaves(framework: KerasFramework, outputs: Any, path: str) -> list[tuple[str, Any]]:
    """(name, leaf) of a layer's outputs: its path, with "/0" or "/key" where it has several."""
    return [
        ("/".join([path, *map(str, place)]), leaf)
        for place, leaf in framework.flatten_with_path(outputs)
    ]


def with_gradient_hooks(
    framework: KerasFramework, outputs: Any, hooks: list[Callable[[Any], None] | None]
) -> Any:
    """The outputs; the hook of each leaf is called with the gradient that arrives there.

    In the graph or tape that computes the gradient, each time that it does.
    """
    leaves = framework.flatten(outputs)
    hooked = [
        leaf if hook is None else _with_gradient_hook(framework, leaf, hook)
        for leaf, hook in zip(leaves, hooks, strict=True)
    ]
    return framework.pack(outputs, hooked)


def _with_gradient_hook(framework: KerasFramework, output: Any, hook: Callable[[Any], None]) -> Any:
    if isinstance(output, tf.RaggedTensor):
        values = _with_gradient_hook(framework, output.flat_values, hook)
        return output.with_flat_values(values)
    if not isinstance(output, tf.Tensor) or not (
        output.dtype.is_floating or output.dtype.is_complex
    ):
        return output
    if framework.hides_logits(output):
        return output

    def gradient(upstream: Any) -> list[Any]:
        hook(upstream)
        return [upstream]

    record = private("record")
    if record is None:
        return output
    # As tf.custom_gradient does, which would also keep every traced graph alive forever.
    with record.stop_recording():
        passed_on = tf.identity(output)
    record.record_operation("NaNWatchGradientHook", [passed_on], [output], gradient)
    # A layer may have set these itself, as Masking does its mask; and Keras computes a different
    # cross-entropy of a softmax or sigmoid whose logits it does not find.
    for name in ("_keras_mask", "_keras_logits"):
        value = getattr(output, name, None)
        if value is not None:
            setattr(passed_on, name, value)
    return passed_on
