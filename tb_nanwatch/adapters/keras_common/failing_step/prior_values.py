"""Values of variables from before a step, to be captured or restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.state_changes import StateVariable, write_all


class PriorValue(NamedTuple):
    """A variable's value from before the step.

    Attributes:
      variable: the variable.
      read: returns the value: a copy, or the variable's own as long as nothing has changed it.
    """

    variable: StateVariable
    read: Callable[[], tf.Tensor]


class Stash:
    """Passes values from a branch that few steps take to the end of the step."""

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

    def restore(self) -> None:
        """Writes the values to the variables."""
        values: Any = self._eager
        if tf.inside_function():
            values = self._queue.dequeue()
            values = values if isinstance(values, list) else [values]
        write_all(zip(self._variables, values, strict=True))
