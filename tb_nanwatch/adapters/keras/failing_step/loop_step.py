"""One step of a custom loop, and what it shows of itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras.failing_step.compiled_guard import CompiledStepGuard
from tb_nanwatch.adapters.keras.failing_step.step_guard import (
    StepGuard,
    StepState,
    UpdatePolicy,
    guarded_update,
)
from tb_nanwatch.adapters.keras.instrument.call_graph import CallGraph
from tb_nanwatch.adapters.keras.instrument.optimizers import applied_by
from tb_nanwatch.adapters.tensorflow.graph.context import current_graph, in_xla
from tb_nanwatch.adapters.tensorflow.graph.function_patching import Exchange, exchanged
from tb_nanwatch.adapters.tensorflow.graph.state_changes import unheard
from tb_nanwatch.adapters.tensorflow.graph.tapes import differentiated_by_tapes
from tb_nanwatch.adapters.tensorflow.statistics.finite import Looked
from tb_nanwatch.adapters.tensorflow.tensors import NamedTensor, dense
from tb_nanwatch.training.warnings import Guard


class LoopGuard(StepGuard):
    """The guard of a step of a custom loop, which may update weights by itself."""

    def __init__(self, policy: UpdatePolicy):
        self._pending: list[tuple[tf.Tensor, bool]] = []
        self._watched: list[Any] = []
        # The host has the step's arguments.
        super().__init__(policy, None, StepState(lambda: self._watched))

    def differentiated(self, tape: Any, gradients: Any) -> None:
        """Takes in what a tape gave, and of which variables."""
        found = [dense(each) for each in tf.nest.flatten(gradients) if _is_float(each)]
        self._pending += [(each, False) for each in (*found, *self._losses)]
        self._watched += tape.watched_variables()
        if self._graph is None:
            # Now, as not everything is heard of that changes a variable eagerly.
            self.on_change()

    def on_change(self) -> None:
        pending, self._pending = self._pending, []
        if pending:
            with unheard():
                self.check(pending)

    def check(self, looked_at: Looked, *args: Any, **kwargs: Any) -> None:
        self._pending = []
        super().check(looked_at, *args, **kwargs)


class LoopStep:
    """One step of a custom loop, when it is traced or run.

    Args:
      policy: what becomes of it where it is not finite.
      trouble: keeps trouble of ours out of the step.

    Attributes:
      guard: looks at what the step computes.
      trouble: as given.
      observed: what the step showed: tensors, and whether they begin a new step.
      calls: the calls of layers, where they are collected.
      optimizers: those that it applied gradients by.
    """

    def __init__(self, policy: UpdatePolicy, trouble: Guard):
        self.trouble = trouble
        compiled = in_xla()
        self.guard: LoopGuard | CompiledStepGuard = (
            CompiledStepGuard(policy, StepState()) if compiled else LoopGuard(policy)
        )
        self.observed: list[tuple[list[NamedTensor], bool]] = []
        self.calls = CallGraph()
        self.optimizers: list[Any] = []
        self._policy = policy
        self._graph = current_graph()

    def is_here(self) -> bool:
        """Whether this is the step itself, and no function, loop, branch or replica within it."""
        context = tf.distribute.get_replica_context()
        one = context is not None and context.num_replicas_in_sync == 1
        return one and current_graph() is self._graph

    def refuse(self, why: str) -> None:
        """Has no step kept."""
        self._policy.refuse(why)

    def gradient(self, tape: Any, target: Any, gradients: Any) -> None:
        """Takes in what a tape was asked for, and gave: of scalars it is a loss."""
        if not self.is_here():
            return
        for each in tf.nest.flatten(target):
            if isinstance(each, tf.Tensor) and each.shape.rank == 0 and _is_float(each):
                self.guard.loss(each)
        if isinstance(self.guard, LoopGuard):
            self.guard.differentiated(tape, gradients)

    def update(
        self,
        optimizer: Any,
        original: Callable[..., Any],
        grads: Any,
        trainable_variables: Any = None,
    ) -> None:
        """In place of an optimizer's `apply`, bound."""
        if not any(optimizer is each for each in self.optimizers):
            self.optimizers.append(optimizer)
        gradients = list(grads)
        variables = None if trainable_variables is None else list(trainable_variables)
        apply = functools.partial(original, gradients, variables)
        if self.trouble.tripped or not self.is_here():
            self.refuse("it updates weights within a function or loop of its own")
            apply()
            return
        known = variables or optimizer._trainable_variables
        guarded_update(self.trouble, self.guard, optimizer, apply, gradients, known)

    def end(self) -> tf.Tensor | None:
        """Bool scalar, whether the host is to run the step, which has left no trace; or None."""
        shown = [
            tensor
            for tensors, _ in self.observed
            for info, tensor in tensors
            if info.role in ("loss", "gradient")
        ]
        if self.trouble.tripped:
            return None
        if isinstance(self.guard, CompiledStepGuard):
            for each in shown:
                self.guard.loss(each)
        else:
            self.guard.check([(each, False) for each in shown])
        return self.guard.end().held


def _is_float(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return isinstance(dtype, tf.DType) and (dtype.is_floating or dtype.is_complex)


@contextmanager
def watched(step: LoopStep, *, collects_calls: bool) -> Iterator[None]:
    """Until the block ends the step hears of what is changed, applied and differentiated.

    In this thread alone, and in those of its replicas. With `collects_calls` of the layers that it
    calls, too.
    """

    def differentiated(tape: Any, target: Any, sources: Any, gradients: Any) -> None:
        with step.trouble("look at gradients"):
            step.gradient(tape, target, gradients)

    def run_replicas(original: Any, strategy: Any, *args: Any, **kwargs: Any) -> Any:
        if strategy.num_replicas_in_sync > 1:
            step.refuse("it runs in several replicas")
        return original(strategy, *args, **kwargs)

    with (
        step.guard.heard(),
        applied_by(step.update),
        differentiated_by_tapes(differentiated),
        step.calls.collecting(step.trouble) if collects_calls else nullcontext(),
        exchanged(
            *(Exchange(each, "run", run_replicas) for each in tf.distribute.Strategy.__mro__)
        ),
    ):
        yield
