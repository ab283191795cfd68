"""A step that went non-finite leaves the training as it found it: to skip it, or to run it again.

Decided on the device, within the step, also under XLA and in each of the steps that one call
executes. The optimizer's `apply` runs only where its gradients and the loss are finite; what the
forward pass moves (BatchNorm's statistics, metrics) is put back at the end of the step otherwise.
With `on_nonfinite="skip"` seed generators advance: the next step has other dropout masks than a
repetition would. A step that is held, to be run again, gets the same masks: they are put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras.hold import Hold
from tb_nanwatch.adapters.keras.optimizers import build, find_optimizers, slots
from tb_nanwatch.adapters.tensorflow import kernels
from tb_nanwatch.adapters.tensorflow.assignments import heard, key_of
from tb_nanwatch.adapters.tensorflow.branch import choose, run_if
from tb_nanwatch.adapters.tensorflow.graphs import current_graph, in_xla
from tb_nanwatch.adapters.tensorflow.tensors import dense
from tb_nanwatch.adapters.tensorflow.variables import value_of


class Withheld(NamedTuple):
    """What became of a step: bool scalars.

    Attributes:
      skipped: whether it is left out of the training; None where no step is.
      held: whether the host is to run it again: so far it has left no trace at all; None where no
        step is.
    """

    skipped: tf.Tensor | None
    held: tf.Tensor | None


class Unwound(BaseException):
    """Leaves a step that runs eagerly, which has withheld an update and goes on to another one."""


@dataclass(frozen=True)
class Withholding:
    """How steps are withheld that are not finite.

    Attributes:
      skips: whether such a step is left out of the training.
      guard_updates: whether to look at what `apply` made, too, and to undo it where it is not
        finite. That takes a copy of the trainable variables and of the optimizer's in each step.
      hold: keeps such a step for the host to run again, while it is armed; None for never.
      copies: whether a step that may be held keeps a copy of all that it updates, instead of
        withholding its one update: then it may update several times, and an update that is not
        finite itself is held, too.
    """

    skips: bool = False
    guard_updates: bool = False
    hold: Hold | None = None
    copies: bool = False


class WithheldUpdates:
    """Updates of one step, withheld where it is not finite; made when it is traced or run.

    Args:
      how: what is withheld, and what for.
    """

    def __init__(self, how: Withholding):
        self._how = how
        self._losses: list[tf.Tensor] = []
        self._looked_at: list[tuple[tf.Tensor, bool]] = []
        self._updated: dict[int, Any] = {}
        self._applied = 0
        self._is_handled = False
        self._scale: tf.Tensor | None = None
        # Whether an earlier step of the same call is held: then so is this one.
        self._follows = tf.constant(False) if how.hold is None else how.hold.holds()
        self._goes_on = ~self._follows
        # What the step assigns to outside of `apply`, and what that held before.
        self._graph = current_graph()
        self._moved: dict[int, Any] = {}
        self._moved_from: dict[int, tf.Tensor] = {}
        self._is_applying = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Until the block ends, which is around the step, it hears of what is assigned."""
        if self._how.hold is None:
            yield
            return
        with heard(self._hear):
            yield

    def _hear(self, variable: Any) -> None:
        """Before something is assigned to a variable: reads it, in the step itself."""
        key = key_of(variable)
        if key in self._moved or (self._is_applying and not self._how.copies):
            return
        if self._graph is not None and tf.executing_eagerly():
            return  # In an init_scope, which is no part of the step.
        try:
            with nullcontext() if self._graph is None else self._graph.as_default():
                value = value_of(variable)
        except Exception as error:  # The assignment, which is the training's, goes on.
            assert self._how.hold is not None
            self._how.hold.refuse(
                f"what it assigns to cannot be read before ({type(error).__name__})"
            )
            return
        self._moved[key], self._moved_from[key] = variable, value

    @property
    def skips(self) -> bool:
        return self._how.skips

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
        with self._applying():
            build(optimizer, variables)  # No variable can be made in a branch.
            taken = self._take_in(optimizer, gradients, variables)
            self._update(optimizer, apply, taken, variables)

    @contextmanager
    def _applying(self) -> Iterator[None]:
        """Until the block ends what is assigned is the optimizer's."""
        before, self._is_applying = self._is_applying, True
        try:
            yield
        finally:
            self._is_applying = before

    def _take_in(
        self, optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]
    ) -> list[tuple[tf.Tensor, bool]]:
        """What an optimizer is to apply: gradients, and whether their squares go into slots."""
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            self._scale = tf.convert_to_tensor(optimizer.dynamic_scale, tf.float32)
        has_slots = any(owner is not None for _, owner in slots(optimizer, variables))
        taken = [(dense(each), has_slots) for each in gradients if each is not None]
        self._looked_at += taken
        return taken

    def _update(
        self,
        optimizer: Any,
        apply: Callable[[], object],
        gradients: Sequence[tuple[tf.Tensor, bool]],
        variables: Sequence[Any],
    ) -> None:
        self._applied += 1
        if self._how.hold is not None and self._applied > 1 and not self._how.copies:
            self._how.hold.refuse(
                "the step updates weights more than once, and keeps no copy of them"
            )
            if self._graph is None and not self._how.skips and not self._goes_on:
                raise Unwound
        is_handled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        self._is_handled |= is_handled
        stops = tf.constant(self._how.skips and not is_handled)
        looked_at = [*gradients, *((each, False) for each in self._losses)]
        state = {id(each): each for each in (*variables, *optimizer.variables)}
        self._updated |= state
        is_refused = self._how.hold is not None and self._how.hold.refusal
        if not self._how.skips and (self._how.copies or is_refused):
            apply()
            return
        guards = self._how.guard_updates and not self._is_handled

        def look_closer() -> tf.Tensor:
            fine = self._goes_on & _all_fine(looked_at)
            held = ~fine & self._is_armed()
            if not self._how.copies:
                run_if(held, self._keep)
            return ~held & (fine | ~stops)

        def update() -> tf.Tensor:
            if guards:
                return _try(apply, list(state.values()))
            apply()
            return tf.constant(True)

        # Two nodes: an update that either branch of one could run would be a function within it,
        # whose call takes as long in each step as looking at ten tensors.
        is_due = choose(self._goes_on & _within_limits(looked_at), _yes, look_closer)
        self._goes_on = choose(is_due, update, _no)
        if self._is_handled and self.skips:  # It was refused, then, and not withheld.
            self._goes_on &= _is_fine(looked_at)

    def refuse_hold(self) -> None:
        """Takes note of an update that cannot be withheld: then no step is held either."""
        if self._how.hold is not None and not self._how.copies:
            self._how.hold.refuse("the step updates weights within a function or loop of its own")

    def _is_fine_at_the_end(self) -> tf.Tensor:
        """Where copies are kept: whether all was finite, what has been updated too."""
        looked_at = [*self._looked_at, *((each, False) for each in self._losses)]
        if self._how.copies:
            looked_at += [
                (tf.convert_to_tensor(each), False)
                for each in self._updated.values()
                if tf.as_dtype(each.dtype).is_floating
            ]
        if not looked_at:
            return self._goes_on
        return self._goes_on & _is_fine(looked_at)

    def _is_armed(self) -> tf.Tensor:
        """Bool scalar, whether this step is held where it is not finite."""
        if self._how.hold is None:
            return tf.constant(False)
        armed = self._how.hold.takes()
        if self._scale is not None:
            # What is not finite at a scale of 1 is not of the scale's making.
            armed &= (self._scale <= 1) | self._follows
        return armed

    def _keep(self) -> None:
        """In the branch for steps that are held: has the hold keep it."""
        raise NotImplementedError

    def unwind(self) -> None:
        """After `Unwound`: leaves all as the step found it, and forgets that it was held."""
        self._put_back()
        if self._how.hold is not None:
            self._how.hold.forget()

    def _put_back(self) -> None:
        """What the step has moved of what it was heard to assign to."""
        for key, variable in self._moved.items():
            variable.assign(self._moved_from[key])


