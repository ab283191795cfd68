"""Variables of our own, beside those of the training; and names and values of any variable."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.private_api import private


def variable(value: object, dtype: tf.DType) -> tf.Variable:
    """A variable that no optimizer, checkpoint or strategy tracks."""
    # Created outside of the function that is being traced, because it outlives the trace. And
    # created by its class, past the function's variable creators: a function that creates variables
    # is traced twice, which for a large model takes as long as a hundred steps.
    with tf.init_scope():
        kind = private("ResourceVariable") or tf.Variable
        made: tf.Variable = kind(tf.constant(value, dtype), trainable=False)
        return made


def value_of(source: Any) -> tf.Tensor:
    """The value of a `tf.Variable`, read by the operation itself, which no tape records."""
    return value_at(source.handle, source.dtype)


def value_at(handle: Any, dtype: tf.DType) -> tf.Tensor:
    """The value of the variable of this handle, sharing its memory; no tape records the read."""
    return tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)


def handle_of(source: Any) -> Any:
    """The handle by which the host reads a variable, TensorFlow's or Keras'; None without one.

    Without one is, outside of any replica, a variable with a copy in each.
    """
    try:
        handle = getattr(getattr(source, "_value", source), "handle", None)
    except ValueError:
        return None
    return handle if isinstance(handle, tf.__internal__.EagerTensor) else None


def fetch(source: tf.Variable) -> npt.NDArray[Any]:
    """On the host: the value of a variable of ours.

    It is read in the middle of a training: the variable's `numpy()` takes three times as long.
    """
    value: npt.NDArray[Any] = value_of(source).numpy()
    return value


def store(target: tf.Variable, value: tf.Tensor | npt.NDArray[Any]) -> None:
    """On the host: writes a value of its own shape and dtype to a variable of ours."""
    tf.raw_ops.AssignVariableOp(resource=target.handle, value=value)


def is_variable(value: Any) -> bool:
    """Whether `value` is a variable, TensorFlow's or Keras'."""
    return hasattr(value, "assign") and hasattr(value, "shape")


def variable_path(variable: Any) -> str:
    """The path of a Keras or TensorFlow variable, such as "dense/kernel"."""
    path = getattr(variable, "path", None) or getattr(variable, "name", "")
    return str(path).removesuffix(":0")
