"""Layers' outputs, and the gradients that arrive there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tb_nanwatch.adapters.keras.instrument.call_graph import is_pass_through
from tb_nanwatch.adapters.keras.instrument.paths import Paths
from tb_nanwatch.adapters.tensorflow.private_api import private


class WatchedLayer(NamedTuple):
    """A layer whose outputs are watched, and its path within the model."""

    path: str
    layer: Any


def watched_layers(model: Any, paths: Paths) -> Iterator[WatchedLayer]:
    """The layers whose outputs say something of their own, nested ones too.

    Not the model, whose output is the prediction; not what only hands on the output of its last
    layer (Sequential and functional models); not the cell of a recurrent layer, which is called in
    a loop, once a time step.
    """
    layers = model._flatten_layers(include_self=False)
    cells = {
        id(part)
        for layer in layers
        if isinstance(layer, keras.layers.RNN)
        for part in layer.cell._flatten_layers()
    }
    for layer in layers:
        if (
            isinstance(layer, keras.layers.InputLayer)
            or is_pass_through(layer)
            or id(layer) in cells
        ):
            continue
        yield WatchedLayer(paths.layer(layer), layer)


def called_method(layer: Any) -> str:
    """Which of its methods a layer computes its output with."""
    if getattr(layer, "_remat_mode", None):
        # Gives a function that runs the layer's call again in the backward pass.
        return "rematerialized_call"
    return "call" if getattr(layer, "quantization_mode", None) is None else "quantized_call"


def named_leaves(outputs: Any, path: str) -> list[tuple[str, Any]]:
    """(name, leaf) of a layer's outputs: its path, with "/0" or "/key" where it has several."""
    return [
        ("/".join([path, *map(str, place)]), leaf)
        for place, leaf in keras.tree.flatten_with_path(outputs)
    ]


def with_tapped_gradients(outputs: Any, taps: list[Callable[[Any], None] | None]) -> Any:
    """The outputs, of which each leaf that has a tap calls it with the gradient that arrives.

    In the graph or tape that computes the gradient, each time that it does.
    """
    leaves = keras.tree.flatten(outputs)
    tapped = [
        leaf if tap is None else _tapped(leaf, tap) for leaf, tap in zip(leaves, taps, strict=True)
    ]
    return keras.tree.pack_sequence_as(outputs, tapped)


def _tapped(output: Any, tap: Callable[[Any], None]) -> Any:
    if isinstance(output, tf.RaggedTensor):
        return output.with_flat_values(_tapped(output.flat_values, tap))
    if not isinstance(output, tf.Tensor) or not (
        output.dtype.is_floating or output.dtype.is_complex
    ):
        return output

    def gradient(upstream: Any) -> list[Any]:
        tap(upstream)
        return [upstream]

    record = private("record")
    if record is None:
        return output
    # As tf.custom_gradient does, which would besides keep every traced graph for ever.
    with record.stop_recording():
        passed_on = tf.identity(output)
    record.record_operation("NaNWatchTap", [passed_on], [output], gradient)
    # A layer may have put it there itself, as Masking does its mask; and Keras computes another
    # cross-entropy of a softmax or sigmoid whose logits it does not find.
    for name in ("_keras_mask", "_keras_logits"):
        value = getattr(output, name, None)
        if value is not None:
            setattr(passed_on, name, value)
    return passed_on
