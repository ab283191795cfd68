"""Looks at a step's losses and gradients before they reach a weight.

In a graph the step stays the user's own: the guard is one more node, which the assignments of the
update wait for. Nothing of the step moves into a branch, where Grappler would not rewrite it as it
does the plain graph: eight of Keras's optimizers trained to other last bits so. Where losses and
gradients are finite the guard has nothing to do. Where they are not it keeps what the step was fed
and what the variables hold, which no update has touched yet: to be looked into afterwards, or to be
put back at the end of the step, which is then skipped.

XLA compiles neither queues nor what waits for them: `compiled_guard` is for steps that it compiles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tb_nanwatch.adapters.keras.failing_step.captured_step import StepKeeper
from tb_nanwatch.adapters.keras.failing_step.deferred_steps import HeldSteps
from tb_nanwatch.adapters.keras.instrument.optimizers import build, slots
from tb_nanwatch.adapters.tensorflow.graph.cond import choose, run_if
from tb_nanwatch.adapters.tensorflow.graph.context import current_graph
from tb_nanwatch.adapters.tensorflow.graph.state_changes import (
    StateChanges,
    StateVariable,
    eager_refusal,
    state_variables,
    unheard,
    write_all,
)
from tb_nanwatch.adapters.tensorflow.graph.twins import twin
from tb_nanwatch.adapters.tensorflow.statistics.finite import (
    Looked,
    all_finite,
    are_finite,
    within_limits,
)
from tb_nanwatch.adapters.tensorflow.tensors import dense
from tb_nanwatch.adapters.tensorflow.tracing.variable_hooks import heard
from tb_nanwatch.training.warnings import Guard

MOST_COPIED = 256 * 2**20
"""Bytes that a step may copy, each time it runs, of what it updates before its last update."""

MOST_KEPT = 4 * 2**30
"""Bytes of variables that are kept of a step that goes non-finite."""


@dataclass(frozen=True)
class UpdatePolicy:
    """What becomes of a step that is not finite.

    Attributes:
      skips: whether it is left out of the training.
      checks_updates: whether to look at what an update made, too: a step whose gradients are finite
        and whose update is not is then kept, or skipped. That takes a copy of what is updated, in
        each step.
      keeper: keeps such a step, to be looked into; None for never.
      held: holds such a step back, where XLA compiles it; None for never.
    """

    skips: bool = False
    checks_updates: bool = False
    keeper: StepKeeper | None = None
    held: HeldSteps | None = None

    def refuse(self, why: str) -> None:
        """Has no step kept or held back."""
        for each in (self.keeper, self.held):
            if each is not None:
                each.refuse(why)

    def allows_copies(self, copied: int) -> bool:
        """Whether a step may hold on to so many bytes; has none kept or held back otherwise."""
        if copied <= MOST_COPIED or self.checks_updates:
            return True
        self.refuse(
            "it updates weights more than once, and to hold on to what the first updates "
            f"change would take {copied:,} bytes, more than {MOST_COPIED:,}"
        )
        return False

    def refuse_for(self, changes: StateChanges) -> None:
        """Has no step kept or held back that changes what cannot be put back."""
        try:
            refusal = changes.refusal()
        except Exception as error:
            refusal = f"what it changes could not be told ({type(error).__name__}: {error})"
        if refusal:
            self.refuse(refusal)


class StepOutcome(NamedTuple):
    """What became of a step: bool scalars.

    Attributes:
      skipped: whether it is left out of the training; None where no step is.
      held: whether it has left no trace, as the host is to run it; None where no step is.
    """

    skipped: tf.Tensor | None = None
    held: tf.Tensor | None = None


@dataclass(frozen=True)
class StepState:
    """What a step may change, as far as it is known at any moment.

    Attributes:
      variables: gives all of it.
      advancing: gives those that move on in a step that is skipped, too: states of random seeds.
    """

    variables: Callable[[], Iterable[Any]] = tuple
    advancing: Callable[[], Iterable[Any]] = tuple


class UpdateGuard:
    """What the guards of all kinds of steps take in, when a step is traced or run.

    Args:
      policy: what becomes of a step that is not finite.
    """

    def __init__(self, policy: UpdatePolicy):
        self.policy = policy
        self._graph = current_graph()
        self._losses: list[tf.Tensor] = []
        self._updates = 0
        self._is_handled = False
        self._scale: tf.Tensor | None = None

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Until the block ends, which is around the step, hears of what the step changes."""
        raise NotImplementedError

    def loss(self, loss: Any) -> None:
        """Takes a loss of the step in, before the update that is for it."""
        self._losses.append(dense(loss))

    def apply(
        self,
        optimizer: Any,
        apply: Callable[[], object],
        gradients: Sequence[Any],
        variables: Sequence[Any],
    ) -> None:
        """Runs `apply`, an optimizer's, and looks at what it is given before."""
        raise NotImplementedError

    def end(self) -> StepOutcome:
        """At the end of the step, when nothing more is heard of."""
        raise NotImplementedError

    def _take_in(
        self, optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]
    ) -> list[tuple[tf.Tensor, bool]]:
        """Gradients and losses, and of which the squares go into slots."""
        self._updates += 1
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            self._is_handled = True
            self._scale = tf.convert_to_tensor(optimizer.dynamic_scale, tf.float32)
        has_slots = any(owner is not None for _, owner in slots(optimizer, variables))
        looked_at = [(dense(each), has_slots) for each in gradients if each is not None]
        return [*looked_at, *((each, False) for each in self._losses)]

    def _is_of_the_scale(self) -> tf.Tensor:
        """Bool scalar, whether a loss scale may be what makes the step non-finite."""
        # What is not finite at a scale of 1 is not of the scale's making.
        return tf.constant(False) if self._scale is None else self._scale > 1


