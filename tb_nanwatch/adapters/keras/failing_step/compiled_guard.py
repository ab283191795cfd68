"""The guard of a step that XLA compiles: a step that is not finite is held back, or skipped.

Its update is a branch of the compiled function, which runs where losses and gradients are finite;
what the step has changed by then is put back at its end. One that is held has left no trace: the
host looks into it, and then runs it as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras.failing_step.step_guard import (
    StepOutcome,
    StepState,
    UpdateGuard,
    UpdatePolicy,
)
from tb_nanwatch.adapters.keras.instrument.optimizers import build
from tb_nanwatch.adapters.tensorflow.graph.cond import choose, run_if
from tb_nanwatch.adapters.tensorflow.graph.state_changes import (
    StateChanges,
    StateVariable,
    state_variables,
    unheard,
    write_all,
)
from tb_nanwatch.adapters.tensorflow.statistics.finite import (
    Looked,
    all_finite,
    are_finite,
    within_limits,
)


class CompiledStepGuard(UpdateGuard):
    """The guard of a step that XLA compiles.

    Args:
      policy: what becomes of a step that is not finite.
      state: what it may change.
    """

    def __init__(self, policy: UpdatePolicy, state: StepState):
        super().__init__(policy)
        self._state = state
        self._changes = StateChanges(self._graph)
        # Whether an earlier step of the same call is held: then so is this one.
        self._follows = tf.constant(False) if policy.held is None else policy.held.has_some()
        self._goes_on = ~self._follows
        self._looked_at: list[tuple[tf.Tensor, bool]] = []
        # What each update is about to change, and what that holds.
        self._updated: list[dict[int, tuple[StateVariable, tf.Tensor]]] = []

    @contextmanager
    def heard(self) -> Iterator[None]:
        with self._changes.heard():
            yield
        self.policy.refuse_for(self._changes)

    def apply(
        self,
        optimizer: Any,
        apply: Callable[[], object],
        gradients: Sequence[Any],
        variables: Sequence[Any],
    ) -> None:
        """Runs `apply` where gradients and losses are finite, and the gradients' squares in slots.

        A LossScaleOptimizer's always: it refuses the step itself, and has to lower its scale.
        """
        with unheard():
            build(optimizer, variables)  # No variable can be made in a branch.
            looked_at = self._take_in(optimizer, gradients, variables)
            self._update(apply, looked_at, state_variables([*variables, *optimizer.variables]))

    def _update(
        self, apply: Callable[[], object], looked_at: Looked, state: Sequence[StateVariable]
    ) -> None:
        self._looked_at += looked_at
        self._updated.append({each.key: (each, each.read()) for each in state})
        self._limit_copies()
        policy = self.policy
        if policy.checks_updates and not policy.skips:
            apply()
            return
        stops = tf.constant(policy.skips and not self._is_handled)

        def look_closer() -> tf.Tensor:
            fine = self._goes_on & all_finite(looked_at)
            held = ~fine & self._is_armed()
            return ~held & (fine | ~stops)

        def update() -> tf.Tensor:
            apply()
            if not policy.checks_updates or self._is_handled:
                return tf.constant(True)
            return _undone_unless_finite(self._updated[-1])

        is_due = choose(self._goes_on & within_limits(looked_at), _yes, look_closer)
        self._goes_on = choose(is_due, update, _no)
        if self._is_handled and policy.skips:  # It was refused, then, and not withheld.
            self._goes_on &= are_finite(looked_at)

    def _limit_copies(self) -> None:
        earlier = self._updated[:-1]
        copied = sum(variable.nbytes for each in earlier for variable, _ in each.values())
        self.policy.allows_copies(copied)

    def end(self) -> StepOutcome:
        """Puts back what a step changed that is skipped or held."""
        if self.policy.checks_updates or not self._updated:
            looked_at = [*self._looked_at, *((each, False) for each in self._losses)]
            looked_at += [(value, False) for value in self._updated_floats()]
            if looked_at:
                self._goes_on &= are_finite(looked_at)
        held = ~self._goes_on & self._is_armed()
        if self.policy.held is not None:
            run_if(held, self.policy.held.count)
        before = self._changes.changed()
        # Of the last update nothing has to be put back: it has not run.
        for each in self._updated if self.policy.checks_updates else self._updated[:-1]:
            before = {**each, **before}
        self._put_back_if(held, before)
        if not self.policy.skips:
            return StepOutcome(None, held)
        skipped = ~self._goes_on & ~held
        left = {each.key for each in state_variables(self._state.advancing())}
        if self._is_handled:
            left |= {key for each in self._updated for key in each}
        self._put_back_if(skipped, {k: each for k, each in before.items() if k not in left})
        return StepOutcome(tf.constant(False) if self._is_handled else skipped, held)

    def _updated_floats(self) -> list[tf.Tensor]:
        if not self.policy.checks_updates:
            return []
        known = {key: variable for each in self._updated for key, (variable, _) in each.items()}
        known |= {key: variable for key, (variable, _) in self._changes.changed().items()}
        return [each.read() for each in known.values() if each.spec.dtype.is_floating]

    def _put_back_if(
        self, is_due: tf.Tensor, before: dict[int, tuple[StateVariable, tf.Tensor]]
    ) -> None:
        if before:
            run_if(is_due, lambda: write_all(before.values()))

    def _is_armed(self) -> tf.Tensor:
        """Bool scalar, whether this step is held where it is not finite."""
        if self.policy.held is None:
            return tf.constant(False)
        return self.policy.held.is_waiting() & (~self._is_of_the_scale() | self._follows)


def _yes() -> tf.Tensor:
    return tf.constant(True)


def _no() -> tf.Tensor:
    return tf.constant(False)


def _undone_unless_finite(before: dict[int, tuple[StateVariable, tf.Tensor]]) -> tf.Tensor:
    """Puts back what an update changed where what it made is not finite; whether it is."""
    floats = [variable for variable, _ in before.values() if variable.spec.dtype.is_floating]
    fine = all_finite([(each.read(), False) for each in floats])
    run_if(~fine, lambda: write_all(before.values()))
    return fine
