"""What captured and deferred steps have in common: armed by the host, and refused for good."""

from __future__ import annotations

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.host_callback import HostSignal


class ArmedBuffer:
    """Takes steps that go non-finite, as long as it is armed.

    Args:
      host_signal: requested for a step that is taken; None where the host looks after each call.

    Attributes:
      refusal: why no step is taken any more; "" where steps are.
    """

    def __init__(self, host_signal: HostSignal | None = None) -> None:
        self.refusal = ""
        self._host_signal = host_signal
        self._is_armed = False

    def arm(self, armed: bool) -> None:
        """On the host: has steps that go non-finite taken from now on, or not."""
        armed = armed and not self.refusal
        if armed != self._is_armed:
            self._is_armed = armed
            self._reset()

    def refuse(self, why: str) -> None:
        """On the host, or while a step is traced: no step is taken any more.

        Such as one that cannot be run again as it was.
        """
        self.refusal = self.refusal or why
        with tf.init_scope():  # Now, and not each time that the step runs.
            self.arm(False)

    def is_armed_tensor(self) -> tf.Tensor:
        """In the step: bool scalar, whether it is taken if it is not finite."""
        raise NotImplementedError

    def forget(self) -> None:
        """On the host: discards what was taken."""
        raise NotImplementedError

    def _reset(self) -> None:
        """On the host: writes the state without any step taken to the device."""
        raise NotImplementedError

    def _request_host(self) -> None:
        """In the step."""
        if self._host_signal is not None:
            self._host_signal.request()
