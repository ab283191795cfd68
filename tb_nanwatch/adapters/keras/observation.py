"""What one `train_step` of a Keras model shows: data, predictions, loss, gradients, weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework import ops

from tb_nanwatch.adapters.tensorflow.accumulator import LossScale
from tb_nanwatch.adapters.tensorflow.tensors import (
    NamedTensor,
    Unwatched,
    flatten_data,
    parent,
    variable_path,
    with_unique_names,
)
from tb_nanwatch.writer.warnings import Guard

_SHOWN_BY_CALLS = frozenset({"prediction", "loss", "gradient"})
"""Roles seen where the model calls `compute_loss` and its optimizer's `apply`."""


class Observation:
    """Collects the tensors of one step, in the flow of its data.

    Args:
      model: the model that is trained.
      roles: which roles to collect.
      unwatched: takes the names of what cannot be watched.
    """

    def __init__(self, model: Any, roles: frozenset[str], unwatched: Unwatched):
        self._model = model
        self._roles = roles
        self._unwatched = unwatched
        self._tensors: list[NamedTensor] = []
        self.loss_scale: LossScale | None = None

    def tensors(self) -> list[NamedTensor]:
        """What was collected, with names unique within each role.

        A tensor of a function within the step (a `tf.function`, a `tf.while_loop`) cannot be used
        outside of it, and is left out.
        """
        here = ops.get_default_graph() if tf.inside_function() else None
        usable = [each for each in self._tensors if getattr(each.tensor, "graph", None) is here]
        return with_unique_names(usable)

    def note_missing(self) -> None:
        """Takes note of each role that the step should have shown, and did not."""
        shown = {info.role for info, _ in self.tensors()}
        for role in sorted(self._roles & _SHOWN_BY_CALLS - shown):
            self._unwatched.missing(role)

    def batch(self, data: Any) -> None:
        """Collects what `fit` feeds to the step; where that is no (x, y, weight), all as input."""
        try:
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        except ValueError:
            x, y, sample_weight = data, None, None
        self.data("input", x)
        self.data("target", y)
        self.data("target", sample_weight, "sample_weight")

    def data(self, role: str, data: Any, name: str | None = None) -> None:
        """Collects inputs, targets or predictions of any nesting, named below `name` or `role`."""
        for path, leaf in flatten_data(data, name or role):
            self._collect(role, "", path, leaf, batch=True)

    def loss(self, loss: Any) -> None:
        self._collect("loss", "", "loss", loss)

    def gradients(self, gradients: Any, variables: Any) -> None:
        for gradient, variable in zip(gradients, variables, strict=False):
            if gradient is not None:
                self._variable("gradient", variable, gradient)

    def weights(self) -> None:
        """Collects the model's variables as they are now, non-trainable ones too."""
        for variable in self._model.weights:
            self._variable("weight", variable, variable.value)

    def _variable(self, role: str, variable: Any, value: Any) -> None:
        path = variable_path(variable)
        layer = parent(f"/{path}").removeprefix(f"/{self._model.name}/").removeprefix("/")
        self._collect(role, layer, path, value, shape=variable.shape)

    def _collect(self, role: str, layer: str, name: str, value: Any, **options: Any) -> None:
        if role in self._roles:
            self._tensors += self._unwatched.watchable(role, layer, name, value, **options)


def observed(
    train_step: Callable[[Any], Any],
    model: Any,
    begin: Callable[[], Observation],
    end: Callable[[Observation], None],
    guard: Guard,
) -> Callable[[Any], Any]:
    """A `train_step` that does what the given one does and shows an `Observation` of it.

    Args:
      train_step: the model's own, bound.
      model: the model.
      begin: makes the observation of a step, when it is traced or run.
      end: takes it, in the step, after the update.
      guard: keeps trouble of the observation's own out of the step.
    """

    @functools.wraps(train_step)
    def step(data: Any) -> Any:
        observation = begin()
        with guard("observe a batch"):
            observation.batch(data)
        with ExitStack() as spies:
            spies.enter_context(_spied(model, "compute_loss", _loss_spy(observation, guard)))
            if model.optimizer is not None:
                apply = _apply_spy(model.optimizer, observation, guard)
                spies.enter_context(_spied(model.optimizer, "apply", apply))
            outputs = train_step(data)
        with guard("observe a step"):
            observation.weights()
            if not guard.tripped:
                observation.note_missing()
                end(observation)
        return outputs

    return step


def _loss_spy(observation: Observation, guard: Guard) -> Callable[..., Any]:
    def compute_loss(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        loss = original(*args, **kwargs)
        with guard("observe a loss"):
            y_pred = kwargs.get("y_pred", args[2] if len(args) > 2 else None)
            observation.data("prediction", y_pred)
            observation.loss(loss)
        return loss

    return compute_loss


def _apply_spy(optimizer: Any, observation: Observation, guard: Guard) -> Callable[..., Any]:
    def apply(original: Callable[..., Any], grads: Any, trainable_variables: Any = None) -> Any:
        grads = list(grads)
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
        with guard("observe gradients"):
            variables = trainable_variables or optimizer._trainable_variables
            observation.gradients(grads, variables)
            observation.loss_scale = _loss_scale(optimizer)
        return original(grads, trainable_variables)

    return apply


def _loss_scale(optimizer: Any) -> LossScale | None:
    """What the optimizer multiplied the loss, and so the gradients, by."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        # Read before apply() changes it. The first loss is scaled before the optimizer is built.
        scale = optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
        return LossScale(tf.identity(tf.convert_to_tensor(scale, tf.float32)), dynamic=True)
    if optimizer.loss_scale_factor is not None:
        factor = tf.convert_to_tensor(optimizer.loss_scale_factor, tf.float32)
        return LossScale(factor, dynamic=False)
    return None


@contextmanager
def _spied(owner: Any, name: str, spy: Callable[..., Any]) -> Iterator[None]:
    """Has `spy(original, *args)` called in place of a method of this one object."""
    own = vars(owner).get(name)
    original = getattr(owner, name)

    @functools.wraps(original)
    def method(*args: Any, **kwargs: Any) -> Any:
        return spy(original, *args, **kwargs)

    # Past Keras's __setattr__, which tracks and, once built, locks.
    vars(owner)[name] = method
    try:
        yield
    finally:
        if own is None:
            vars(owner).pop(name, None)
        else:
            vars(owner)[name] = own
