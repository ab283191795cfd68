"""The first failing step: its batch, and what variables held before it, captured within the step.

A step that is not captured pays nothing for it: batch and variables are read in a branch that runs
only where the step is not finite. The step itself goes on unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.failing_step.armed_buffer import ArmedBuffer
from tb_nanwatch.adapters.tensorflow.graph.host_callback import HostSignal
from tb_nanwatch.adapters.tensorflow.graph.replicas import current_replica
from tb_nanwatch.adapters.tensorflow.graph.state_changes import StateVariable
from tb_nanwatch.adapters.tensorflow.graph.variables import fetch, store, variable

_DISARMED, _ARMED, _CAPTURED = -1, 0, 1


class CapturedStep(NamedTuple):
    """A step that went non-finite.

    Attributes:
      number: the step; None where nobody counts them.
      batch: what it was fed.
      before: the variables that it changes, as far as they are known, each with its value before
        the step.
    """

    number: int | None
    batch: Any
    before: list[tuple[StateVariable, tf.Tensor]]


class _Slot(NamedTuple):
    """Where a traced step puts its capture: a queue of the structure's tensors."""

    structure: Any
    variables: list[StateVariable]
    queue: Any


class StepCapture(ArmedBuffer):
    """Captures the first step that goes non-finite, until the host takes it.

    Args:
      host_signal: requested for it; None where the host looks after each call.
      step: in the step: its number, an int64 scalar.

    Attributes:
      has_several_updates: whether steps update weights more than once; None until a step has run
        eagerly.
    """

    def __init__(
        self, host_signal: HostSignal | None = None, step: Callable[[], tf.Tensor] | None = None
    ) -> None:
        super().__init__(host_signal)
        self.has_several_updates: bool | None = None
        self._step = step
        # One for each replica, on its device: a branch there cannot use a variable of another one.
        self._states: dict[int, tf.Variable] = {}
        self._slots: list[_Slot] = []
        self._eager: CapturedStep | None = None

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

    def is_armed_tensor(self) -> tf.Tensor:
        return tf.equal(self._state().read_value(), _ARMED)

    def capture(
        self, batch: Any, variables: Sequence[StateVariable], before: Sequence[tf.Tensor]
    ) -> None:
        """In the step, in the branch for one that is captured.

        Args:
          batch: what the step was fed.
          variables: those that it changes.
          before: their values before it.
        """
        # Not a write that a skipped step undoes.
        store(self._state(), tf.constant(_CAPTURED, tf.int64))
        number = tf.constant(-1, tf.int64) if self._step is None else self._step()
        if not tf.inside_function():
            pairs = list(zip(variables, before, strict=True))
            self._eager = CapturedStep(_number(number), batch, pairs)
        else:
            self._enqueue((number, batch, list(before)), list(variables))
        self._request_host()

    def capture_more(self, variables: Sequence[StateVariable], before: Sequence[tf.Tensor]) -> None:
        """In a step that runs eagerly and was captured: what else of its state is known by now."""
        if self._eager is not None:
            known = {each.key for each, _ in self._eager.before}
            pairs = zip(variables, before, strict=True)
            self._eager.before.extend(pair for pair in pairs if pair[0].key not in known)

    def _enqueue(self, captured: Any, variables: list[StateVariable]) -> None:
        parts = [
            part
            for leaf in tf.nest.flatten(captured)
            if _is_fed(leaf)
            for part in tf.nest.flatten(leaf, expand_composites=True)
        ]
        structure = tf.nest.map_structure(
            lambda leaf: tf.type_spec_from_value(leaf) if _is_fed(leaf) else leaf, captured
        )
        with tf.init_scope():
            queue = tf.queue.FIFOQueue(1, [part.dtype for part in parts])
        self._slots.append(_Slot(structure, variables, queue))
        queue.enqueue(parts)

    def take(self) -> CapturedStep | None:
        """On the host, after a call: the captured step, mostly None; captures no further one."""
        states = self._states.values()
        if not self._is_armed or all(int(fetch(each)) != _CAPTURED for each in states):
            return None
        self.arm(False)
        return self._dequeue()

    def forget(self) -> None:
        self._dequeue()
        self._reset()

    def _dequeue(self) -> CapturedStep | None:
        found, self._eager = self._eager, None
        for slot in self._slots:
            while int(slot.queue.size()):
                parts = slot.queue.dequeue()
                number, batch, before = _pack(slot.structure, parts)
                pairs = list(zip(slot.variables, before, strict=True))
                found = found or CapturedStep(_number(number), batch, pairs)
        return found


def _is_fed(leaf: Any) -> bool:
    """Whether a leaf of a batch is fed to the step; anything else is a constant of its trace."""
    return isinstance(leaf, (tf.Tensor, tf.__internal__.CompositeTensor))


def _number(number: tf.Tensor) -> int | None:
    value = int(number)
    return value if value >= 0 else None


def _pack(structure: Any, parts: Any) -> Any:
    """The inverse of flattening a value of this structure into tensors."""
    rest = iter(parts if isinstance(parts, (list, tuple)) else [parts])

    def leaf(spec: Any) -> Any:
        if not isinstance(spec, tf.TypeSpec):
            return spec
        count = len(tf.nest.flatten(spec, expand_composites=True))
        return tf.nest.pack_sequence_as(spec, list(islice(rest, count)), expand_composites=True)

    return tf.nest.pack_sequence_as(structure, [leaf(spec) for spec in tf.nest.flatten(structure)])
