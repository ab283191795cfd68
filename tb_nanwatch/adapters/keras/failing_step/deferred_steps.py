"""Steps that XLA compiles and that hold their update back: the host keeps their batches.

XLA knows no queue that a step could put its batch into. So the host keeps the batches of the latest
call, and the step counts how many of them are held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.host_callback import Bell
from tb_nanwatch.adapters.tensorflow.graph.variables import fetch, store, variable

_DISARMED = -1


class HeldSteps:
    """Batches of held steps.

    Args:
      bell: tells that the host has to ask after each call; None where it does in any case.

    Attributes:
      refusal: why no step is held back; "" where they are.
    """

    def __init__(self, bell: Bell | None = None) -> None:
        self.refusal = ""
        self._bell = bell
        # How many steps of this call are held; _DISARMED where none is to be.
        self._count = variable(_DISARMED, tf.int64)
        self._fed: list[Any] = []
        self._is_compiled = False
        self._is_armed = False
        self._feeds = False

    def arm(self, armed: bool) -> None:
        """On the host: has steps that go non-finite held from now on, or not."""
        armed = armed and not self.refusal
        if armed != self._is_armed:
            self._is_armed = armed
            store(self._count, self._nothing())

    def _nothing(self) -> np.ndarray:
        """int64 scalar: the count where no step is held."""
        return np.array(0 if self._is_armed else _DISARMED, np.int64)

    def refuse(self, why: str) -> None:
        """While a step is traced: it could not be run again as it was, so it is never held."""
        self.refusal = self.refusal or why
        with tf.init_scope():  # Now, and not each time that the step runs.
            self.arm(False)

    def is_waiting(self) -> tf.Tensor:
        """In the step: bool scalar, whether one that is not finite is held."""
        return self._count.read_value() > _DISARMED

    def has_some(self) -> tf.Tensor:
        """In the step: bool scalar, whether an earlier step of this call is held."""
        return self._count.read_value() > 0

    def count(self) -> None:
        """In the step, in the branch for steps that are held: the host is to run it again."""
        self._count.assign_add(1)
        if self._bell is not None:
            self._bell.ring()
        if not self._is_compiled:  # Then the host has not kept its batch.
            self.refuse("XLA compiles the step in a function of its own")

    def feed(self, iterator: Any, is_compiled: bool, steps: int) -> Any:
        """On the host, before a call: what to give it as its iterator.

        Args:
          iterator: what Keras gives.
          is_compiled: whether XLA compiles the step.
          steps: the most that the call executes.

        Raises:
          StopIteration: where the data has ended.
        """
        self._is_compiled = is_compiled
        # Once by the host, always: another kind of iterator is another trace.
        self._feeds |= is_compiled and self._is_armed
        if not self._feeds:
            return iterator
        first = next(iterator)
        self._fed = []
        return self._kept(islice(chain([first], iterator), steps))

    def feed_step(self, batch: Any, is_compiled: bool) -> None:
        """On the host, before a call that executes one step: its batch."""
        self._is_compiled = is_compiled
        self._fed = [batch] if self._is_armed else []

    def _kept(self, batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            self._fed.append(batch)
            yield batch

    def forget(self) -> None:
        """On the host: as if nothing were held."""
        self._fed = []
        store(self._count, self._nothing())

    def take(self) -> list[Any]:
        """On the host, after a call: the batches of the steps that it held, mostly none."""
        if not (self._is_armed and self._is_compiled):
            return []
        count = int(fetch(self._count))
        fed, self._fed = self._fed, []
        if not count:
            return []
        store(self._count, self._nothing())
        return fed[-count:]
