"""What the guards of eager steps, graphs and compiled steps have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.failing_step.update_policy import UpdatePolicy
from tb_nanwatch.adapters.keras_common.instrument.optimizers import loss_scale, slots
from tb_nanwatch.adapters.tensorflow.graph.context import current_graph
from tb_nanwatch.adapters.tensorflow.tensors import dense
from tb_nanwatch.training.protocols import StepOutcome


@dataclass(frozen=True)
class StepState:
    """The variables that a step may change, as far as they are known at any moment.

    Attributes:
      variables: returns all of them.
      seeds: returns those that advance even in a step that is skipped: states of seed generators.
    """

    variables: Callable[[], Iterable[Any]] = tuple
    seeds: Callable[[], Iterable[Any]] = tuple


class BaseGuard:
    """`protocols.UpdateGuard` of one step, when it is traced or run.

    Args:
      policy: what happens to a step that is not finite.
    """

    def __init__(self, policy: UpdatePolicy):
        self.policy = policy
        self._graph = current_graph()
        self._losses: list[tf.Tensor] = []
        self._updates = 0
        self._has_dynamic_scale = False
        self._scale: tf.Tensor | None = None

    @contextmanager
    def hooks_installed(self) -> Iterator[None]:
        raise NotImplementedError
        yield

    def add_loss(self, loss: Any) -> None:
        self._losses.append(dense(loss))

    def apply(
        self,
        optimizer: Any,
        apply: Callable[[], object],
        gradients: Sequence[Any],
        variables: Sequence[Any],
    ) -> None:
        raise NotImplementedError

    def refuse_inner_update(self) -> bool:
        self.policy.refuse("it updates weights inside a nested function or loop")
        return self.policy.skips

    @property
    def saw_nothing(self) -> bool:
        return not self._updates and not self._losses

    @property
    def has_tripped(self) -> bool:
        return False

    def end(self) -> StepOutcome:
        raise NotImplementedError

    def _to_check(
        self, optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]
    ) -> list[tuple[tf.Tensor, bool]]:
        """Gradients and losses, each with whether its square goes into a slot."""
        self._updates += 1
        scale = loss_scale(optimizer)
        if scale is not None and scale.dynamic:
            self._has_dynamic_scale = True
            self._scale = scale.scale
        has_slots = any(owner is not None for _, owner in slots(optimizer, variables))
        checked = [(dense(each), has_slots) for each in gradients if each is not None]
        return [*checked, *((each, False) for each in self._losses)]

    def _may_be_scale_overflow(self) -> tf.Tensor:
        """Bool scalar, whether the loss scale may be what makes the step non-finite."""
        # At a scale of 1 it is not.
        return tf.constant(False) if self._scale is None else self._scale > 1
