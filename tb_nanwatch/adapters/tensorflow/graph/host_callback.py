"""How a step calls the host. A step that has nothing to report costs the host nothing."""

from __future__ import annotations

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

    def request(self) -> None:
        """In the step, in a branch that few steps take: asks the host to look at the step."""
        if not tf.inside_function():
            self._set()
        elif in_xla():
            self._is_always_requested = True
        else:
            # Not `numpy_function`, which has no kernel for the branch of a step on a GPU.
            tf.py_function(self._set, [], [])

    def _set(self) -> None:
        self._is_requested = True

    def was_requested(self) -> bool:
        """On the host: whether a step asked for it since the last call; always True under XLA."""
        is_requested, self._is_requested = self._is_requested, False
        return is_requested or self._is_always_requested
