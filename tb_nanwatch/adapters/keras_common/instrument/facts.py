"""What Keras knows of a model: layers, variables, losses and optimizers, for the manifest."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras_common.framework import (
    framework_of,
    is_keras_builtin,
    loaded_frameworks,
)
from tb_nanwatch.adapters.keras_common.instrument.call_graph import CallGraph, is_pass_through
from tb_nanwatch.adapters.keras_common.instrument.optimizers import find_optimizers
from tb_nanwatch.adapters.tensorflow.facts import framework_facts
from tb_nanwatch.adapters.tensorflow.tensors import VariableFacts, flatten_data
from tb_nanwatch.format import LARGEST_INTEGER
from tb_nanwatch.format.facts import LayerFacts, LossFacts, ModelFacts, OptimizerFacts


def variable_facts(model: Any) -> dict[int, VariableFacts]:
    """The facts of each variable of a model, by its identity."""
    framework = framework_of(model)
    trained = {id(variable) for variable in framework.trainable_variables(model)}
    found: dict[int, VariableFacts] = {}
    for layer in framework.layers(model):
        # The variables of a frozen layer are not trained, but are no statistics.
        kept = {id(each) for each in framework.own_variables(layer, trainable=False)}
        for name, value in vars(layer).items():
            if framework.is_variable(value):
                found[id(value)] = VariableFacts(
                    id(value) in trained,
                    id(value) in kept and tf.as_dtype(value.dtype).is_floating,
                    name.lstrip("_"),  # Keras has a property for its own.
                )
    for variable in framework.variables(model):
        found.setdefault(id(variable), VariableFacts(id(variable) in trained))
    return found


def called_facts(calls: CallGraph, optimizers: Iterable[Any]) -> ModelFacts:
    """What is known of a custom loop: the layers that a step calls, and its optimizers."""
    layers = {
        id(each): framework_of(each).layer_path(each) or str(each.name)
        for each in calls.layers
        if not is_pass_through(each)
    }
    found = [
        _layer_facts(layer, layers[id(layer)], _consumed(calls, layer, layers), "")
        for layer in calls.layers
        if id(layer) in layers
    ]
    optimizers = list(optimizers)
    parts = [*calls.layers, *optimizers]
    framework = framework_of(parts[0]) if parts else loaded_frameworks()[0]
    return framework_facts(
        framework.name,
        str(framework.keras.__version__),
        layers=tuple(found),
        optimizers=tuple(optimizer_facts(each) for each in optimizers),
    )


def model_facts(model: Any, layers: Mapping[int, str], calls: CallGraph) -> ModelFacts:
    """All that is known of a model.

    Args:
      model: a compiled Keras model.
      layers: by identity, the path of each layer that has one of its own in the records, in the
        order of the model's structure.
      calls: of one step; none before the first one.
    """
    framework = framework_of(model)
    by_identity = {id(layer): layer for layer in framework.layers(model, include_self=False)}
    owners = _owners(model)
    called = [id(layer) for layer in calls.layers]
    found = []
    for key in dict.fromkeys([*(each for each in called if each in layers), *layers]):
        layer = by_identity[key]
        consumed = _consumed(calls, layer, layers)
        found.append(_layer_facts(layer, layers[key], consumed, owners.get(key, "")))
    return framework_facts(
        framework.name,
        str(framework.keras.__version__),
        dtype_policy=framework.dtype_policy(model),
        jit_compile=bool(model.jit_compile),
        layers=tuple(found),
        losses=tuple(_losses(model)),
        optimizers=tuple(optimizer_facts(each) for each in find_optimizers(model)),
        trainable_variables=len(framework_of(model).trainable_variables(model)),
    )


def _consumed(calls: CallGraph, layer: Any, layers: Mapping[int, str]) -> tuple[str, ...]:
    """The paths of the layers whose outputs a layer consumes."""
    return tuple(layers[each] for each in calls.inputs.get(id(layer), ()) if each in layers)


def _owners(model: Any) -> dict[int, str]:
    """For each layer, by identity, the attribute of a subclassed model that contains it."""
    framework = framework_of(model)
    found: dict[int, str] = {}
    for name, value in list(vars(model).items()):
        if isinstance(value, framework.keras.layers.Layer) and not name.startswith("_"):
            for layer in framework.layers(value):
                found.setdefault(id(layer), name)
    return found


def _layer_facts(layer: Any, path: str, inputs: tuple[str, ...], owner: str) -> LayerFacts:
    activation = getattr(layer, "activation", None)
    return LayerFacts(
        path,
        type(layer).__name__,
        is_builtin(type(layer)),
        str(getattr(activation, "__name__", "") or getattr(activation, "name", "")),
        inputs,
        framework_of(layer).dtype_policy(layer),
        bool(layer.trainable),
        owner,
        any(
            getattr(each, "regularizer", None) is not None
            for each in framework_of(layer).own_variables(layer, trainable=True)
        ),
    )


def is_builtin(kind: Any) -> bool:
    """Whether a class or function belongs to Keras or KerasHub, and not to the user."""
    package = str(getattr(kind, "__module__", "")).partition(".")[0]
    return is_keras_builtin(kind) or package == "keras_hub"


def _losses(model: Any) -> Iterator[LossFacts]:
    """The losses that `compile` was given, and those in attributes of the model."""
    losses = framework_of(model).keras.losses
    for name, loss in flatten_data(model.loss, ""):
        resolved = _resolved(losses, loss)
        if resolved is not None:
            yield _loss_facts(name.removeprefix("/"), resolved)
    for name, value in list(vars(model).items()):
        is_own = isinstance(value, losses.Loss) and value is not model.loss
        if is_own and not name.startswith("_"):
            yield _loss_facts(name, value)


def _resolved(losses: Any, loss: Any) -> Any:
    try:
        return losses.get(loss)
    except (ValueError, TypeError):
        return None


def _loss_facts(name: str, loss: Any) -> LossFacts:
    if hasattr(loss, "get_config"):
        kind, ignored = type(loss), _config(loss).get("ignore_class")
        is_class = isinstance(ignored, int) and abs(ignored) <= LARGEST_INTEGER
        known = ignored if is_class else None
        return LossFacts(name, kind.__name__, is_builtin(kind), _takes_logits(loss), known)
    return LossFacts(
        name, str(getattr(loss, "__name__", loss)), is_builtin(loss), _logits_by_default(loss)
    )


def _takes_logits(loss: Any) -> bool | None:
    choice = _config(loss).get("from_logits")
    return None if choice is None else bool(choice)


def _logits_by_default(function: Any) -> bool | None:
    try:
        parameter = inspect.signature(function).parameters.get("from_logits")
    except (TypeError, ValueError):
        return None
    return None if parameter is None else bool(parameter.default)


def optimizer_facts(optimizer: Any) -> OptimizerFacts:
    """What an optimizer does with gradients; for a LossScaleOptimizer, what the inner one does."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    config = _config(inner)

    def number(name: str) -> float | None:
        value = config.get(name)
        return float(value) if isinstance(value, (int, float, np.floating)) else None

    return OptimizerFacts(
        str(getattr(inner, "name", None) or getattr(inner, "_name", "")),
        type(inner).__name__,
        is_builtin(type(inner)),
        learning_rate=number("learning_rate"),
        epsilon=number("epsilon"),
        clipnorm=number("clipnorm"),
        global_clipnorm=number("global_clipnorm"),
        clipvalue=number("clipvalue"),
        is_loss_scaled=inner is not optimizer or number("loss_scale_factor") is not None,
        gradient_accumulation_steps=int(number("gradient_accumulation_steps") or 0),
    )


def _config(thing: Any) -> dict[str, Any]:
    """The configuration of a loss or optimizer; {} where a user's class has none."""
    try:
        # Outside of the step that is being traced, as it reads the learning rate from a variable.
        with tf.init_scope():
            return dict(thing.get_config())
    except Exception:
        return {}
