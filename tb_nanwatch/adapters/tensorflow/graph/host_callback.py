"""How a step calls the host: a step that has nothing to tell costs the host nothing."""

from __future__ import annotations

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.context import in_xla


class Bell:
    """Rung by a step, heard by the host when the call is over.

    Asking what a step has left in a variable takes 50 to 150 microseconds, as the step has driven
    everything else out of the processor's caches, and one more output of Keras's step takes as
    long. XLA knows no bell: where it compiles the step the host has to ask.
    """

    def __init__(self) -> None:
        self._has_rung = False
        self._is_mute = False

    def ring(self) -> None:
        """In the step, in a branch that few steps take: has the host attend to it."""
        if not tf.inside_function():
            self._ring()
        elif in_xla():
            self._is_mute = True
        else:
            # Not `numpy_function`, which has no kernel for the branch of a step on a GPU.
            tf.py_function(self._ring, [], [])

    def _ring(self) -> None:
        self._has_rung = True

    def has_rung(self) -> bool:
        """On the host: whether it has rung since this was last asked, or may have: under XLA."""
        has_rung, self._has_rung = self._has_rung, False
        return has_rung or self._is_mute