class WithheldStep(WithheldUpdates):
    """One step of a model, withheld where it is not finite; made before all else of the step.

    Args:
      model: the model that is trained.
      data: the step's batch.
      how: what is withheld, and what for.
    """

    def __init__(self, model: Any, data: Any, how: Withholding):
        super().__init__(how)
        self._model = model
        self._data = data
        # Read and not copied: what assigns to a variable that was read makes a buffer of its own.
        self._kept = variables_of(model) if how.copies else moved(model)
        self._before = read(self._kept)
        # Of these no more has to be heard.
        self._known = {key_of(each) for each in map(_held_by, self._kept) if each is not None}

    def _hear(self, variable: Any) -> None:
        if key_of(variable) not in self._known:
            super()._hear(variable)

    def end(self) -> Withheld:
        """Puts back what a step moved that is skipped, or held under XLA; else the host does that.

        One whose overflow a LossScaleOptimizer handled is not counted as skipped.
        """
        held = ~(self._is_fine_at_the_end() if self._how.copies else self._goes_on)
        skipped = None
        if self.skips or self._how.copies:
            held &= self._is_armed()
        if self._how.copies:
            run_if(held, self._keep)
        if self.skips:
            left_out = ~self._goes_on & ~held
            skipped = tf.constant(False) if self._is_handled else left_out
            # Not the state of seed generators.
            kept = [*self._model.non_trainable_weights, *self._model.metrics_variables]
            run_if(left_out, lambda: put_back(kept, self._before))
        if self._how.hold is not None and in_xla():
            run_if(held, lambda: put_back(to_put_back(self._model, self._how), self._before))
        if self._moved:  # Of no layer, metric or optimizer, so seldom.
            run_if(held, self._put_back)
        return Withheld(skipped, held)

    def unwind(self) -> None:
        put_back(self._kept, self._before)
        super().unwind()

    def _keep(self) -> None:
        assert self._how.hold is not None
        self._how.hold.count()
        self._how.hold.keep(self._data, self._kept, list(self._before.values()))

    def outputs(self, outputs: Any) -> Any:
        """What the train step returns: the metrics as they are now, if it returned those."""
        if not self.skips or not isinstance(outputs, dict):
            return outputs
        metrics = self._model.get_metrics_result()
        return metrics if set(metrics) == set(outputs) else outputs


