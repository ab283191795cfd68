"""Variables of our own, beside those of the training that is watched, and what any holds."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.private_api import private


def variable(value: object, dtype: tf.DType) -> tf.Variable:
    """A variable that no optimizer, checkpoint or strategy knows of."""
    # Lifted out of whatever function is being traced: it outlives the trace. And made by its class,
    # past the variable creators of that function: a function that creates variables is traced
    # twice, which for a large model takes as long as a hundred steps.
    with tf.init_scope():
        kind = private("ResourceVariable") or tf.Variable
        made: tf.Variable = kind(tf.constant(value, dtype), trainable=False)
        return made


def value_of(held: Any) -> tf.Tensor:
    """What a `tf.Variable` holds, by the operation itself, of which no tape hears."""
    return tf.raw_ops.ReadVariableOp(resource=held.handle, dtype=held.dtype)


def fetch(held: tf.Variable) -> npt.NDArray[Any]:
    """On the host: what a variable of ours holds.

    It is asked in the middle of a training: the variable's `numpy()` takes three times as long.
    """
    value: npt.NDArray[Any] = value_of(held).numpy()
    return value


def store(held: tf.Variable, value: tf.Tensor | npt.NDArray[Any]) -> None:
    """On the host: has a variable of ours hold a value of its own shape and dtype."""
    tf.raw_ops.AssignVariableOp(resource=held.handle, value=value)
