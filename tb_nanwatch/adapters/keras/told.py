"""What an observed step hands to the host together with what Keras's step returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.keras.hold import Hold
from tb_nanwatch.adapters.tensorflow.accumulator import Signal


class Told(NamedTuple):
    """A step's outputs, and what the host asks for after each call.

    An operation of its own, right after the step, takes the host 50 to 150 microseconds, as the
    step has driven everything else out of the processor's caches; an output of the step is there.

    Attributes:
      outputs: what the step returns without us.
      numbers: int64 [1 + len(Signal)]: how many steps of the call are held, then the signal.
    """

    outputs: Any
    numbers: tf.Tensor


def heard(outputs: Any) -> tuple[int, Signal] | None:
    """On the host: how many steps are held, and the signal; None where the step tells nothing."""
    if not isinstance(outputs, Told):
        return None
    held, *signal = outputs.numbers.numpy().tolist()
    return held, Signal(*signal)


def changed(outputs: Any, change: Callable[[Any], Any]) -> Any:
    """What `change` makes of a step's outputs, also where that step is an observed one itself."""
    if isinstance(outputs, Told):
        return outputs._replace(outputs=changed(outputs.outputs, change))
    return change(outputs)


def tell(outputs: Any, signal: tf.Tensor | None, hold: Hold | None) -> Any:
    """In the step: its outputs, as `Told` where there is a signal.

    Args:
      outputs: what the step returns.
      signal: int64 [len(Signal)], or None where several replicas have one each.
      hold: keeps steps that are to be run again.
    """
    if signal is None:
        return outputs
    held = tf.zeros([1], tf.int64) if hold is None else hold.held()[tf.newaxis]
    return Told(outputs, tf.concat([held, signal], axis=0))
