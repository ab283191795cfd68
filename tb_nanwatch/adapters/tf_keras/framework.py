"""What is different in Keras 2."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.framework import Update
from tb_nanwatch.adapters.tensorflow.graph.context import current_graph
from tb_nanwatch.adapters.tensorflow.statistics.device_state import LossScale
from tb_nanwatch.adapters.tensorflow.tensors import leaves_with_places
from tb_nanwatch.adapters.tf_keras.batches import OneBatch

_LOGITS = ("Softmax", "Sigmoid")
"""Operations before which the losses look for logits."""


class TfKeras:
    """`keras_common.framework.KerasFramework` of Keras 2.

    Args:
      package: the module tf_keras, or keras of a version before 3.
    """

    update_method = "apply_gradients"
    scale_loss_method = "get_scaled_loss"
    unscales_gradients = True

    def __init__(self, package: Any):
        self.keras = package
        self.name = str(package.__name__)
        # In TensorFlow 2.10 and before, `Optimizer` is what "legacy" is later.
        legacy = getattr(package.optimizers, "legacy", package.optimizers).Optimizer
        self.optimizers: tuple[Any, ...] = (package.optimizers.Optimizer, legacy)

    def backend(self) -> str:
        return "tensorflow"

    def flatten(self, structure: Any) -> list[Any]:
        return list(tf.nest.flatten(structure))

    def flatten_with_path(self, structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
        return list(leaves_with_places(structure))

    def pack(self, structure: Any, leaves: Sequence[Any]) -> Any:
        return tf.nest.pack_sequence_as(structure, leaves)

    def is_layer(self, part: Any) -> bool:
        is_metric = isinstance(part, self.keras.metrics.Metric)
        return isinstance(part, self.keras.layers.Layer) and not is_metric

    def layers(self, model: Any, *, include_self: bool = True) -> list[Any]:
        return list(model._flatten_layers(include_self=include_self))

    def sublayers(self, layer: Any) -> list[Any]:
        return list(layer._flatten_layers(recursive=False, include_self=False))

    def layer_path(self, layer: Any) -> str:
        return ""

    def own_variables(self, layer: Any, *, trainable: bool) -> list[Any]:
        return list(layer._trainable_weights if trainable else layer._non_trainable_weights)

    def is_variable(self, value: Any) -> bool:
        return isinstance(value, tf.Variable)

    def variable_name(self, variable: Any) -> str:
        return str(variable.name).removesuffix(":0").rpartition("/")[2]

    def value(self, variable: Any) -> tf.Tensor:
        return variable.read_value()

    def variables(self, model: Any) -> list[Any]:
        return _created(model, "variables")

    def trainable_variables(self, model: Any) -> list[Any]:
        return _created(model, "trainable_variables")

    def weights(self, model: Any) -> list[Any]:
        metrics = {id(each) for each in self.metrics_variables(model)}
        return [each for each in self.variables(model) if id(each) not in metrics]

    def metrics_variables(self, model: Any) -> list[Any]:
        return [variable for metric in model.metrics for variable in metric.variables]

    def seed_variables(self, model: Any) -> list[Any]:
        makers = [getattr(each, "_random_generator", None) for each in self.layers(model)]
        generators = [getattr(each, "_generator", None) for each in makers]
        return [each.state for each in generators if isinstance(each, tf.random.Generator)]

    def dtype_policy(self, layer: Any) -> str:
        return str(getattr(getattr(layer, "_dtype_policy", None), "name", ""))

    @contextmanager
    def in_float32(self, layer: Any) -> Iterator[None]:
        before = [(each, each._dtype_policy) for each in layer._flatten_layers()]
        try:
            for each, _ in before:
                each._set_dtype_policy("float32")
            yield
        finally:
            for each, policy in before:
                each._set_dtype_policy(policy)

    def called_method(self, layer: Any) -> str:
        return "call"

    def run_step(self, model: Any, train_step: Callable[[Any], Any], batch: Any) -> None:
        strategy = model.distribute_strategy
        if tf.distribute.in_cross_replica_context() and strategy.num_replicas_in_sync == 1:
            strategy.run(train_step, args=(batch,))  # Else its metrics cannot be updated.
        else:
            train_step(batch)

    def as_called(self, layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        # In a graph AutoGraph converts what the user wrote, as `layer._autographed_call` says.
        if not tf.inside_function() or not layer._should_use_autograph():
            return call
        autograph = tf.__internal__.autograph
        converted: Callable[..., Any] = autograph.tf_convert(call, autograph.control_status_ctx())
        return converted

    def hides_logits(self, output: tf.Tensor) -> bool:
        is_made = tf.is_symbolic_tensor(output) and output.op.type in _LOGITS
        return is_made and getattr(output, "_keras_logits", None) is None

    def steps_per_execution(self, model: Any) -> int:
        steps = model._steps_per_execution
        with tf.init_scope():  # It is asked for while a step is traced, too.
            return 1 if steps is None else int(steps.numpy())

    def calls_single_steps(self, model: Any) -> bool:
        is_tuned = getattr(model, "_steps_per_execution_tuner", None) is not None
        return self.steps_per_execution(model) == 1 and not is_tuned

    def unheld_batches(self, iterator: Any, steps: int) -> str:
        if steps > 1:
            return "XLA compiles it, and steps_per_execution is more than 1"
        if isinstance(iterator, tf.distribute.DistributedIterator):
            return "XLA compiles it, and a tf.distribute strategy feeds it"
        return ""

    def as_iterator(self, batches: Iterator[Any]) -> Any:
        return OneBatch(next(batches))

    def update_classes(self) -> list[Any]:
        scaling = self._scaling.__subclasses__()
        return [each for base in (*self.optimizers, *scaling) for each in base.__mro__]

    def update(
        self, optimizer: Any, method: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Update:
        def update(grads_and_vars: Any, *args: Any, **kwargs: Any) -> Update:
            pairs = list(grads_and_vars)
            return Update(
                [gradient for gradient, _ in pairs],
                [variable for _, variable in pairs],
                lambda: method(pairs, *args, **kwargs),
            )

        return update(*args, **kwargs)

    def optimizer_variables(self, optimizer: Any) -> list[Any]:
        found = optimizer.variables
        return [*(found() if callable(found) and not isinstance(found, list) else found)] + [
            each for each in self.settings(optimizer) if isinstance(each, tf.Variable)
        ]

    def slot_key(self, variable: str) -> str:
        return f"/{variable.removesuffix(':0')}/"

    def find_slot_key(self, slot: str, keys: Collection[str]) -> str | None:
        return max((key for key in keys if key in f"/{slot}/"), key=len, default=None)

    def slot_path(self, slot: str, variable: str, unique: str) -> str:
        path = f"/{slot}/".replace(self.slot_key(variable), self.slot_key(unique), 1)
        return path.strip("/")

    def settings(self, optimizer: Any) -> list[Any]:
        names = ("_iterations", "_learning_rate", "_current_learning_rate")
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        found = [getattr(inner, name, None) for name in names]
        found += list(getattr(inner, "_hyper", {}).values())
        if inner is not optimizer and optimizer.dynamic:
            state = optimizer._loss_scale
            found += [state.current_loss_scale, state.counter]
        return found

    def loss_scale(self, optimizer: Any) -> LossScale | None:
        if isinstance(optimizer, self._scaling):
            return LossScale(tf.identity(optimizer.loss_scale), bool(optimizer.dynamic))
        return None

    def iterations(self, optimizer: Any) -> int:
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if getattr(inner, "_iterations", inner) is None:
            return 0  # Of "legacy": a look at `iterations` creates it, not named as by the update.
        return int(inner.iterations.numpy())

    def build(
        self, optimizer: Any, variables: Sequence[Any], gradients: Sequence[Any] | None = None
    ) -> None:
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if not self._is_legacy(inner):
            # A step of Nadam depends on how often it is traced: once more where the step builds it.
            is_counted = isinstance(inner, self.keras.optimizers.Nadam) and gradients is None
            if not getattr(inner, "_built", False) and not is_counted:
                with _scope_of_update(inner.name), tf.init_scope():
                    inner.build(list(variables))
        elif gradients is not None:
            pairs = zip(gradients, variables, strict=True)
            updated = [variable for gradient, variable in pairs if gradient is not None]
            with _scope_of_update(inner._name), tf.init_scope():
                inner._create_all_weights(updated)

    def optimizer_name(self, optimizer: Any) -> str:
        folder = "optimizers.legacy" if self._is_legacy(optimizer) else "optimizers"
        return f"{self.name}.{folder}.{type(optimizer).__name__}"

    @property
    def _scaling(self) -> Any:
        """The base class of the optimizers that scale the loss."""
        return self.keras.mixed_precision.LossScaleOptimizer

    def _is_legacy(self, optimizer: Any) -> bool:
        return isinstance(optimizer, self.optimizers[1])


def _created(model: Any, kind: str) -> list[Any]:
    """Variables of a model; none where a model in it has none before its first call."""
    try:
        return list(getattr(model, kind))
    except ValueError:
        return []


def _scope_of_update(name: str) -> AbstractContextManager[Any]:
    """The name scope that an optimizer's update is about to enter, which names its variables.

    A graph gives out a scope once: the second `Adam` of a step creates `Adam_1/m/...`. Entered with
    a slash, it is still there for the update.
    """
    graph = current_graph()
    unique = name if graph is None else f"{graph.unique_name(name, mark_as_used=False)}/"
    scope: AbstractContextManager[Any] = tf.name_scope(unique)
    return scope
