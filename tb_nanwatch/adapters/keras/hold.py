"""Keeps the batches of steps that are to be run again, from within the step that tripped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.bell import Bell
from tb_nanwatch.adapters.tensorflow.graphs import in_xla
from tb_nanwatch.adapters.tensorflow.variables import fetch, store, variable

MOST_HELD = 4096
"""Batches that a queue may hold: as many steps as one call may execute."""

_DISARMED = -1


class Held(NamedTuple):
    """The held steps of one call.

    Attributes:
      batches: in their order.
      before: the variables that the steps moved, and what they held before the first; None where
        the step has put them back itself.
    """

    batches: list[Any]
    before: list[tuple[Any, tf.Tensor]] | None


class _Queue(NamedTuple):
    """Where held steps of one form wait: their batch, and what these variables held before."""

    form: Any
    variables: list[Any]
    queue: Any


class Hold:
    """Batches of held steps. Next to no cost in a step that is not held: no batch is copied.

    In a graph a queue takes the batch's tensors, in the branch that runs only then. XLA knows no
    queues: there each batch goes through the host, which keeps those of the latest call.

    Args:
      bell: rings for a step that is held; None where the host asks after each call.
    """

    def __init__(self, bell: Bell | None = None) -> None:
        self.refusal = ""
        self._bell = bell
        # How many steps of this call are held; _DISARMED where none is to be.
        self._count = variable(_DISARMED, tf.int64)
        self._queues: dict[tuple[Any, ...], _Queue] = {}
        self._fed: list[Any] = []
        self._is_compiled = False
        self._is_armed = False
        self._feeds = False
        self._spec: Any = None

    def arm(self, armed: bool) -> None:
        """On the host: has steps that trip held from now on, or not."""
        armed = armed and not self.refusal
        if armed != self._is_armed:
            self._is_armed = armed
            store(self._count, self._nothing())

    def _nothing(self) -> np.ndarray:
        """int64 scalar: the count where no step is held."""
        return np.array(0 if self._is_armed else _DISARMED, np.int64)

    def refuse(self, why: str) -> None:
        """While a step is traced: its state before cannot be kept, so it is never held."""
        self.refusal = self.refusal or why
        with tf.init_scope():  # Now, and not each time that the step runs.
            self.arm(False)

    def takes(self) -> tf.Tensor:
        """In the step: bool scalar, whether a step that trips is held."""
        return self._count.read_value() > _DISARMED

    def holds(self) -> tf.Tensor:
        """In the step: bool scalar, whether an earlier step of this call is held."""
        return self._count.read_value() > 0

    def count(self) -> None:
        """In the step, in the branch for steps that are held: the host is to run it again."""
        self._count.assign_add(1)
        if self._bell is not None:
            self._bell.ring()

    def keep(self, data: Any, variables: Sequence[Any], before: Sequence[tf.Tensor]) -> None:
        """In the step, in the branch for steps that are held and counted: takes the batch.

        Args:
          data: the batch.
          variables: those that the step moves.
          before: what they held before it.
        """
        if in_xla():
            if not self._is_compiled:  # Then the host has not kept it either.
                self.refuse("XLA compiles the step in a function of its own")
            return
        kept = (data, list(before))
        leaves = [leaf for leaf in tf.nest.flatten(kept) if leaf is not None]
        parts = [
            tf.convert_to_tensor(part) for part in tf.nest.flatten(leaves, expand_composites=True)
        ]
        form = tf.nest.map_structure(
            lambda leaf: None if leaf is None else tf.type_spec_from_value(leaf), kept
        )
        dtypes = [part.dtype for part in parts]
        key = (repr(form), *map(id, variables), *dtypes)
        if key not in self._queues:
            with tf.init_scope():
                queue = tf.queue.FIFOQueue(MOST_HELD, dtypes) if parts else None
                self._queues[key] = _Queue(form, list(variables), queue)
        if parts:
            self._queues[key].queue.enqueue(parts)

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
        self._spec = getattr(iterator, "element_spec", None)
        # Once by the host, always: another kind of iterator is another trace.
        self._feeds |= is_compiled and self._is_armed
        if not self._feeds:
            return iterator
        first = next(iterator)
        self._fed = []
        return self._kept(islice(chain([first], iterator), steps))

    def forget(self) -> None:
        """On the host: as if nothing were held."""
        store(self._count, self._nothing())
        for each in self._queues.values():
            while each.queue is not None and int(each.queue.size()):
                each.queue.dequeue()

    def again(self, batches: list[Any]) -> Any:
        """On the host: an iterator over held batches, of the kind that `feed` gave last.

        The same kind needs no other trace, which takes longer than all the rest.
        """
        if self._feeds or self._spec is None:
            return iter(batches)
        try:
            first, *others = (_dataset(batch, self._spec) for batch in batches)
            for each in others:
                first = first.concatenate(each)
            return iter(first)
        except (TypeError, ValueError):  # What is no batch of plain tensors.
            return iter(batches)

    def feed_step(self, batch: Any, is_compiled: bool) -> None:
        """On the host, before a call that executes one step: its batch."""
        self._is_compiled = is_compiled
        self._fed = [batch] if self._is_armed else []

    def _kept(self, batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            self._fed.append(batch)
            yield batch

    def take(self) -> Held | None:
        """On the host, after a call: what is held of it; None mostly."""
        if not self._is_armed:
            return None
        count = int(fetch(self._count))
        fed, self._fed = self._fed, []
        if not count:
            return None
        store(self._count, self._nothing())
        if self._is_compiled:
            return Held(fed[-count:], None)
        kept = [
            (_pack(each.form, each.queue.dequeue()), each.variables)
            for each in self._queues.values()
            if each.queue is not None
            for _ in range(int(each.queue.size()))
        ]
        batches = [data for (data, _), _ in kept]
        if not kept:  # Nothing is moved, and the host has the batch itself.
            return Held(batches, [])
        (_, values), variables = kept[0]
        return Held(batches, list(zip(variables, values, strict=True)))


def _dataset(batch: Any, spec: Any) -> tf.data.Dataset:
    """One batch as a dataset, of shapes as wide as in the spec of the one it came from."""

    def widened(tensor: tf.Tensor, each: Any) -> tf.Tensor:
        if not isinstance(each, tf.TensorSpec):
            raise TypeError(f"Expected a dense tensor, got {each}.")
        return tf.compat.v1.placeholder_with_default(tensor, each.shape)

    def widen(data: Any) -> Any:
        return tf.nest.map_structure(widened, data, spec)

    # In a tuple of its own, which `map` takes apart.
    return tf.data.Dataset.from_tensors((batch,)).map(widen)


def _pack(form: Any, parts: Any) -> Any:
    """The batch of these tensors; the inverse of how `Hold.keep` takes it apart."""
    rest = iter(parts if isinstance(parts, (list, tuple)) else [parts])

    def leaf(spec: Any) -> Any:
        if spec is None:
            return None
        count = len(tf.nest.flatten(spec, expand_composites=True))
        return tf.nest.pack_sequence_as(spec, list(islice(rest, count)), expand_composites=True)

    return tf.nest.pack_sequence_as(form, [leaf(spec) for spec in tf.nest.flatten(form)])
