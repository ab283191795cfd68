"""The guard of a step that XLA compiles: a step that is not finite is deferred, or skipped.

Its update is a branch of the compiled function, which runs where losses and gradients are finite.
What the step has changed by then is restored at its end; under a strategy whose updates cannot be
in a branch, so is the update. A deferred step has changed nothing: the host analyzes it, and then
runs it as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.failing_step.update_guard import BaseGuard, StepState
from tb_nanwatch.adapters.keras_common.failing_step.update_policy import UpdatePolicy
from tb_nanwatch.adapters.keras_common.framework import framework_of
from tb_nanwatch.adapters.keras_common.instrument.optimizers import build
from tb_nanwatch.adapters.tensorflow.graph.cond import cond_without_lowering, run_if
from tb_nanwatch.adapters.tensorflow.graph.replicas import merges_updates
from tb_nanwatch.adapters.tensorflow.graph.state_changes import (
    StateChanges,
    StateVariable,
    state_variables,
    untracked,
    write_all,
)
from tb_nanwatch.adapters.tensorflow.statistics.finite import (
    Checked,
    all_finite,
    are_finite,
    within_limits,
)
from tb_nanwatch.training.protocols import StepOutcome


class CompiledStepGuard(BaseGuard):
    """The guard of a step that XLA compiles.

    Args:
      policy: what happens to a step that is not finite.
      state: what it may change.
    """

    def __init__(self, policy: UpdatePolicy, state: StepState):
        super().__init__(policy)
        self._state = state
        self._changes = StateChanges(self._graph)
        # Whether an earlier step of the same call is deferred: then so is this one.
        deferred = policy.deferred
        self._follows_deferred = tf.constant(False) if deferred is None else deferred.has_pending()
        self._proceeds = ~self._follows_deferred
        self._restores_updates = (policy.checks_updates and not policy.skips) or merges_updates()
        self._checked: list[tuple[tf.Tensor, bool]] = []
        # What each update is about to change, with its value before.
        self._updated: list[dict[int, tuple[StateVariable, tf.Tensor]]] = []

    @contextmanager
    def hooks_installed(self) -> Iterator[None]:
        with self._changes.track():
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

        A LossScaleOptimizer's always: it skips the step itself, and has to lower its scale.
        """
        build(optimizer, variables, gradients)  # No variable can be created in a branch.
        with untracked():
            checked = self._to_check(optimizer, gradients, variables)
            own = framework_of(optimizer).optimizer_variables(optimizer)
            self._update(apply, checked, state_variables([*variables, *own]))

    def _update(
        self, apply: Callable[[], object], checked: Checked, state: Sequence[StateVariable]
    ) -> None:
        self._checked += checked
        self._updated.append({each.key: (each, each.read()) for each in state})
        self._limit_copies()
        policy = self.policy
        if self._restores_updates:
            apply()
            return
        stops = tf.constant(policy.skips and not self._has_dynamic_scale)

        def check_elements() -> tf.Tensor:
            is_finite = self._proceeds & all_finite(checked)
            is_deferred = ~is_finite & self._is_armed()
            return ~is_deferred & (is_finite | ~stops)

        def update() -> tf.Tensor:
            apply()
            if not policy.checks_updates or self._has_dynamic_scale:
                return tf.constant(True)
            return _undo_unless_finite(self._updated[-1])

        runs = cond_without_lowering(self._proceeds & within_limits(checked), _yes, check_elements)
        self._proceeds = cond_without_lowering(runs, update, _no)
        if self._has_dynamic_scale and policy.skips:  # The optimizer skipped it, then, not we.
            self._proceeds &= are_finite(checked)

    def _limit_copies(self) -> None:
        restored = self._updated if self._restores_updates else self._updated[:-1]
        copied = sum(variable.nbytes for each in restored for variable, _ in each.values())
        self.policy.allows_copies(copied)

    def end(self) -> StepOutcome:
        """Restores what a step changed that is skipped or deferred."""
        all_have_run = self.policy.checks_updates or self._restores_updates
        if all_have_run or not self._updated:
            checked = [*self._checked, *((each, False) for each in self._losses)]
            checked += [(value, False) for value in self._updated_floats()]
            if checked:
                self._proceeds &= are_finite(checked)
        is_deferred = ~self._proceeds & self._is_armed()
        if self.policy.deferred is not None:
            run_if(is_deferred, self.policy.deferred.defer)
        before = self._changes.changed()
        # In a branch the last update needs no restoring: it has not run.
        for each in self._updated if all_have_run else self._updated[:-1]:
            before = {**each, **before}
        self._restore_if(is_deferred, before)
        if not self.policy.skips:
            return StepOutcome(None, is_deferred)
        is_skipped = ~self._proceeds & ~is_deferred
        not_restored = {each.key for each in state_variables(self._state.seeds())}
        if self._has_dynamic_scale:
            not_restored |= {key for each in self._updated for key in each}
        restored = {key: each for key, each in before.items() if key not in not_restored}
        self._restore_if(is_skipped, restored)
        return StepOutcome(
            tf.constant(False) if self._has_dynamic_scale else is_skipped, is_deferred
        )

    def _updated_floats(self) -> list[tf.Tensor]:
        if not self.policy.checks_updates:
            return []
        known = {key: variable for each in self._updated for key, (variable, _) in each.items()}
        known |= {key: variable for key, (variable, _) in self._changes.changed().items()}
        return [each.read() for each in known.values() if each.spec.dtype.is_floating]

    def _restore_if(
        self, predicate: tf.Tensor, before: dict[int, tuple[StateVariable, tf.Tensor]]
    ) -> None:
        if before:
            run_if(predicate, lambda: write_all(before.values()))

    def _is_armed(self) -> tf.Tensor:
        """Bool scalar, whether this step is deferred where it is not finite."""
        deferred = self.policy.deferred
        if deferred is None:
            return tf.constant(False)
        return deferred.is_armed_tensor() & (
            ~self._may_be_scale_overflow() | self._follows_deferred
        )


def _yes() -> tf.Tensor:
    return tf.constant(True)


def _no() -> tf.Tensor:
    return tf.constant(False)


def _undo_unless_finite(before: dict[int, tuple[StateVariable, tf.Tensor]]) -> tf.Tensor:
    """Undoes an update whose result is not finite; returns whether it is finite."""
    floats = [variable for variable, _ in before.values() if variable.spec.dtype.is_floating]
    is_finite = all_finite([(each.read(), False) for each in floats])
    run_if(~is_finite, lambda: write_all(before.values()))
    return is_finite
