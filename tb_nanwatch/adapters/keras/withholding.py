"""A step that went non-finite leaves the training as it found it: to skip it, or to run it again.

Decided on the device, within the step, also under XLA and in each of the steps that one call
executes. The optimizer's `apply` runs only where its gradients and the loss are finite; what the
forward pass moves (BatchNorm's statistics, metrics) is put back at the end of the step otherwise.
With `on_nonfinite="skip"` seed generators advance: the next step has other dropout masks than a
repetition would. A step that is held, to be run again, gets the same masks: they are put back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras.hold import Hold
from tb_nanwatch.adapters.keras.optimizers import build, slots
from tb_nanwatch.adapters.tensorflow import kernels
from tb_nanwatch.adapters.tensorflow.branch import run_if
from tb_nanwatch.adapters.tensorflow.tensors import dense
from tb_nanwatch.adapters.tensorflow.variables import variable


class Withholding:
    """Withholds what is not finite from a model, step by step.

    Args:
      skips: whether a step that is not finite is left out of the training.
      guard_updates: whether to look at what `apply` made, too, and to undo it where it is not
        finite. That takes a copy of the trainable variables and of the optimizer's in each step.
      hold: keeps such a step for the host to run again, while it is armed; None for never.
    """

    def __init__(self, *, skips: bool, guard_updates: bool, hold: Hold | None):
        self._skips = skips
        self._guard_updates = guard_updates
        self._hold = hold
        self._goes_on = variable(True, tf.bool)

    def begin(self, model: Any, data: Any) -> WithheldStep:
        """In the step, before anything of it is computed; `data` is its batch."""
        return WithheldStep(
            model, data, self._goes_on, self._skips, self._guard_updates, self._hold
        )


class Withheld(NamedTuple):
    """What became of a step: bool scalars.

    Attributes:
      skipped: whether it is left out of the training.
      held: whether the host is to run it again: so far it has left no trace at all.
    """

    skipped: tf.Tensor
    held: tf.Tensor


class WithheldStep:
    """One step of `model`, withheld where it is not finite; made when it is traced or run.

    Args:
      model: the model that is trained.
      data: the step's batch.
      goes_on: bool variable, whether the step is finite so far.
      skips, guard_updates, hold: as in `Withholding`.

    Attributes:
      skips: as given.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        goes_on: tf.Variable,
        skips: bool,
        guard_updates: bool,
        hold: Hold | None,
    ):
        self.skips = skips
        self._model = model
        self._data = data
        self._goes_on = goes_on
        self._guard_updates = guard_updates
        self._hold = hold
        self._losses: list[tf.Tensor] = []
        self._applied = 0
        self._is_handled = False
        # Armed or not, and whether an earlier step of the same call is held: then so is this one.
        self._armed = tf.constant(False) if hold is None else hold.armed.read_value()
        self._follows = tf.constant(False) if hold is None else hold.holds()
        self._acts = tf.constant(True) if skips else self._armed
        self._goes_on.assign(~self._follows)
        # Read and not copied: what assigns to a variable that was read makes a buffer of its own.
        self._before = _read(self._moved())

    def _moved(self) -> list[Any]:
        """What a step moves besides its optimizer's: BatchNorm's statistics, metrics, seeds."""
        return [*self._model.non_trainable_variables, *self._model.metrics_variables]

    def _kept(self) -> list[Any]:
        """What of it a skipped step puts back: not the state of seed generators."""
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
        gradients_and_losses = [(each, has_slots) for each in dense_gradients]
        gradients_and_losses += [(each, False) for each in self._losses]
        self._look_at(gradients_and_losses)
        self._applied += 1
        if self._hold is not None and self._applied > 1:
            self._hold.refuse("the step updates weights more than once")
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            self._is_handled = True
            # What is not finite at a scale of 1 is not of the scale's making.
            scale = tf.convert_to_tensor(optimizer.dynamic_scale, tf.float32)
            self._armed &= (scale <= 1) | self._follows
            run_if(self._goes_on.read_value() | ~self._armed, apply)
        elif self._guard_updates:
            state = {id(each): each for each in (*variables, *optimizer.variables)}
            run_if(self._goes_on.read_value(), lambda: self._try(apply, list(state.values())))
        else:
            run_if(self._goes_on.read_value(), apply)

    def refuse_hold(self) -> None:
        """Takes note of an update that cannot be withheld: then no step is held either."""
        if self._hold is not None:
            self._hold.refuse("the step updates weights within a function or loop of its own")

    def end(self) -> Withheld:
        """Puts back what a step moved that did not go on.

        One whose overflow a LossScaleOptimizer handled is not counted as skipped.
        """
        goes_on = self._goes_on.read_value()
        held = ~goes_on & self._armed
        if self.skips:
            run_if(~goes_on & ~held, lambda: _put_back(self._kept(), self._before))
        if self._hold is not None:
            run_if(held, self._keep)
        counts = self.skips and not self._is_handled
        return Withheld(~goes_on & ~held if counts else tf.constant(False), held)

    def _keep(self) -> None:
        assert self._hold is not None
        _put_back(self._moved(), self._before)
        self._hold.keep(self._data)

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

        run_if(~within & self._acts, look_closer)

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
