"""A model's optimizers: where they are, their slots, and how they scale the loss."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.function_patching import FunctionPatch, patch_functions
from tb_nanwatch.adapters.tensorflow.statistics.device_state import LossScale


def find_optimizers(model: Any) -> list[Any]:
    """The model's optimizers: the compiled one, then those in attributes of its layers.

    A GAN has several. Optimizers that another one wraps are left out.
    """
    found: dict[int, Any] = {}
    for value in (model.optimizer, *(_attributes(layer) for layer in model._flatten_layers())):
        for optimizer in _optimizers_in(value):
            found.setdefault(id(optimizer), optimizer)
    wrapped = {id(inner) for each in found.values() for inner in _wrapped(each)}
    return [optimizer for key, optimizer in found.items() if key not in wrapped]


def _attributes(owner: Any) -> list[Any]:
    return list(vars(owner).values())


def _optimizers_in(value: Any) -> Iterator[Any]:
    if isinstance(value, keras.optimizers.Optimizer):
        yield value
    elif isinstance(value, dict):
        yield from _optimizers_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            if isinstance(item, (keras.optimizers.Optimizer, dict, list, tuple)):
                yield from _optimizers_in(item)


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
    variables = list(variables)
    known = {id(variable) for variable in variables}
    seen: set[int] = set()
    for each in (optimizer, *_wrapped(optimizer)):
        settings = ("_iterations", "_learning_rate", "step_counter", "dynamic_scale")
        seen.update(id(getattr(each, name, None)) for name in settings)
    for each in (optimizer, *_wrapped(optimizer)):
        owners: dict[str, list[Any]] = {}
        for variable in getattr(each, "_trainable_variables", None) or variables:
            owners.setdefault(_in_slots(variable), []).append(variable)
        alike: Counter[str] = Counter()
        for slot in each.variables:
            if id(slot) not in seen and tf.as_dtype(slot.dtype).is_floating:
                seen.add(id(slot))
                owner = _owner(slot, owners, alike[slot.path])
                alike[slot.path] += 1
                yield slot, owner if id(owner) in known else None


def in_slots(path: str) -> str:
    """A path as it appears in the name of a slot."""
    return path.replace("/", "_").replace(":", "_")


def _in_slots(variable: Any) -> str:
    """A variable, Keras' own or a `tf.Variable`, as it appears in the names of its slots."""
    return in_slots(str(variable.path if hasattr(variable, "path") else variable.name))


def _owner(slot: Any, owners: dict[str, list[Any]], number: int) -> Any:
    # Keras names a slot after the variable's path, and keeps no other reference. Slots of variables
    # with the same path are in the order of the variables.
    name = slot.path.rpartition("/")[2]
    prefixes = [prefix for prefix in owners if name.startswith(f"{prefix}_")]
    if not prefixes:
        return None
    alike = owners[max(prefixes, key=len)]
    return alike[min(number, len(alike) - 1)]


def loss_scale(optimizer: Any) -> LossScale | None:
    """The factor of the loss, and so of the gradients; before `apply` changes it."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        # The first loss is scaled before the optimizer is built.
        scale = optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
        return LossScale(tf.identity(tf.convert_to_tensor(scale, tf.float32)), dynamic=True)
    if optimizer.loss_scale_factor is not None:
        factor = tf.convert_to_tensor(optimizer.loss_scale_factor, tf.float32)
        return LossScale(factor, dynamic=False)
    return None


def iterations(optimizer: Any) -> int:
    """Steps that the optimizer has counted: micro-batches, not updates; 0 without optimizer."""
    counted = getattr(optimizer, "inner_optimizer", optimizer)
    return 0 if counted is None else int(counted._iterations.numpy())


def build_optimizer(model: Any) -> None:
    """Creates the optimizer's variables, as the first step would.

    Creating them in the step would have it traced twice, with all that we add to it. Only where it
    is certain what the step would create: for Keras' own step, and a model whose layers are built.
    """
    optimizer = model.optimizer
    if optimizer is None:
        return
    is_plain = getattr(model.train_step, "__func__", None) is keras.Model.train_step
    is_built = all(layer.built for layer in model._flatten_layers())
    if is_plain and is_built and model.trainable_variables:
        build(optimizer, model.trainable_variables)


def build(optimizer: Any, variables: Iterable[Any]) -> None:
    """Creates the optimizer's variables, if it has not done so, as its `apply` would."""
    if not optimizer.built:
        with keras.name_scope(optimizer.name, caller=optimizer):
            optimizer.build(list(variables))
        optimizer.built = True


@contextmanager
def on_optimizer_apply(call: Callable[..., None]) -> Iterator[None]:
    """Runs `call` in place of the `apply` of every Keras optimizer, until the block ends.

    In this thread alone, and in those of its replicas. When an optimizer calls the `apply` of
    another, as a LossScaleOptimizer does, that runs unchanged.

    Args:
      call: takes the optimizer, its own `apply`, bound, and the arguments of that.
    """
    is_inner = False

    def apply(original: Callable[..., Any], optimizer: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal is_inner
        own = functools.partial(original, optimizer)
        if is_inner:
            own(*args, **kwargs)
            return
        is_inner = True
        try:
            call(optimizer, own, *args, **kwargs)
        finally:
            is_inner = False

    classes = (*keras.optimizers.Optimizer.__mro__, keras.optimizers.LossScaleOptimizer)
    with patch_functions(
        *(FunctionPatch(each, "apply", apply) for each in classes if "apply" in vars(each))
    ):
        yield
