"""One step of a custom loop, withheld where it is not finite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.python.autograph.impl.api import autograph_artifact
from tensorflow.python.distribute.distribute_lib import StrategyBase

from tb_nanwatch.adapters.keras.optimizers import applied_by
from tb_nanwatch.adapters.keras.withholding import WithheldUpdates, Withholding
from tb_nanwatch.adapters.tensorflow.branch import run_if
from tb_nanwatch.adapters.tensorflow.graphs import current_graph, in_xla
from tb_nanwatch.adapters.tensorflow.tensors import NamedTensor


class LoopStep(WithheldUpdates):
    """One step, when it is traced or run.

    The update of a Keras optimizer is withheld where it is not finite. Of each variable that the
    step assigns to otherwise the value from before is read just before it does.

    Args:
      how: what is withheld, and what for.

    Attributes:
      observed: what the step showed: tensors, and whether they begin a new step.
    """

    def __init__(self, how: Withholding):
        super().__init__(how)
        self.observed: list[tuple[list[NamedTensor], bool]] = []

    def is_here(self) -> bool:
        """Whether this is the step itself, and no function, loop, branch or replica within it."""
        context = tf.distribute.get_replica_context()
        one = context is not None and context.num_replicas_in_sync == 1
        return one and current_graph() is self._graph

    def refuse(self, why: str) -> None:
        """Has no step held."""
        assert self._how.hold is not None
        self._how.hold.refuse(why)

    def gradient(self, target: Any) -> None:
        """Takes in what a tape is asked for: of scalars it is the loss."""
        for each in tf.nest.flatten(target):
            if isinstance(each, tf.Tensor) and each.shape.rank == 0 and self.is_here():
                self.loss(each)

    def update(
        self,
        optimizer: Any,
        original: Callable[..., Any],
        grads: Any,
        trainable_variables: Any = None,
    ) -> None:
        """In place of an optimizer's `apply`, bound."""
        gradients = list(grads)
        variables = None if trainable_variables is None else list(trainable_variables)
        apply = functools.partial(original, gradients, variables)
        if self.is_here():
            self.apply(optimizer, apply, gradients, variables or optimizer._trainable_variables)
        else:
            self.refuse_hold()
            with self._applying():
                apply()

    def end(self) -> tf.Tensor:
        """Bool scalar, whether the host is to run the step again.

        Under XLA what it moved is put back here, else the host does that.
        """
        shown = [each for tensors, _ in self.observed for each in tensors]
        self._losses += [t for info, t in shown if info.role in ("loss", "gradient")]
        self._updated |= self._moved
        late = self._how.copies or not self._applied
        held = ~(self._is_fine_at_the_end() if late else self._goes_on) & self._is_armed()
        if late:
            run_if(held, self._keep)
        if self._moved:
            run_if(held, self._put_back if in_xla() else self._keep_values)
        return held

    def _keep(self) -> None:
        assert self._how.hold is not None
        self._how.hold.count()

    def _keep_values(self) -> None:
        assert self._how.hold is not None
        self._how.hold.keep(None, list(self._moved.values()), list(self._moved_from.values()))


@contextmanager
def watched(step: LoopStep) -> Iterator[None]:
    """Until the block ends the step hears of what is assigned, applied and differentiated."""
    with step.watched(), applied_by(step.update), ExitStack() as exchanged:

        def exchange(owner: Any, name: str, make: Callable[..., Any]) -> None:
            original = vars(owner)[name]
            setattr(owner, name, autograph_artifact(functools.wraps(original)(make(original))))
            exchanged.callback(setattr, owner, name, original)

        def gradient(original: Any) -> Any:
            def run(tape: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
                step.gradient(target)
                return original(tape, target, *args, **kwargs)

            return run

        def run_replicas(original: Any) -> Any:
            def run(strategy: Any, *args: Any, **kwargs: Any) -> Any:
                if strategy.num_replicas_in_sync > 1:
                    step.refuse("it runs in several replicas")
                return original(strategy, *args, **kwargs)

            return run

        exchange(tf.GradientTape, "gradient", gradient)
        exchange(StrategyBase, "run", run_replicas)
        yield