def variables_of(model: Any) -> list[Any]:
    """All that a step may change: the model's variables, its metrics' and its optimizers'."""
    optimizers = [each for found in find_optimizers(model) for each in found.variables]
    every = [*model.variables, *model.metrics_variables, *optimizers]
    return list({id(each): each for each in every}.values())


def to_put_back(model: Any, how: Withholding) -> list[Any]:
    """The variables that a held step is to leave as it found them."""
    return variables_of(model) if how.copies else moved(model)


def moved(model: Any) -> list[Any]:
    """What a step moves besides its optimizer's: BatchNorm's statistics, metrics, seeds."""
    return [*model.non_trainable_variables, *model.metrics_variables]


def _within_limits(tensors: Sequence[tuple[tf.Tensor, bool]]) -> tf.Tensor:
    """Whether all are finite, and the squares of those marked, as far as their sums tell.

    A sum of squares within the limit is enough. Beyond it each element has to be looked at.
    """
    limits = [_limit(value.dtype) if squared else np.inf for value, squared in tensors]
    squares = kernels.sums_of_squares([value for value, _ in tensors])
    return tf.reduce_all(tf.math.is_finite(squares) & (squares <= np.array(limits)))


def _all_fine(tensors: Sequence[tuple[tf.Tensor, bool]]) -> tf.Tensor:
    """The same by each element."""
    return tf.reduce_all(tf.stack([_has_fine(value, squared) for value, squared in tensors]))


def _is_fine(tensors: Sequence[tuple[tf.Tensor, bool]]) -> tf.Tensor:
    """The same by the sums, and by each element where those do not tell."""
    return choose(_within_limits(tensors), _yes, lambda: _all_fine(tensors))


def _yes() -> tf.Tensor:
    return tf.constant(True)


def _no() -> tf.Tensor:
    return tf.constant(False)


def _held_by(variable: Any) -> Any:
    """The `tf.Variable` of a Keras variable; None where it is none of one replica."""
    inner = getattr(variable, "_value", variable)
    return inner if isinstance(inner, tf.Variable) and hasattr(inner, "handle") else None


def _try(apply: Callable[[], object], state: Sequence[Any]) -> tf.Tensor:
    """Applies, and undoes it where what it made is not finite; whether it is."""
    before = read(state)
    apply()
    floats = [each for each in state if tf.as_dtype(each.dtype).is_floating]
    fine = _all_fine([(tf.convert_to_tensor(each.value), False) for each in floats])
    run_if(~fine, lambda: put_back(state, before))
    return fine


def read(variables: Sequence[Any]) -> dict[int, tf.Tensor]:
    """The values of variables, by identity."""
    return {id(each): tf.identity(each.value) for each in variables}


def put_back(variables: Sequence[Any], before: Mapping[int, tf.Tensor]) -> None:
    """Assigns the values that were read before."""
    for each in variables:
        # A metric that was made in this very step begins at zero, as Metric.reset_state has it.
        each.assign(before[id(each)] if id(each) in before else tf.zeros_like(each.value))


def _limit(dtype: tf.DType) -> float:
    return float(tf.experimental.numpy.finfo(dtype.as_numpy_dtype).max)


def _has_fine(value: tf.Tensor, squared: bool) -> tf.Tensor:
    """Whether each element is finite and, where wanted, its square in the tensor's own dtype."""
    parts = kernels.flatten(value)
    return tf.reduce_all(tf.math.is_finite(tf.square(parts) if squared else parts))
