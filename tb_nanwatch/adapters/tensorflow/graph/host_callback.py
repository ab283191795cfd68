"""How a step calls the host. A step that has nothing to report costs the host nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.context import in_xla


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
        self._calls: deque[tuple[Callable[..., object], tuple[tf.Tensor, ...]]] = deque()

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
    def can_call() -> bool:
        """In the step: whether it can have the host call something."""
        return tf.inside_function() and not in_xla()

    def call(self, function: Callable[..., object], tensors: Sequence[tf.Tensor]) -> None:
        """In the step, in a branch that few steps take: has the host call `function` after it.

        The function is given the tensors' values, eagerly. Not while the step runs: what it runs
        would wait for a thread of TensorFlow's, of which the step may hold the only one.
        """

        def keep(*values: tf.Tensor) -> None:
            self._calls.append((function, values))
            self._set()

        tf.py_function(keep, list(tensors), [])

    def run_calls(self) -> None:
        """On the host, after the step: calls what it asked for, in its order."""
        while self._calls:
            function, values = self._calls.popleft()
            with tf.device(values[0].device):
                function(*values)

    def forget_calls(self) -> None:
        """On the host, after the step: discards what it asked for."""
        self._calls.clear()

    def _set(self) -> None:
        self._is_requested = True

    def was_requested(self) -> bool:
        """On the host: whether a step asked for it since the last call; always True under XLA."""
        is_requested, self._is_requested = self._is_requested, False
        return is_requested or self._is_always_requested


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
