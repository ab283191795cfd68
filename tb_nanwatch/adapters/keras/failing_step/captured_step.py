"""Keeps a step that went non-finite, as it was when that was noticed, from within the step.

What it keeps costs nothing in a step that is not kept: the batch and what variables hold are taken
in a branch that runs only then. The step itself goes on as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.host_callback import Bell
from tb_nanwatch.adapters.tensorflow.graph.replicas import current_replica
from tb_nanwatch.adapters.tensorflow.graph.state_changes import StateVariable
from tb_nanwatch.adapters.tensorflow.graph.variables import fetch, store, variable

_DISARMED, _ARMED, _KEPT = -1, 0, 1


class KeptStep(NamedTuple):
    """A step that went non-finite.

    Attributes:
      number: the step; None where nobody counts them.
      batch: what it was fed.
      before: the variables that it changes, as far as they are known, and what they held before it.
    """

    number: int | None
    batch: Any
    before: list[tuple[StateVariable, tf.Tensor]]


class _Place(NamedTuple):
    """Where a traced step puts what is kept of it."""

    form: Any
    variables: list[StateVariable]
    queue: Any


class StepKeeper:
    """Keeps the first step that goes non-finite, until the host takes it.

    Args:
      bell: rings for it; None where the host asks after each call.
      step: in the step: its number, an int64 scalar.

    Attributes:
      refusal: why no step is kept; "" where they are.
      updates_often: whether steps update weights more than once; None until one was seen that
        runs eagerly.
    """

    def __init__(
        self, bell: Bell | None = None, step: Callable[[], tf.Tensor] | None = None
    ) -> None:
        self.refusal = ""
        self.updates_often: bool | None = None
        self._bell = bell
        self._step = step
        # One for each replica, on its device: a branch there takes no variable of another one.
        self._states: dict[int, tf.Variable] = {}
        self._is_armed = False
        self._places: list[_Place] = []
        self._eager: KeptStep | None = None

    def arm(self, armed: bool) -> None:
        """On the host: has the next step that goes non-finite kept, or none."""
        armed = armed and not self.refusal
        if armed != self._is_armed:
            self._is_armed = armed
            self._reset()

    def _reset(self) -> None:
        for state in self._states.values():
            store(state, tf.constant(self._initial(), tf.int64))

    def _initial(self) -> int:
        return _ARMED if self._is_armed else _DISARMED

    def _state(self) -> tf.Variable:
        """In the step: that of the replica that runs it."""
        replica = current_replica()
        if replica not in self._states:
            self._states[replica] = variable(self._initial(), tf.int64)
        return self._states[replica]

    def refuse(self, why: str) -> None:
        """Has no step kept any more: it could not be run once more as it was."""
        self.refusal = self.refusal or why
        with tf.init_scope():  # Now, and not each time that the step runs.
            self.arm(False)

    def is_waiting(self) -> tf.Tensor:
        """In the step: bool scalar, whether it is to be kept where it is not finite."""
        return tf.equal(self._state().read_value(), _ARMED)

    def keep(
        self, batch: Any, variables: Sequence[StateVariable], before: Sequence[tf.Tensor]
    ) -> None:
        """In the step, in the branch for one that is kept: takes it.

        Args:
          batch: what the step was fed.
          variables: those that it changes.
          before: what they held before it.
        """
        self._state().assign(_KEPT)
        number = tf.constant(-1, tf.int64) if self._step is None else self._step()
        if not tf.inside_function():
            pairs = list(zip(variables, before, strict=True))
            self._eager = KeptStep(_number(number), batch, pairs)
        else:
            self._enqueue((number, batch, list(before)), list(variables))
        if self._bell is not None:
            self._bell.ring()

    def _enqueue(self, kept: Any, variables: list[StateVariable]) -> None:
        parts = [
            part
            for leaf in tf.nest.flatten(kept)
            if _is_kept(leaf)
            for part in tf.nest.flatten(leaf, expand_composites=True)
        ]
        form = tf.nest.map_structure(
            lambda leaf: tf.type_spec_from_value(leaf) if _is_kept(leaf) else leaf, kept
        )
        with tf.init_scope():
            queue = tf.queue.FIFOQueue(1, [part.dtype for part in parts])
        self._places.append(_Place(form, variables, queue))
        queue.enqueue(parts)

    def take(self) -> KeptStep | None:
        """On the host, after a call: the step that is kept, None mostly; keeps no further one."""
        if not self._is_armed or all(int(fetch(each)) != _KEPT for each in self._states.values()):
            return None
        self.arm(False)
        return self._taken()

    def forget(self) -> None:
        """On the host: as if nothing were kept."""
        self._taken()
        self._reset()

    def _taken(self) -> KeptStep | None:
        found, self._eager = self._eager, None
        for place in self._places:
            while int(place.queue.size()):
                parts = place.queue.dequeue()
                number, batch, before = _pack(place.form, parts)
                pairs = list(zip(place.variables, before, strict=True))
                found = found or KeptStep(_number(number), batch, pairs)
        return found


def _is_kept(leaf: Any) -> bool:
    """Whether a part of a batch is one that the step is fed: any other is a part of its trace."""
    return isinstance(leaf, (tf.Tensor, tf.__internal__.CompositeTensor))


def _number(number: tf.Tensor) -> int | None:
    value = int(number)
    return value if value >= 0 else None


def _pack(form: Any, parts: Any) -> Any:
    """What is of this form and was taken apart into these tensors."""
    rest = iter(parts if isinstance(parts, (list, tuple)) else [parts])

    def leaf(spec: Any) -> Any:
        if not isinstance(spec, tf.TypeSpec):
            return spec
        count = len(tf.nest.flatten(spec, expand_composites=True))
        return tf.nest.pack_sequence_as(spec, list(islice(rest, count)), expand_composites=True)

    return tf.nest.pack_sequence_as(form, [leaf(spec) for spec in tf.nest.flatten(form)])
