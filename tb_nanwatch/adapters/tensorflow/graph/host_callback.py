"""How a step calls the host. A step that has nothing to report costs the host nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.cond import run_if
from tb_nanwatch.adapters.tensorflow.graph.context import in_xla
from tb_nanwatch.adapters.tensorflow.graph.handoff import Handoff
from tb_nanwatch.adapters.tensorflow.graph.replicas import is_one_replica
from tb_nanwatch.adapters.tensorflow.graph.variables import value_at


class _Call(NamedTuple):
    """What the host calls after a step.

    Attributes:
      function: of tensors.
      arguments: the dtype of each, with the handle of the variable that has its value by then; None
        for one of the step itself.
    """

    function: Callable[..., object]
    arguments: list[tuple[tf.DType, Any]]

    def run(self, values: Iterable[tf.Tensor]) -> None:
        """Calls the function with the values of the step, and those of variables."""
        rest = iter(values)
        given = [
            next(rest) if handle is None else value_at(handle, dtype)
            for dtype, handle in self.arguments
        ]
        with tf.device(given[0].device):
            self.function(*given)


class HostSignal:
    """Set by a step, read by the host after the call.

    Reading a variable that the step has written takes 50 to 150 microseconds, because the step has
    evicted everything else from the processor's caches; one more output of Keras' step takes as
    long. A callback runs only when it is called. XLA supports none on every device: where it
    compiles the step the host has to look after each call.
    """

    def __init__(self) -> None:
        self._is_requested = False
        self._is_always_requested = False
        self._calls: deque[tuple[_Call, tuple[tf.Tensor, ...]]] = deque()
        self._compiled_calls: list[tuple[_Call, Handoff]] = []

    def request(self) -> None:
        """In the step, in a branch that few steps take: asks the host to look at the step."""
        if not tf.inside_function():
            self._set()
        elif in_xla():
            self._is_always_requested = True
        else:
            # Not `numpy_function`, which has no kernel for the branch of a step on a GPU.
            tf.py_function(self._set, [], [])

    @staticmethod
    def can_call(tensors: Sequence[tf.Tensor], handles: Sequence[Any]) -> bool:
        """In the step: whether it can have the host called with these, as in `call_if`."""
        if in_xla():
            return is_one_replica() and Handoff.can_hold(_without_handles(tensors, handles))
        return bool(tf.inside_function())

    def call_if(
        self,
        predicate: tf.Tensor,
        function: Callable[..., object],
        tensors: Sequence[tf.Tensor],
        handles: Sequence[Any],
    ) -> tf.Tensor:
        """In the step: has the host call `function` after it, where the bool scalar is True.

        Not while the step runs: what the function runs would wait for a thread of TensorFlow's, of
        which the step may hold the only one.

        Args:
          predicate: whether to call it.
          function: is given the tensors' values, eagerly.
          tensors: of the step.
          handles: of the variable that has each tensor's value when the step has ended; or None.

        Returns:
          Bool scalar; in a graph that XLA does not compile, what depends on it comes after.
        """
        dtypes = [each.dtype for each in tensors]
        call = _Call(function, list(zip(dtypes, handles, strict=True)))
        values = _without_handles(tensors, handles)
        if in_xla():
            self._is_always_requested = True
            handoff = Handoff(values)
            self._compiled_calls.append((call, handoff))
            handoff.write(predicate, values)
            return predicate

        def keep(*values: tf.Tensor) -> None:
            self._calls.append((call, values))
            self._set()

        return run_if(predicate, lambda: tf.py_function(keep, values, []))

    def run_calls(self) -> None:
        """On the host, after the step: calls what it asked for, in its order."""
        while self._calls:
            call, values = self._calls.popleft()
            call.run(values)

    def run_compiled_calls(self) -> None:
        """On the host, after a step that XLA compiles: the same."""
        for call, handoff in self._compiled_calls:
            left = handoff.take()
            if left:
                call.run(left)

    def forget_traces(self) -> None:
        """On the host: frees what it keeps for steps whose traces do not run again."""
        self._compiled_calls.clear()

    def forget_calls(self) -> None:
        """On the host, after the step: discards what it asked for."""
        self._calls.clear()
        for _, handoff in self._compiled_calls:
            handoff.forget()

    def _set(self) -> None:
        self._is_requested = True

    def was_requested(self) -> bool:
        """On the host: whether a step asked for it since the last call; always True under XLA."""
        is_requested, self._is_requested = self._is_requested, False
        return is_requested or self._is_always_requested


def _without_handles(tensors: Sequence[tf.Tensor], handles: Sequence[Any]) -> list[tf.Tensor]:
    return [each for each, handle in zip(tensors, handles, strict=True) if handle is None]


def traced_after(calls: int, function: Callable[..., None]) -> Callable[..., None]:
    """`function` of tensors, run eagerly for so many calls, and as a graph from then on.

    Most trainings are too short to repay the time that tracing takes.
    """
    traced = tf.function(function, autograph=False, reduce_retracing=True)
    count = 0

    def run(*values: tf.Tensor) -> None:
        nonlocal count
        count += 1
        (function if count <= calls else traced)(*values)

    return run
