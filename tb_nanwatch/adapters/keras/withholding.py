"""A step that went non-finite leaves the training as it found it: to skip it, or to run it again.

Decided on the device, within the step, also under XLA and in each of the steps that one call
executes. The optimizer's `apply` runs only where its gradients and the loss are finite; what the
forward pass moves (BatchNorm's statistics, metrics) is put back at the end of the step otherwise.
With `on_nonfinite="skip"` seed generators advance: the next step has other dropout masks than a
repetition would. A step that is held, to be run again, gets the same masks: they are put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tb_nanwatch.adapters.keras.hold import Hold
from tb_nanwatch.adapters.keras.optimizers import build, slots
from tb_nanwatch.adapters.keras.step_state import moved, put_back, read, variables_of
from tb_nanwatch.adapters.tensorflow.assignments import heard, key_of
from tb_nanwatch.adapters.tensorflow.branch import choose, run_if
from tb_nanwatch.adapters.tensorflow.finite import all_finite, are_finite, within_limits
from tb_nanwatch.adapters.tensorflow.graphs import current_graph
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

    def kept_variables(self, model: Any) -> list[Any]:
        """The variables of a model that a held step is to leave as it found them."""
        return variables_of(model) if self.copies else moved(model)


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
            fine = self._goes_on & all_finite(looked_at)
            held = ~fine & self._is_armed()
            if self._how.hold is not None and not self._how.copies:
                run_if(held, self._keep)
            return ~held & (fine | ~stops)

        def update() -> tf.Tensor:
            if guards:
                return _try(apply, list(state.values()))
            apply()
            return tf.constant(True)

        # Two nodes: an update that either branch of one could run would be a function within it,
        # whose call takes as long in each step as looking at ten tensors.
        is_due = choose(self._goes_on & within_limits(looked_at), _yes, look_closer)
        self._goes_on = choose(is_due, update, _no)
        if self._is_handled and self.skips:  # It was refused, then, and not withheld.
            self._goes_on &= are_finite(looked_at)

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
        return self._goes_on & are_finite(looked_at)

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


def _yes() -> tf.Tensor:
    return tf.constant(True)


def _no() -> tf.Tensor:
    return tf.constant(False)


def _try(apply: Callable[[], object], state: Sequence[Any]) -> tf.Tensor:
    """Applies, and undoes it where what it made is not finite; whether it is."""
    before = read(state)
    apply()
    floats = [each for each in state if tf.as_dtype(each.dtype).is_floating]
    fine = all_finite([(tf.convert_to_tensor(each.value), False) for each in floats])
    run_if(~fine, lambda: put_back(state, before))
    return fine
