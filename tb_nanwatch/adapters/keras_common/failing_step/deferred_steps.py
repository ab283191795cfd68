"""Failing steps that XLA compiles: their update waits until the host runs them again.

XLA has no queue into which a step could put its batch. So the host keeps the batches of the latest
call, and the step counts how many of its last steps are deferred.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras_common.failing_step.armed_buffer import ArmedBuffer
from tb_nanwatch.adapters.keras_common.framework import KerasFramework
from tb_nanwatch.adapters.tensorflow.graph.host_callback import HostSignal
from tb_nanwatch.adapters.tensorflow.graph.variables import fetch, store, variable

_DISARMED = -1


class DeferredSteps(ArmedBuffer):
    """The batches of deferred steps.

    Args:
      host_signal: requested for a step that is deferred; None where the host looks after each call.
    """

    def __init__(self, host_signal: HostSignal | None = None) -> None:
        super().__init__(host_signal)
        # How many steps of this call are deferred; _DISARMED where none is to be.
        self._count = variable(_DISARMED, tf.int64)
        self._batches: list[Any] = []
        self._is_compiled = False
        self._wraps_iterator = False

    def _reset(self) -> None:
        store(self._count, np.array(0 if self._is_armed else _DISARMED, np.int64))

    def is_armed_tensor(self) -> tf.Tensor:
        return self._count.read_value() > _DISARMED

    def has_pending(self) -> tf.Tensor:
        """In the step: bool scalar, whether an earlier step of this call is deferred."""
        return self._count.read_value() > 0

    def defer(self) -> None:
        """In the step, in the branch for steps that are deferred: the host will run it again."""
        self._count.assign_add(1)
        self._request_host()
        if not self._is_compiled:  # Then the host has not kept its batch.
            self.refuse("XLA compiles the step in a function of its own")

    def wrap_iterator(
        self, framework: KerasFramework, model: Any, iterator: Any, is_compiled: bool
    ) -> Any:
        """On the host, before a call: the iterator to call it with, which keeps the batches.

        Args:
          framework: the model's.
          model: the model.
          iterator: Keras' own.
          is_compiled: whether XLA compiles the step.

        Raises:
          StopIteration: where the data has ended.
        """
        self._is_compiled = is_compiled
        steps = framework.steps_per_execution(model) if is_compiled else 1
        unheld = framework.unheld_batches(iterator, steps) if is_compiled else ""
        if unheld:
            self.refuse(unheld)
        # Once wrapped, always wrapped: another kind of iterator means another trace.
        self._wraps_iterator |= is_compiled and self._is_armed
        if not self._wraps_iterator:
            return iterator
        first = next(iterator)
        self._batches = []
        return framework.as_iterator(self._keep_batches(islice(chain([first], iterator), steps)))

    def keep_batch(self, batch: Any, is_compiled: bool) -> None:
        """On the host, before a call that executes one step: keeps its batch."""
        self._is_compiled = is_compiled
        self._batches = [batch] if self._is_armed else []

    def _keep_batches(self, batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            self._batches.append(batch)
            yield batch

    def forget(self) -> None:
        self._batches = []
        self._reset()

    def take(self) -> list[Any]:
        """On the host, after a call: the batches of the steps that it deferred, mostly none."""
        if not (self._is_armed and self._is_compiled):
            return []
        count = int(fetch(self._count))
        batches, self._batches = self._batches, []
        if not count:
            return []
        self._reset()
        return batches[-count:]
