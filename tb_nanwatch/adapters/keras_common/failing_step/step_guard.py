"""Checks a step's losses and gradients before they reach a weight.

In a graph the step stays the user's own: the check is one more node, for which the assignments of
the update wait. Nothing of the step moves into a branch, where Grappler would not rewrite it as it
does the plain graph: eight of Keras' optimizers trained to other last bits that way. Where losses
and gradients are finite nothing else happens. Where they are not, the guard captures the batch and
the values of the variables, which no update has touched yet: to be analyzed afterwards, or to be
restored at the end of the step, which is then skipped.

XLA compiles neither queues nor operations that wait for them: `compiled_guard` is for the steps
that it compiles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.failing_step.prior_values import PriorValue, Stash
from tb_nanwatch.adapters.keras_common.failing_step.update_guard import BaseGuard, StepState
from tb_nanwatch.adapters.keras_common.failing_step.update_policy import UpdatePolicy
from tb_nanwatch.adapters.keras_common.framework import framework_of
from tb_nanwatch.adapters.keras_common.instrument.optimizers import build, waits_for_gradients
from tb_nanwatch.adapters.tensorflow.graph.cond import cond_without_lowering, run_if
from tb_nanwatch.adapters.tensorflow.graph.state_changes import (
    StateChanges,
    StateVariable,
    on_unrepeatable_operation,
    state_variables,
    untracked,
    write_all,
)
from tb_nanwatch.adapters.tensorflow.graph.twins import twin
from tb_nanwatch.adapters.tensorflow.statistics.finite import (
    Checked,
    all_finite,
    are_finite,
    within_limits,
)
from tb_nanwatch.adapters.tensorflow.tracing.variable_hooks import on_variable_write
from tb_nanwatch.training.protocols import StepOutcome

MAX_CAPTURED_BYTES = 4 * 2**30
"""Variables that are captured of a step that goes non-finite."""


class StepGuard(BaseGuard):
    """The guard of a step that runs eagerly, or in a graph that XLA does not compile.

    Args:
      policy: what happens to a step that is not finite.
      batch: what the step is fed.
      state: what it may change.
    """

    def __init__(self, policy: UpdatePolicy, batch: Any, state: StepState):
        super().__init__(policy)
        self._batch = batch
        self._state = state
        self._changes = None if self._graph is None else StateChanges(self._graph, self.on_change)
        # In a step that runs eagerly: the variables that it wrote, with their values before.
        self._written: dict[int, tuple[StateVariable, tf.Tensor]] = {}
        self._is_applying = self._has_checked = False
        self._is_finite = tf.constant(True)
        self._stashes: list[tuple[tf.Tensor, Stash]] = []
        # In a step that is skipped: keys of what it may change, and of what is restored.
        self._not_restored: set[int] = set()
        self._restored: set[int] = set()

    @contextmanager
    def hooks_installed(self) -> Iterator[None]:
        if self._changes is None:
            with on_variable_write(self._before_write), self._first_eager_step_checked():
                yield
            return
        with self._changes.track():
            yield
        self.policy.refuse_for(self._changes)

    @contextmanager
    def _first_eager_step_checked(self) -> Iterator[None]:
        """The operations of the first eager step show whether such steps can be captured."""
        capture = self.policy.capture
        if capture is None or capture.has_several_updates is not None:
            yield
            return
        with on_unrepeatable_operation(capture.refuse):
            yield

    def on_change(self) -> None:
        """In a graph, before an operation is added that may change a variable."""

    def _before_write(self, variable: Any) -> None:
        """In a step that runs eagerly, before a variable is written."""
        if not tf.executing_eagerly():
            return  # A function is being traced: it writes when it is called.
        if self._is_applying and not self._copies_updates():
            return
        try:
            for each in state_variables([variable]):
                if each.key not in self._written:
                    self._written[each.key] = each, each.read()
        except Exception as error:  # The write, which belongs to the training, goes on.
            self.policy.refuse(f"its changes cannot be determined ({type(error).__name__})")

    def _copies_updates(self) -> bool:
        """Whether a step that runs eagerly has to copy what it updates."""
        capture = self.policy.capture
        if capture is None:
            has_several_updates = self.policy.skips
        else:
            has_several_updates = capture.has_several_updates is not False
        return has_several_updates or self.policy.checks_updates

    def apply(
        self,
        optimizer: Any,
        apply: Callable[[], object],
        gradients: Sequence[Any],
        variables: Sequence[Any],
    ) -> None:
        build(optimizer, variables, gradients)
        with untracked():
            checked = self._to_check(optimizer, gradients, variables)
            own = framework_of(optimizer).optimizer_variables(optimizer)
            # One that scales the loss skips the step itself, and has to lower its scale.
            not_restored = state_variables(own) if self._has_dynamic_scale else []
            waiting = state_variables(waits_for_gradients(optimizer, variables))
            self.check(checked, [*variables, *own], not_restored, waiting)
        self._is_applying = True
        try:
            apply()
        finally:
            self._is_applying = False

    def check(
        self,
        checked: Checked,
        variables: Iterable[Any] = (),
        not_restored: Sequence[StateVariable] = (),
        waiting: Sequence[StateVariable] = (),
    ) -> None:
        """Checks gradients and losses before the update that uses them.

        Args:
          checked: tensors, each with whether its square must be finite too.
          variables: those that the update changes, besides what is known of the state.
          not_restored: what stays as it is where the step is skipped.
          waiting: those that are not written before the gradients are there, check or no check.
        """
        if not checked:
            return
        self._has_checked = True
        was_finite = self._is_finite
        checked = [(twin(value), is_squared) for value, is_squared in checked]
        is_finite = within_limits(checked)
        if self._graph is None:
            if not bool(was_finite):
                self._capture_further(variables)
            elif not (bool(is_finite) or bool(all_finite(checked))):
                stashes = self._save(self._before(variables), not_restored, tf.constant(True))
                self._stashes += [(tf.constant(True), stash) for stash in stashes]
                self._is_finite = tf.constant(False)
            return
        before = _read_now(self._before(variables), {each.key for each in waiting})
        stashes = []

        def check_elements() -> tf.Tensor:
            is_finite = all_finite(checked)
            stashes.extend(self._save(before, not_restored, ~is_finite & was_finite))
            return is_finite

        is_finite = cond_without_lowering(is_finite, lambda: tf.constant(True), check_elements)
        self._stashes += [(was_finite & ~is_finite, stash) for stash in stashes]
        self._is_finite = was_finite & is_finite

    def _before(self, variables: Iterable[Any]) -> list[PriorValue]:
        """All that is known of the state, as it was before the step."""
        known = {each.key: each for each in self._known(variables)}
        changed = self._changed()
        found = [
            PriorValue(known.get(key, variable), functools.partial(tf.identity, value))
            for key, (variable, value) in changed.items()
        ]
        found += [PriorValue(each, each.read) for key, each in known.items() if key not in changed]
        return [each for each in found if not each.variable.is_symbolic]

    def _known(self, variables: Iterable[Any]) -> list[StateVariable]:
        found = state_variables([*variables, *self._state.variables()])
        keys = {each.key for each in found}
        seen = () if self._changes is None else self._changes.seen.values()
        return [*found, *(each for each in seen if each.key not in keys)]

    def _changed(self) -> dict[int, tuple[StateVariable, tf.Tensor]]:
        return self._written if self._changes is None else self._changes.changed()

    def _save(
        self,
        before: Sequence[PriorValue],
        not_restored: Sequence[StateVariable],
        is_nonfinite: tf.Tensor,
    ) -> list[Stash]:
        """In the branch for a step that may not be finite: saves the state before it."""
        self._capture_if(is_nonfinite, before)
        if not self.policy.skips:
            return []
        seeds = state_variables(self._state.seeds())
        self._not_restored |= {each.key for each in (*not_restored, *seeds)}
        restored = [each for each in before if each.variable.key not in self._not_restored]
        self._restored |= {each.variable.key for each in restored}
        stash = Stash([each.variable for each in restored])
        if self._graph is not None:
            self.policy.kept_alive.append(stash)
        run_if(is_nonfinite, lambda: stash.put([each.read() for each in restored]))
        return [stash]

    def _capture_further(self, variables: Iterable[Any]) -> None:
        """Eagerly, in a step that is captured: what is known only now, as an optimizer's slots."""
        if self.policy.capture is not None:
            before = self._before(variables)
            self.policy.capture.add([(each.variable, each.read()) for each in before])

    def _capture_if(self, is_nonfinite: tf.Tensor, before: Sequence[PriorValue]) -> None:
        capture = self.policy.capture
        if capture is None or capture.refusal or not self._is_within_limits(before):
            return
        variables = [each.variable for each in before]

        def run() -> None:
            capture.capture(self._batch, variables, [each.read() for each in before])

        run_if(is_nonfinite & capture.is_armed_tensor() & ~self._may_be_scale_overflow(), run)

    def _is_within_limits(self, before: Sequence[PriorValue]) -> bool:
        copied = sum(variable.nbytes for variable, _ in self._changed().values())
        captured = sum(each.variable.nbytes for each in before)
        if not self.policy.allows_copies(copied):
            return False
        if captured > MAX_CAPTURED_BYTES:
            self.policy.refuse(
                f"its variables take {captured:,} bytes, more than the limit of "
                f"{MAX_CAPTURED_BYTES:,}"
            )
            return False
        return True

    @property
    def has_tripped(self) -> bool:
        return self._graph is None and not bool(self._is_finite)

    def end(self) -> StepOutcome:
        capture = self.policy.capture
        if self._graph is None and capture is not None:
            capture.has_several_updates = bool(capture.has_several_updates) or self._updates > 1
        if self.policy.checks_updates:
            self._check_updates()
        if not self._has_checked:  # It updates weights without an optimizer.
            self.check([(each, False) for each in self._losses])
        if not self.policy.skips:
            return StepOutcome()
        for is_nonfinite, stash in self._stashes:
            run_if(is_nonfinite, stash.restore)
        self._restore_others()
        return StepOutcome(tf.constant(False) if self._has_dynamic_scale else ~self._is_finite)

    def _restore_others(self) -> None:
        """In a step that is skipped: restores what was not known when it was checked."""
        others = [
            known
            for key, known in self._changed().items()
            if key not in self._not_restored | self._restored and not known[0].is_symbolic
        ]
        if others:
            run_if(~self._is_finite, lambda: write_all(others))

    def _check_updates(self) -> None:
        """At the end of a step that copied what it updates: checks the new values."""
        floats = [
            variable.read()
            for variable, _ in self._changed().values()
            if variable.spec.dtype.is_floating and not variable.is_symbolic
        ]
        if not floats:
            return
        is_finite = are_finite([(each, False) for each in floats])
        is_nonfinite = self._is_finite & ~is_finite
        before = self._before(())
        self._capture_if(is_nonfinite, before)
        if self.policy.skips and not self._has_dynamic_scale:
            seeds = {each.key for each in state_variables(self._state.seeds())}

            def restore() -> None:
                for each in before:
                    if each.variable.key in self._changed() and each.variable.key not in seeds:
                        each.variable.write(each.read())

            run_if(is_nonfinite, restore)
            self._is_finite &= is_finite


def _read_now(before: Sequence[PriorValue], waiting: Collection[int]) -> list[PriorValue]:
    """In a graph: reads before the check what need not wait for it, without a copy.

    What reads a variable in a branch keeps later writes waiting for the branch, and so for the
    data. Where the data have ended, Keras runs the step once more, in vain: but a counter of steps
    that waits for nothing counts it, and the next epoch trains by that counter.
    """
    return [
        each
        if each.variable.key in waiting
        else PriorValue(each.variable, functools.partial(tf.identity, each.read()))
        for each in before
    ]
