"""`on_nonfinite="skip"`: a step that went non-finite leaves the training as it found it.

Decided on the device, within the step, also under XLA and in each of the steps that one call
executes. The optimizer's `apply` runs only where its gradients and the loss are finite; what the
forward pass moves (BatchNorm's statistics, metrics) is put back at the end of the step otherwise.
Seed generators advance: the next step has other dropout masks than a repetition would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras.optimizers import build, slots
from tb_nanwatch.adapters.tensorflow import kernels
from tb_nanwatch.adapters.tensorflow.branch import run_if
from tb_nanwatch.adapters.tensorflow.tensors import dense
from tb_nanwatch.adapters.tensorflow.variables import variable


class Withholding:
    """Withholds what is not finite from a model, step by step.

    Args:
      guard_updates: whether to look at what `apply` made, too, and to undo it where it is not
        finite. That takes a copy of the trainable variables and of the optimizer's in each step.
    """

    def __init__(self, guard_updates: bool):
        self._guard_updates = guard_updates
        self._goes_on = variable(True, tf.bool)

    def begin(self, model: Any) -> WithheldStep:
        """In the step, before anything of it is computed."""
        return WithheldStep(model, self._goes_on, self._guard_updates)


class WithheldStep:
    """One step of `model`, withheld where it is not finite; made when it is traced or run.

    Args:
      model: the model that is trained.
      goes_on: bool variable, whether the step is finite so far.
      guard_updates: as in `Withholding`.
    """

    def __init__(self, model: Any, goes_on: tf.Variable, guard_updates: bool):
        self._model = model
        self._goes_on = goes_on
        self._guard_updates = guard_updates
        self._losses: list[tf.Tensor] = []
        self._is_handled = False
        self._goes_on.assign(True)
        # Read and not copied: what assigns to a variable that was read makes a buffer of its own.
        self._before = _read(self._moved())

    def _moved(self) -> list[Any]:
        """What a step moves besides its optimizer's: BatchNorm's statistics, metrics."""
        return [*self._model.non_trainable_weights, *self._model.metrics_variables]

    def loss(self, loss: Any) -> None:
        """Takes the loss of the step in, before an optimizer's `apply`."""
        self._losses.append(dense(loss))

    def apply(
        self,
        optimizer: Any,
        apply: Callable[[], object],
        gradients: Sequence[Any],
        variables: Sequence[Any],
    ) -> None:
        """Runs `apply` where gradients and loss are finite, and the gradients' squares in slots.

        A LossScaleOptimizer's always: it refuses the step itself, and has to lower its scale.
        """
        build(optimizer, variables)  # No variable can be made in a branch.
        has_slots = any(owner is not None for _, owner in slots(optimizer, variables))
        dense_gradients = [dense(each) for each in gradients if each is not None]
        self._look_at([(each, has_slots) for each in dense_gradients])
        self._look_at([(each, False) for each in self._losses])
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            self._is_handled = True
            apply()
        elif self._guard_updates:
            state = {id(each): each for each in (*variables, *optimizer.variables)}
            run_if(self._goes_on.read_value(), lambda: self._try(apply, list(state.values())))
        else:
            run_if(self._goes_on.read_value(), apply)

    def end(self) -> tf.Tensor:
        """Puts back what a step moved that did not go on; bool scalar, whether the step is skipped.

        One whose overflow a LossScaleOptimizer handled is not counted.
        """
        goes_on = self._goes_on.read_value()
        run_if(~goes_on, lambda: _put_back(self._moved(), self._before))
        return tf.constant(False) if self._is_handled else ~goes_on

    def outputs(self, outputs: Any) -> Any:
        """What the train step returns: the metrics as they are now, if it returned those."""
        if not isinstance(outputs, dict):
            return outputs
        metrics = self._model.get_metrics_result()
        return metrics if set(metrics) == set(outputs) else outputs

    def _look_at(self, tensors: Sequence[tuple[tf.Tensor, bool]]) -> None:
        """Has the step go on only if all are finite, and the squares of those marked, too."""
        if not tensors:
            return
        # A sum of squares within the limit is enough. Beyond it each element has to be looked at.
        values = [value for value, _ in tensors]
        limits = [_limit(value.dtype) if squared else np.inf for value, squared in tensors]
        squares = kernels.sums_of_squares(values)
        within = tf.reduce_all(tf.math.is_finite(squares) & (squares <= np.array(limits)))

        def look_closer() -> None:
            fine = [_is_fine(value, squared) for value, squared in tensors]
            self._goes_on.assign(self._goes_on.read_value() & tf.reduce_all(tf.stack(fine)))

        run_if(~within, look_closer)

    def _try(self, apply: Callable[[], object], state: Sequence[Any]) -> None:
        before = _read(state)
        apply()
        floats = [each for each in state if tf.as_dtype(each.dtype).is_floating]
        self._look_at([(tf.convert_to_tensor(each.value), False) for each in floats])
        run_if(~self._goes_on.read_value(), lambda: _put_back(state, before))


def _read(variables: Sequence[Any]) -> dict[int, tf.Tensor]:
    return {id(each): tf.identity(each.value) for each in variables}


def _put_back(variables: Sequence[Any], before: dict[int, tf.Tensor]) -> None:
    for each in variables:
        # A metric that was made in this very step begins at zero, as Metric.reset_state has it.
        each.assign(before[id(each)] if id(each) in before else tf.zeros_like(each.value))


def _limit(dtype: tf.DType) -> float:
    return float(tf.experimental.numpy.finfo(dtype.as_numpy_dtype).max)


def _is_fine(value: tf.Tensor, squared: bool) -> tf.Tensor:
    """Whether each element is finite and, where wanted, its square in the tensor's own dtype."""
    parts = kernels.flatten(value)
    return tf.reduce_all(tf.math.is_finite(tf.square(parts) if squared else parts))
