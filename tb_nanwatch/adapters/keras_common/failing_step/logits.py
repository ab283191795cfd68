"""Keras's own cross entropy of logits in place of one of probabilities, to try it on a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tb_nanwatch.adapters.keras_common.framework import framework_of

_FOR_PROBABILITIES = {"softmax", "sigmoid", "relu"}
"""Last activations that a cross entropy of logits takes the place of."""

_CLASSES = {
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
}


class LogitsTrial:
    """The model with logits and a loss that takes them.

    Args:
      model: compiled, with one output, and one of Keras's cross entropies of probabilities.
    """

    def __init__(self, model: Any):
        self._model = model
        self._keras = keras = framework_of(model).keras
        self.is_used = False
        loss = model.loss
        config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
        name = type(loss).__name__ if config else _CLASSES[str(getattr(loss, "__name__", loss))]
        options = {key: value for key, value in config.items() if key != "fn"}
        self._loss = getattr(keras.losses, name)(**{**options, "from_logits": True})
        layer = model.layers[-1] if model.layers else None
        activation = getattr(getattr(layer, "activation", None), "__name__", "")
        self._layer = layer if activation in _FOR_PROBABILITIES else None
        changed = ""
        if self._layer is not None:
            changed = (
                f"outputs = keras.layers.{type(layer).__name__}(units)(x)  # no {activation}\n"
            )
        self.code = f"{changed}loss = keras.losses.{name}(from_logits=True)"

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether the model's loss is one that can be given logits instead."""
        if model is None:
            return False
        loss, keras = model.loss, framework_of(model).keras
        if isinstance(loss, keras.losses.Loss):
            is_known = type(loss).__name__ in _CLASSES.values()
            return is_known and loss.get_config().get("from_logits") is False
        return str(getattr(loss, "__name__", loss)) in _CLASSES

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within it the model's steps compute the loss so."""
        model, layer = self._model, self._layer

        def compute_loss(
            x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **_: Any
        ) -> Any:
            self.is_used = True
            return sum(model.losses, self._loss(y, y_pred, sample_weight=sample_weight))

        before = None if layer is None else layer.activation
        own = vars(model).get("compute_loss")
        try:
            model.compute_loss = compute_loss
            if layer is not None:
                layer.activation = self._keras.activations.linear
            yield
        finally:
            if layer is not None:
                layer.activation = before
            if own is None:
                del model.compute_loss
            else:
                model.compute_loss = own
