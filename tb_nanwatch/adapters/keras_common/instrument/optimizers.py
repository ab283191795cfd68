"""A model's optimizers: where they are, their slots, and how they scale the loss."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.framework import (
    Update,
    framework_of,
    is_part,
    loaded_frameworks,
)
from tb_nanwatch.adapters.tensorflow.graph.function_patching import FunctionPatch, patch_functions
from tb_nanwatch.adapters.tensorflow.graph.variables import variable_path
from tb_nanwatch.adapters.tensorflow.statistics.device_state import LossScale


def find_optimizers(model: Any) -> list[Any]:
    """The model's optimizers: the compiled one, then those in attributes of its layers.

    A GAN has several. Optimizers that another one wraps are left out.
    """
    found: dict[int, Any] = {}
    for value in (model.optimizer, *map(_attributes, framework_of(model).layers(model))):
        for optimizer in _optimizers_in(value):
            found.setdefault(id(optimizer), optimizer)
    wrapped = {id(inner) for each in found.values() for inner in _wrapped(each)}
    return [optimizer for key, optimizer in found.items() if key not in wrapped]


def _attributes(owner: Any) -> list[Any]:
    return list(vars(owner).values())


def _optimizers_in(value: Any) -> Iterator[Any]:
    if is_optimizer(value):
        yield value
    elif isinstance(value, dict):
        yield from _optimizers_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            if isinstance(item, (dict, list, tuple)) or is_optimizer(item):
                yield from _optimizers_in(item)


def is_optimizer(value: Any) -> bool:
    """Whether a value is an optimizer of Keras."""
    return is_part(value) and isinstance(value, framework_of(value).optimizers)


def _wrapped(optimizer: Any) -> list[Any]:
    """The optimizers within an optimizer, such as that of a LossScaleOptimizer."""
    found = [optimizer]
    for each in found:  # grows
        for inner in _optimizers_in(_attributes(each)):
            if not any(inner is known for known in found):
                found.append(inner)
    return found[1:]


def slots(optimizer: Any, variables: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """(slot, the one of `variables` that it belongs to, or None).

    Of wrapped optimizers too. Counters, learning rate and loss scale are no slots.
    """
    framework = framework_of(optimizer)
    variables = list(variables)
    known = {id(variable) for variable in variables}
    seen: set[int] = set()
    for each in (optimizer, *_wrapped(optimizer)):
        seen.update(map(id, framework.settings(each)))
    for each in (optimizer, *_wrapped(optimizer)):
        owners: dict[str, list[Any]] = {}
        for variable in getattr(each, "_trainable_variables", None) or variables:
            owners.setdefault(framework.slot_key(_name(variable)), []).append(variable)
        alike: Counter[str] = Counter()
        for slot in framework.optimizer_variables(each):
            if id(slot) not in seen and tf.as_dtype(slot.dtype).is_floating:
                seen.add(id(slot))
                path = variable_path(slot)
                # A slot has its variable's path in its own, and no other reference. Slots of
                # variables with the same path are in the order of the variables.
                alike_owners = owners.get(framework.find_slot_key(path, owners) or "", [None])
                owner = alike_owners[min(alike[path], len(alike_owners) - 1)]
                alike[path] += 1
                yield slot, owner if id(owner) in known else None


def waits_for_gradients(optimizer: Any, variables: Iterable[Any]) -> Iterator[Any]:
    """What an update computes from gradients alone: those of `variables` that do not decay, and
    their slots; no counter, and no product of coefficients."""
    variables = list(variables)
    if not any(getattr(each, "weight_decay", None) for each in (optimizer, *_wrapped(optimizer))):
        yield from variables
    for slot, owner in slots(optimizer, variables):
        if owner is not None:
            yield slot


def _name(variable: Any) -> str:
    return str(variable.path if hasattr(variable, "path") else variable.name)


def loss_scale(optimizer: Any) -> LossScale | None:
    """The factor of the loss, and so of the gradients; before an update changes it."""
    return framework_of(optimizer).loss_scale(optimizer)


def iterations(optimizer: Any) -> int:
    """Steps that the optimizer has counted: micro-batches, not updates; 0 without optimizer.

    Of several, which a wide and deep model of Keras 2 is compiled with, the first one counts.
    """
    if isinstance(optimizer, (list, tuple)):
        return iterations(next(iter(optimizer), None))
    return 0 if optimizer is None else framework_of(optimizer).iterations(optimizer)


def build_optimizer(model: Any) -> None:
    """Creates the optimizer's variables, as the first step would.

    Creating them in the step would have it traced twice, with all that we add to it. Only where it
    is certain what the step would create: for Keras' own step, and a model whose layers are built.
    """
    # None, or of Keras 2 several, or one of TensorFlow 1.
    if not is_optimizer(model.optimizer):
        return
    framework = framework_of(model)
    is_plain = getattr(model.train_step, "__func__", None) is framework.keras.Model.train_step
    is_built = all(layer.built for layer in framework.layers(model))
    if is_plain and is_built and model.trainable_variables:
        build(model.optimizer, model.trainable_variables)


def build(optimizer: Any, variables: Iterable[Any], gradients: Iterable[Any] | None = None) -> None:
    """Creates the optimizer's variables, if it has not done so, as its update would.

    Where there is nothing to update, an update creates none: what comes later may create them.
    """
    variables = list(variables)
    if variables:
        given = None if gradients is None else list(gradients)
        framework_of(optimizer).build(optimizer, variables, given)


@contextmanager
def on_optimizer_update(call: Callable[[Any, Update], Any]) -> Iterator[None]:
    """Runs `call` in place of each update by a Keras optimizer, until the block ends.

    In this thread alone, and in those of its replicas. When an optimizer has another one update, as
    a LossScaleOptimizer does, that runs unchanged.

    Args:
      call: takes the optimizer and the update, and returns what that does.
    """
    is_inner = False

    def apply(original: Callable[..., Any], optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal is_inner
        own = functools.partial(original, optimizer)
        if is_inner:
            return own(*args, **kwargs)
        is_inner = True
        try:
            return call(optimizer, framework_of(optimizer).update(optimizer, own, *args, **kwargs))
        finally:
            is_inner = False

    patches = [
        FunctionPatch(kind, framework.update_method, apply)
        for framework in loaded_frameworks()
        for kind in dict.fromkeys(framework.update_classes())
        if framework.update_method in vars(kind)
    ]
    with patch_functions(*patches):
        yield
