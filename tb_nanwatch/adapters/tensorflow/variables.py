"""Variables of our own, beside those of the training that is watched."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.ops.resource_variable_ops import ResourceVariable


def variable(value: object, dtype: tf.DType) -> tf.Variable:
    """A variable that no optimizer, checkpoint or strategy knows of."""
    # Lifted out of whatever function is being traced: it outlives the trace. And made by its class,
    # past the variable creators of that function: a function that creates variables is traced
    # twice, which for a large model takes as long as a hundred steps.
    with tf.init_scope():
        return ResourceVariable(tf.constant(value, dtype), trainable=False)
