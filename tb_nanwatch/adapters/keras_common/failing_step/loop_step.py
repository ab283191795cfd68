"""One step of a custom training loop, and the hooks that follow what it computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.failing_step.compiled_guard import CompiledStepGuard
from tb_nanwatch.adapters.keras_common.failing_step.step_guard import StepGuard
from tb_nanwatch.adapters.keras_common.failing_step.update_guard import StepState
from tb_nanwatch.adapters.keras_common.failing_step.update_policy import UpdatePolicy
from tb_nanwatch.adapters.keras_common.framework import Update
from tb_nanwatch.adapters.keras_common.instrument.call_graph import CallGraph
from tb_nanwatch.adapters.keras_common.instrument.optimizers import on_optimizer_update
from tb_nanwatch.adapters.tensorflow.graph.context import current_graph, in_xla
from tb_nanwatch.adapters.tensorflow.graph.function_patching import FunctionPatch, patch_functions
from tb_nanwatch.adapters.tensorflow.graph.state_changes import untracked
from tb_nanwatch.adapters.tensorflow.graph.tapes import on_tape_gradient
from tb_nanwatch.adapters.tensorflow.statistics.finite import Checked
from tb_nanwatch.adapters.tensorflow.tensors import NamedTensor, dense
from tb_nanwatch.training.failing_step.guarded_update import run_guarded_update
from tb_nanwatch.training.internal_errors import InternalErrorGuard


class LoopGuard(StepGuard):
    """The guard of a step of a custom loop, which may update weights without an optimizer."""

    def __init__(self, policy: UpdatePolicy):
        self._pending: list[tuple[tf.Tensor, bool]] = []
        self._tape_variables: list[Any] = []
        # No batch: the host has the step's arguments.
        super().__init__(policy, None, StepState(lambda: self._tape_variables))

    def add_gradients(self, tape: Any, gradients: Any) -> None:
        """Adds gradients that a tape computed."""
        found = [dense(each) for each in tf.nest.flatten(gradients) if _is_float(each)]
        self._pending += [(each, False) for each in (*found, *self._losses)]
        self._tape_variables += tape.watched_variables()
        if self._graph is None:
            # Now, because eagerly not every change of a variable can be followed.
            self.on_change()

    def on_change(self) -> None:
        pending, self._pending = self._pending, []
        if pending:
            with untracked():
                self.check(pending)

    def check(self, checked: Checked, *args: Any, **kwargs: Any) -> None:
        self._pending = []
        super().check(checked, *args, **kwargs)


class LoopStep:
    """One step of a custom loop, when it is traced or run.

    Args:
      policy: what happens to it where it is not finite.
      error_guard: keeps errors of ours out of the step.

    Attributes:
      guard: checks what the step computes.
      error_guard: as given.
      observations: what the step passed to `Watcher.observe`: tensors, and whether they begin a
        new step.
      calls: the calls of layers, where they are collected.
      optimizers: those that applied gradients.
    """

    def __init__(self, policy: UpdatePolicy, error_guard: InternalErrorGuard):
        self.error_guard = error_guard
        compiled = in_xla()
        self.guard: LoopGuard | CompiledStepGuard = (
            CompiledStepGuard(policy, StepState()) if compiled else LoopGuard(policy)
        )
        self.observations: list[tuple[list[NamedTensor], bool]] = []
        self.calls = CallGraph()
        self.optimizers: list[Any] = []
        self._policy = policy
        self._graph = current_graph()

    def is_outermost_graph(self) -> bool:
        """Whether this is the graph of the step, and of no function, loop or replica in it."""
        context = tf.distribute.get_replica_context()
        one = context is not None and context.num_replicas_in_sync == 1
        return one and current_graph() is self._graph

    def refuse(self, why: str) -> None:
        """Has no further step captured or deferred; `why` is the reason."""
        self._policy.refuse(why)

    def add_gradients(self, tape: Any, target: Any, gradients: Any) -> None:
        """Adds what a tape differentiated and returned; a scalar target is a loss."""
        if not self.is_outermost_graph():
            return
        for each in tf.nest.flatten(target):
            if isinstance(each, tf.Tensor) and each.shape.rank == 0 and _is_float(each):
                self.guard.add_loss(each)
        if isinstance(self.guard, LoopGuard):
            self.guard.add_gradients(tape, gradients)

    def apply(self, optimizer: Any, update: Update) -> Any:
        """In place of an update by an optimizer."""
        if not any(optimizer is each for each in self.optimizers):
            self.optimizers.append(optimizer)
        if self.error_guard.has_failed or not self.is_outermost_graph():
            self.guard.refuse_inner_update()
            return update.run()
        gradients, variables, run = update
        return run_guarded_update(
            self.error_guard, self.guard, optimizer, run, gradients, variables
        )

    def end(self) -> tf.Tensor | None:
        """Bool scalar, whether the step is deferred; None where no step is."""
        found = [
            tensor
            for tensors, _ in self.observations
            for info, tensor, _ in tensors
            if info.role in ("loss", "gradient")
        ]
        if self.error_guard.has_failed:
            return None
        if isinstance(self.guard, CompiledStepGuard):
            for each in found:
                self.guard.add_loss(each)
        else:
            self.guard.check([(each, False) for each in found])
        deferred: tf.Tensor | None = self.guard.end().deferred
        return deferred


def _is_float(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return isinstance(dtype, tf.DType) and (dtype.is_floating or dtype.is_complex)


@contextmanager
def hooks_installed(step: LoopStep, *, collects_calls: bool) -> Iterator[None]:
    """Has the step follow what is changed, applied and differentiated, until the block ends.

    In this thread alone, and in those of its replicas. With `collects_calls` it also follows the
    calls of layers.
    """

    def on_gradient(tape: Any, target: Any, sources: Any, gradients: Any) -> None:
        with step.error_guard("check gradients"):
            step.add_gradients(tape, target, gradients)

    def run_replicas(original: Any, strategy: Any, *args: Any, **kwargs: Any) -> Any:
        if strategy.num_replicas_in_sync > 1:
            step.refuse("it runs in several replicas")
        return original(strategy, *args, **kwargs)

    with (
        step.guard.hooks_installed(),
        on_optimizer_update(step.apply),
        on_tape_gradient(on_gradient),
        step.calls.collecting(step.error_guard) if collects_calls else nullcontext(),
        patch_functions(
            *(FunctionPatch(each, "run", run_replicas) for each in tf.distribute.Strategy.__mro__)
        ),
    ):
        yield
