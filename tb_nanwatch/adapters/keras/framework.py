"""What is different in Keras 3."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from tb_nanwatch.adapters.keras.structures import flatten_with_path
from tb_nanwatch.adapters.keras_common.framework import Update
from tb_nanwatch.adapters.tensorflow.statistics.device_state import LossScale


class Keras:
    """`keras_common.framework.KerasFramework` of Keras 3 on TensorFlow."""

    keras = keras
    name = "keras"
    optimizers: tuple[Any, ...] = (keras.optimizers.Optimizer,)
    update_method = "apply"
    scale_loss_method = "scale_loss"
    unscales_gradients = False

    def backend(self) -> str:
        return str(keras.backend.backend())

    def flatten(self, structure: Any) -> list[Any]:
        return list(keras.tree.flatten(structure))

    def flatten_with_path(self, structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
        return flatten_with_path(structure)

    def pack(self, structure: Any, leaves: Sequence[Any]) -> Any:
        return keras.tree.pack_sequence_as(structure, leaves)

    def is_layer(self, part: Any) -> bool:
        return isinstance(part, keras.Operation)

    def layers(self, model: Any, *, include_self: bool = True) -> list[Any]:
        return list(model._flatten_layers(include_self=include_self))

    def sublayers(self, layer: Any) -> list[Any]:
        return list(getattr(layer, "_layers", ()))

    def layer_path(self, layer: Any) -> str:
        # Keras sets the path when a layer is built, and a Dropout never is; up to Keras 3.3 layers
        # have none.
        parent, path = getattr(layer, "_parent_path", None), getattr(layer, "path", None)
        return str(path or (f"{parent}/{layer.name}" if parent else layer.name))

    def own_variables(self, layer: Any, *, trainable: bool) -> list[Any]:
        return list(layer._trainable_variables if trainable else layer._non_trainable_variables)

    def is_variable(self, value: Any) -> bool:
        return isinstance(value, keras.Variable)

    def variable_name(self, variable: Any) -> str:
        return str(variable.name)

    def value(self, variable: Any) -> tf.Tensor:
        return variable.value

    def variables(self, model: Any) -> list[Any]:
        return list(model.variables)

    def trainable_variables(self, model: Any) -> list[Any]:
        return list(model.trainable_variables)

    def weights(self, model: Any) -> list[Any]:
        return list(model.weights)

    def metrics_variables(self, model: Any) -> list[Any]:
        return list(model.metrics_variables)

    def seed_variables(self, model: Any) -> list[Any]:
        others = {id(each) for each in (*model.weights, *model.metrics_variables)}
        return [each for each in model.variables if id(each) not in others]

    def dtype_policy(self, layer: Any) -> str:
        return str(getattr(getattr(layer, "dtype_policy", None), "name", ""))

    @contextmanager
    def in_float32(self, layer: Any) -> Iterator[None]:
        before = {id(each): (each, each.dtype_policy) for each in layer._flatten_layers()}
        try:
            for each, _ in before.values():
                each.dtype_policy = keras.DTypePolicy("float32")
            yield
        finally:
            for each, policy in before.values():
                each.dtype_policy = policy

    def called_method(self, layer: Any) -> str:
        if getattr(layer, "_remat_mode", None):
            # Returns a function that runs the layer's call again in the backward pass.
            return "rematerialized_call"
        return "call" if getattr(layer, "quantization_mode", None) is None else "quantized_call"

    def run_step(self, model: Any, train_step: Callable[[Any], Any], batch: Any) -> None:
        train_step(batch)

    def as_called(self, layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        return call

    def hides_logits(self, output: tf.Tensor) -> bool:
        return False

    def steps_per_execution(self, model: Any) -> int:
        return int(model.steps_per_execution)

    def calls_single_steps(self, model: Any) -> bool:
        return self.steps_per_execution(model) == 1

    def unheld_batches(self, iterator: Any, steps: int) -> str:
        return ""

    def as_iterator(self, batches: Iterator[Any]) -> Any:
        return batches

    def update_classes(self) -> list[Any]:
        return [*keras.optimizers.Optimizer.__mro__, keras.optimizers.LossScaleOptimizer]

    def update(
        self, optimizer: Any, method: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Update:
        def update(grads: Any, trainable_variables: Any = None) -> Update:
            gradients = list(grads)
            variables = None if trainable_variables is None else list(trainable_variables)
            known = variables or list(optimizer._trainable_variables)
            return Update(gradients, known, lambda: method(gradients, variables))

        return update(*args, **kwargs)

    def optimizer_variables(self, optimizer: Any) -> list[Any]:
        return list(optimizer.variables)

    def slot_key(self, variable: str) -> str:
        return variable.replace("/", "_").replace(":", "_")

    def find_slot_key(self, slot: str, keys: Collection[str]) -> str | None:
        name = slot.rpartition("/")[2]
        found = [key for key in keys if name.startswith(f"{key}_")]
        return max(found, key=len, default=None)

    def slot_path(self, slot: str, variable: str, unique: str) -> str:
        folder, _, name = slot.rpartition("/")
        kind = name.removeprefix(self.slot_key(variable))
        return f"{folder}/{self.slot_key(unique)}{kind}".removeprefix("/")

    def settings(self, optimizer: Any) -> list[Any]:
        names = ("_iterations", "_learning_rate", "step_counter", "dynamic_scale")
        return [getattr(optimizer, name, None) for name in names]

    def loss_scale(self, optimizer: Any) -> LossScale | None:
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # The first loss is scaled before the optimizer is built.
            scale = optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
            return LossScale(tf.identity(tf.convert_to_tensor(scale, tf.float32)), dynamic=True)
        if optimizer.loss_scale_factor is not None:
            factor = tf.convert_to_tensor(optimizer.loss_scale_factor, tf.float32)
            return LossScale(factor, dynamic=False)
        return None

    def iterations(self, optimizer: Any) -> int:
        counted = getattr(optimizer, "inner_optimizer", optimizer)
        # Up to Keras 3.4 the public one counts them, and then it counts updates.
        micro_batches = getattr(counted, "_iterations", None)
        return int((counted.iterations if micro_batches is None else micro_batches).numpy())

    def build(
        self, optimizer: Any, variables: Sequence[Any], gradients: Sequence[Any] | None = None
    ) -> None:
        if not optimizer.built:
            with keras.name_scope(optimizer.name, caller=optimizer):
                optimizer.build(list(variables))
            optimizer.built = True

    def optimizer_name(self, optimizer: Any) -> str:
        return f"keras.optimizers.{type(optimizer).__name__}"
