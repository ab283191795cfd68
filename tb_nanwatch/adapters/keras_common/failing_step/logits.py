"""Keras's own cross entropy of logits in place of one of probabilities, to try it on a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tb_nanwatch.adapters.keras_common.framework import framework_of, is_keras_builtin

_FOR_PROBABILITIES = {"softmax", "sigmoid", "relu"}
"""Last activations that a cross entropy of logits takes the place of."""

_CLASSES = {
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
}


class LogitsTrial:
    """The model with logits and a loss that takes them; made by `logits_trial`.

    Args:
      model: the compiled model.
      loss_class: name of the class of its loss.
      options: of that loss.
    """

    def __init__(self, model: Any, loss_class: str, options: dict[str, Any]):
        self._model = model
        self._keras = keras = framework_of(model).keras
        self.is_used = False
        self._loss = getattr(keras.losses, loss_class)(**{**options, "from_logits": True})
        layer = model.layers[-1] if model.layers else None
        activation = getattr(getattr(layer, "activation", None), "__name__", "")
        self._layer = layer if activation in _FOR_PROBABILITIES else None
        changed = ""
        if self._layer is not None:
            changed = (
                f"outputs = keras.layers.{type(layer).__name__}(units)(x)  # no {activation}\n"
            )
        self.code = f"{changed}loss = keras.losses.{loss_class}(from_logits=True)"

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


def logits_trial(model: Any) -> LogitsTrial | None:
    """The trial of a model whose one loss, of one output, is a cross entropy of probabilities.

    None for any other, and for a model that computes its loss by itself.
    """
    if model is None or not is_keras_builtin(type(model).compute_loss):
        return None
    loss, keras = model.loss, framework_of(model).keras
    if len(getattr(model, "outputs", None) or [None]) > 1:
        return None
    if not isinstance(loss, keras.losses.Loss):
        loss_class = _CLASSES.get(str(getattr(loss, "__name__", loss)))
        return None if loss_class is None else LogitsTrial(model, loss_class, {})
    loss_class, config = type(loss).__name__, loss.get_config()
    if loss_class not in _CLASSES.values() or config.get("from_logits") is not False:
        return None
    return LogitsTrial(
        model, loss_class, {key: value for key, value in config.items() if key != "fn"}
    )