class _Before(NamedTuple):
    """What a variable held before the step.

    Attributes:
      variable: the variable.
      read: gives that: what was read, or, as long as nothing has changed it, what it holds.
    """

    variable: StateVariable
    read: Callable[[], tf.Tensor]


class _Stash:
    """Where a branch that few steps take leaves tensors for the rest of the step."""

    def __init__(self, variables: Sequence[StateVariable]):
        self._variables = variables
        self._eager: Sequence[tf.Tensor] = ()
        if tf.inside_function():
            with tf.init_scope():
                self._queue = tf.queue.FIFOQueue(1, [each.spec.dtype for each in variables])

    def put(self, values: Sequence[tf.Tensor]) -> None:
        if tf.inside_function():
            self._queue.enqueue(values)
        else:
            self._eager = values

    def put_back(self) -> None:
        """Has the variables hold what was left."""
        values: Any = self._eager
        if tf.inside_function():
            values = self._queue.dequeue()
            values = values if isinstance(values, list) else [values]
        write_all(zip(self._variables, values, strict=True))


class StepGuard(UpdateGuard):
    """The guard of a step that runs eagerly, or in a graph that XLA does not compile.

    Args:
      policy: what becomes of a step that is not finite.
      batch: what the step is fed.
      state: what it may change.
    """

    def __init__(self, policy: UpdatePolicy, batch: Any, state: StepState):
        super().__init__(policy)
        self._batch = batch
        self._state = state
        self._changes = None if self._graph is None else StateChanges(self._graph, self.on_change)
        # In a step that runs eagerly: what it has assigned to, and what that held before.
        self._assigned: dict[int, tuple[StateVariable, tf.Tensor]] = {}
        self._is_applying = False
        self._is_fine = tf.constant(True)
        self._withdrawals: list[tuple[tf.Tensor, _Stash]] = []
        # Keys of what a step that is skipped leaves as it is, and of what is put back.
        self._left: set[int] = set()
        self._withdrawn: set[int] = set()

    @contextmanager
    def heard(self) -> Iterator[None]:
        if self._changes is None:
            with heard(self._on_assignment), self._first_looked_at():
                yield
            return
        with self._changes.heard():
            yield
        self.policy.refuse_for(self._changes)

    @contextmanager
    def _first_looked_at(self) -> Iterator[None]:
        """Of steps that run eagerly the operations of the first tell whether they can be kept."""
        keeper = self.policy.keeper
        if keeper is None or keeper.updates_often is not None:
            yield
            return
        with eager_refusal(keeper.refuse):
            yield

    def on_change(self) -> None:
        """In a graph, before an operation is added that may change a variable."""

    def _on_assignment(self, variable: Any) -> None:
        """In a step that runs eagerly, before something is assigned to a variable."""
        if not tf.executing_eagerly():
            return  # A function is being traced: what runs is heard of where it is called.
        if self._is_applying and not self._copies_updates():
            return
        try:
            for each in state_variables([variable]):
                if each.key not in self._assigned:
                    self._assigned[each.key] = each, each.read()
        except Exception as error:  # The assignment, which is the training's, goes on.
            self.policy.refuse(f"what it changes could not be told ({type(error).__name__})")

    def _copies_updates(self) -> bool:
        """Whether a step that runs eagerly has to hold on to what it updates."""
        keeper = self.policy.keeper
        several = self.policy.skips if keeper is None else keeper.updates_often is not False
        return several or self.policy.checks_updates

    def apply(
        self,
        optimizer: Any,
        apply: Callable[[], object],
        gradients: Sequence[Any],
        variables: Sequence[Any],
    ) -> None:
        with unheard():
            build(optimizer, variables)
            looked_at = self._take_in(optimizer, gradients, variables)
            is_scaling = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
            # That refuses the step itself, and has to lower its scale.
            stays = state_variables(optimizer.variables) if is_scaling else []
            self.check(looked_at, [*variables, *optimizer.variables], stays)
        self._is_applying = True
        try:
            apply()
        finally:
            self._is_applying = False

    def check(
        self,
        looked_at: Looked,
        variables: Iterable[Any] = (),
        stays: Sequence[StateVariable] = (),
    ) -> None:
        """Looks at gradients and losses before what is made of them is assigned.

        Args:
          looked_at: tensors, and of which the squares must be finite, too.
          variables: that are about to be changed, besides what is known of the state.
          stays: what is not put back where the step is skipped.
        """
        if not looked_at:
            return
        was_fine = self._is_fine
        looked_at = [(twin(value), is_squared) for value, is_squared in looked_at]
        fine = within_limits(looked_at)
        if self._graph is None:
            if not (bool(fine) or bool(all_finite(looked_at))) and bool(was_fine):
                stashes = self._react(self._before(variables), stays, tf.constant(True))
                self._withdrawals += [(tf.constant(True), stash) for stash in stashes]
                self._is_fine = tf.constant(False)
            return
        before = self._before(variables)
        stashes = []

        def look_closer() -> tf.Tensor:
            fine = all_finite(looked_at)
            stashes.extend(self._react(before, stays, ~fine & was_fine))
            return fine

        fine = choose(fine, lambda: tf.constant(True), look_closer)
        self._withdrawals += [(was_fine & ~fine, stash) for stash in stashes]
        self._is_fine = was_fine & fine

    def _before(self, variables: Iterable[Any]) -> list[_Before]:
        """All that is known of the state, as it was before the step."""
        known = {each.key: each for each in self._known(variables)}
        changed = self._changed()
        found = [
            _Before(known.get(key, variable), functools.partial(tf.identity, value))
            for key, (variable, value) in changed.items()
        ]
        found += [_Before(each, each.read) for key, each in known.items() if key not in changed]
        return [each for each in found if not each.variable.is_symbolic]

    def _known(self, variables: Iterable[Any]) -> list[StateVariable]:
        found = state_variables([*variables, *self._state.variables()])
        keys = {each.key for each in found}
        seen = () if self._changes is None else self._changes.seen.values()
        return [*found, *(each for each in seen if each.key not in keys)]

    def _changed(self) -> dict[int, tuple[StateVariable, tf.Tensor]]:
        return self._assigned if self._changes is None else self._changes.changed()

    def _react(
        self, before: Sequence[_Before], stays: Sequence[StateVariable], trouble: tf.Tensor
    ) -> list[_Stash]:
        """In the branch for a step that may not be finite: keeps what is needed of it."""
        self._keep_if(trouble, before)
        if not self.policy.skips:
            return []
        self._left |= {each.key for each in (*stays, *state_variables(self._state.advancing()))}
        withdrawn = [each for each in before if each.variable.key not in self._left]
        self._withdrawn |= {each.variable.key for each in withdrawn}
        stash = _Stash([each.variable for each in withdrawn])
        run_if(trouble, lambda: stash.put([each.read() for each in withdrawn]))
        return [stash]

    def _keep_if(self, trouble: tf.Tensor, before: Sequence[_Before]) -> None:
        keeper = self.policy.keeper
        if keeper is None or keeper.refusal or not self._is_within_limits(before):
            return
        variables = [each.variable for each in before]

        def keep() -> None:
            keeper.keep(self._batch, variables, [each.read() for each in before])

        run_if(trouble & keeper.is_waiting() & ~self._is_of_the_scale(), keep)

    def _is_within_limits(self, before: Sequence[_Before]) -> bool:
        copied = sum(variable.nbytes for variable, _ in self._changed().values())
        kept = sum(each.variable.nbytes for each in before)
        if not self.policy.allows_copies(copied):
            return False
        if kept > MOST_KEPT:
            self.policy.refuse(
                f"its variables take {kept:,} bytes, more than the {MOST_KEPT:,} that are kept"
            )
            return False
        return True

    def end(self) -> StepOutcome:
        keeper = self.policy.keeper
        if self._graph is None and keeper is not None:
            keeper.updates_often = bool(keeper.updates_often) or self._updates > 1
        if self.policy.checks_updates:
            self._look_at_updates()
        if not self.policy.skips:
            return StepOutcome()
        for is_due, stash in self._withdrawals:
            run_if(is_due, stash.put_back)
        self._put_back_others()
        return StepOutcome(tf.constant(False) if self._is_handled else ~self._is_fine)

    def _put_back_others(self) -> None:
        """Of a step that is skipped what nobody knew of when its gradients were looked at."""
        others = [
            known
            for key, known in self._changed().items()
            if key not in self._left | self._withdrawn and not known[0].is_symbolic
        ]
        if others:
            run_if(~self._is_fine, lambda: write_all(others))

    def _look_at_updates(self) -> None:
        """At the end of a step that held on to what it updates: looks at what was made of it."""
        floats = [
            variable.read()
            for variable, _ in self._changed().values()
            if variable.spec.dtype.is_floating and not variable.is_symbolic
        ]
        if not floats:
            return
        fine = are_finite([(each, False) for each in floats])
        trouble = self._is_fine & ~fine
        before = self._before(())
        self._keep_if(trouble, before)
        if self.policy.skips and not self._is_handled:
            left = {each.key for each in state_variables(self._state.advancing())}

            def put_back() -> None:
                for each in before:
                    if each.variable.key in self._changed() and each.variable.key not in left:
                        each.variable.write(each.read())

            run_if(trouble, put_back)
            self._is_fine &= fine


def guarded_update(
    guard: Guard,
    update_guard: UpdateGuard,
    optimizer: Any,
    update: Callable[[], object],
    gradients: list[Any],
    variables: list[Any],
) -> object:
    """Runs an update behind its guard; trouble of ours before it leaves it as it is."""
    is_begun = False
    result: object = None

    def begun() -> None:
        nonlocal is_begun, result
        is_begun = True
        result = update()

    try:
        update_guard.apply(optimizer, begun, gradients, variables)
    except Exception as error:
        if is_begun:
            raise
        guard.trip("look at an update", error)
        return update()
    return result
