"""The version of Keras that an object belongs to, and what an adapter implements for each.

Both may be loaded in one process: a layer, an optimizer or a model tells by its class.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, cast

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.statistics.device_state import LossScale

_PACKAGES = ("keras", "tf_keras")


class Update(NamedTuple):
    """One call of an optimizer's `update_method`.

    Attributes:
      gradients: those that it is given.
      variables: theirs.
      run: does it.
    """

    gradients: list[Any]
    variables: list[Any]
    run: Callable[[], Any]


class KerasFramework(Protocol):
    """What the versions of Keras do differently.

    Attributes:
      keras: the package. Used of it is what is alike: layers, losses, models, callbacks.
      name: what it is imported as.
      optimizers: the base classes of its optimizers.
      update_method: the name of the method with which an optimizer updates variables.
      scale_loss_method: the name of that with which it scales a loss.
      unscales_gradients: whether an optimizer that scales the loss is given unscaled gradients.
    """

    keras: Any
    name: str
    optimizers: tuple[Any, ...]
    update_method: str
    scale_loss_method: str
    unscales_gradients: bool

    def backend(self) -> str:
        """The name of what runs its operations."""

    def flatten(self, structure: Any) -> list[Any]:
        """The leaves of nested tensors."""

    def flatten_with_path(self, structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
        """(place, leaf) of nested tensors, in the order of `flatten`."""

    def pack(self, structure: Any, leaves: Sequence[Any]) -> Any:
        """The inverse of `flatten`."""

    def is_layer(self, part: Any) -> bool:
        """Whether it is a layer, or an operation of a functional model."""

    def layers(self, model: Any, *, include_self: bool = True) -> list[Any]:
        """A model and all layers in it."""

    def sublayers(self, layer: Any) -> list[Any]:
        """Those directly in a layer."""

    def layer_path(self, layer: Any) -> str:
        """Its own path; "" where only the structure of the model tells."""

    def own_variables(self, layer: Any, *, trainable: bool) -> list[Any]:
        """The variables of a layer and of no layer within it."""

    def is_variable(self, value: Any) -> bool:
        """Whether it is a variable of a layer."""

    def variable_name(self, variable: Any) -> str:
        """Its name within its layer."""

    def value(self, variable: Any) -> tf.Tensor:
        """What it holds."""

    def variables(self, model: Any) -> list[Any]:
        """Its variables, as far as they are created."""

    def trainable_variables(self, model: Any) -> list[Any]:
        """Those that are trained."""

    def weights(self, model: Any) -> list[Any]:
        """Its variables, without those of metrics and of generators of random numbers."""

    def metrics_variables(self, model: Any) -> list[Any]:
        """The variables of a model's metrics."""

    def seed_variables(self, model: Any) -> list[Any]:
        """The states of its generators of random numbers."""

    def dtype_policy(self, layer: Any) -> str:
        """The name of a layer's policy; "" for none."""

    def in_float32(self, layer: Any) -> AbstractContextManager[None]:
        """Has a layer, and all in it, compute in float32 until the block ends."""

    def called_method(self, layer: Any) -> str:
        """The method with which a layer computes its output."""

    def run_step(self, model: Any, train_step: Callable[[Any], Any], batch: Any) -> None:
        """Runs a bound `train_step` eagerly, outside of the train function."""

    def as_called(self, layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        """The layer's own `call`, as the framework runs it in this place."""

    def hides_logits(self, output: tf.Tensor) -> bool:
        """Whether a loss finds the logits of this output by the operation that made it."""

    def steps_per_execution(self, model: Any) -> int:
        """The most steps in one call of the train function."""

    def calls_single_steps(self, model: Any) -> bool:
        """Whether each call of the train function is one step, now and later."""

    def unheld_batches(self, iterator: Any, steps: int) -> str:
        """Why the train function cannot be called with batches that the host has taken; or ""."""

    def as_iterator(self, batches: Iterator[Any]) -> Any:
        """Such batches, as the train function takes them."""

    def update_classes(self) -> Collection[Any]:
        """The classes that have an `update_method` of their own."""

    def update(
        self, optimizer: Any, method: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Update:
        """A call of an optimizer's `update_method`, which is `method`, bound."""

    def optimizer_variables(self, optimizer: Any) -> list[Any]:
        """All that its update may change, besides the weights."""

    def slot_key(self, variable: str) -> str:
        """A variable's path, as it appears in the paths of its slots."""

    def find_slot_key(self, slot: str, keys: Collection[str]) -> str | None:
        """Which of these keys a slot's path contains."""

    def slot_path(self, slot: str, variable: str, unique: str) -> str:
        """The slot's path, with a variable's unique path in place of its own."""

    def settings(self, optimizer: Any) -> list[Any]:
        """Variables of an optimizer that are no slots: counters, learning rate, loss scale."""

    def loss_scale(self, optimizer: Any) -> LossScale | None:
        """The factor of the loss, before an update changes it."""

    def iterations(self, optimizer: Any) -> int:
        """Steps that it has counted: micro-batches, not updates."""

    def build(
        self, optimizer: Any, variables: Sequence[Any], gradients: Sequence[Any] | None = None
    ) -> None:
        """Creates the optimizer's variables, if it has not done so, as its update would.

        Before the step, when no gradient is known, only where the step then does the same.
        """

    def optimizer_name(self, optimizer: Any) -> str:
        """What its class is called in code."""


def framework_of(part: Any) -> KerasFramework:
    """The framework that a layer, model, optimizer or loss belongs to.

    Raises:
      TypeError: where it is none of these.
    """
    found = _framework_of_class(cast(Hashable, type(part)))
    if found is None:
        raise TypeError(f"Expected a part of a Keras model, got {type(part).__name__}.")
    return found


def is_part(part: Any) -> bool:
    """Whether an object belongs to a version of Keras."""
    return _framework_of_class(cast(Hashable, type(part))) is not None


def loaded_frameworks() -> list[KerasFramework]:
    """Those that this process has imported."""
    return [_framework(name) for name in _PACKAGES if name in sys.modules]


def is_keras_builtin(value: Any) -> bool:
    """Whether a class or function is defined in Keras itself."""
    return str(getattr(value, "__module__", "")).partition(".")[0] in _PACKAGES


@functools.cache
def _framework_of_class(kind: Any) -> KerasFramework | None:
    for each in kind.__mro__:
        package = each.__module__.partition(".")[0]
        if package in _PACKAGES:
            return _framework(package)
    return None


@functools.cache
def _framework(package: str) -> KerasFramework:
    keras = sys.modules[package]
    # Imported here, because Keras 3's needs that.
    if package == "tf_keras" or str(getattr(keras, "__version__", "")).startswith("2."):
        from tb_nanwatch.adapters.tf_keras.framework import TfKeras

        return TfKeras(keras)
    from tb_nanwatch.adapters.keras.framework import Keras

    return Keras()
