"""Layers' outputs, and the gradients that arrive there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tb_nanwatch.adapters.keras.instrument.call_graph import is_pass_through
from tb_nanwatch.adapters.keras.instrument.paths import Paths
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
    layers = model._flatten_layers(include_self=False)
    cells = {
        id(part)
        for layer in layers
        if isinstance(layer, keras.layers.RNN)
        for part in layer.cell._flatten_layers()
    }
    for layer in layers:
        is_input = isinstance(layer, keras.layers.InputLayer)
        if is_input or is_pass_through(layer) or id(layer) in cells:
            continue
        yield NamedLayer(paths.layer(layer), layer)


def called_method(layer: Any) -> str:
    """The method with which a layer computes its output."""
    if getattr(layer, "_remat_mode", None):
        # Returns a function that runs the layer's call again in the backward pass.
        return "rematerialized_call"
    return "call" if getattr(layer, "quantization_mode", None) is None else "quantized_call"


def named_leaves(outputs: Any, path: str) -> list[tuple[str, Any]]:
    """(name, leaf) of a layer's outputs: its path, with "/0" or "/key" where it has several."""
    return [
        ("/".join([path, *map(str, place)]), leaf)
        for place, leaf in keras.tree.flatten_with_path(outputs)
    ]


def with_gradient_hooks(outputs: Any, hooks: list[Callable[[Any], None] | None]) -> Any:
    """The outputs; the hook of each leaf is called with the gradient that arrives there.

    In the graph or tape that computes the gradient, each time that it does.
    """
    leaves = keras.tree.flatten(outputs)
    hooked = [
        leaf if hook is None else _with_gradient_hook(leaf, hook)
        for leaf, hook in zip(leaves, hooks, strict=True)
    ]
    return keras.tree.pack_sequence_as(outputs, hooked)


def _with_gradient_hook(output: Any, hook: Callable[[Any], None]) -> Any:
    if isinstance(output, tf.RaggedTensor):
        return output.with_flat_values(_with_gradient_hook(output.flat_values, hook))
    if not isinstance(output, tf.Tensor) or not (
        output.dtype.is_floating or output.dtype.is_complex
    ):
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
