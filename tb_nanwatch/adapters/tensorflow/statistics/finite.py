"""Whether tensors and their squares are finite: by their sums, and by each element."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.cond import cond_without_lowering
from tb_nanwatch.adapters.tensorflow.graph.context import without_op_callbacks
from tb_nanwatch.adapters.tensorflow.statistics import kernels

Checked = Sequence[tuple[tf.Tensor, bool]]
"""Tensors, each with whether its square must be finite too, in the tensor's own dtype."""


@without_op_callbacks()
def within_limits(tensors: Checked) -> tf.Tensor:
    """Bool scalar, True only if all tensors, and the squares of those marked, are finite.

    False may be a false alarm: a sum of squares may overflow although no element does. Then
    `all_finite` decides.
    """
    limits = [_limit(value.dtype if squared else tf.float64) for value, squared in tensors]
    squares = kernels.sums_of_squares([value for value, _ in tensors])
    return tf.reduce_all(squares <= np.array(limits))  # Neither NaN nor infinity is.


@without_op_callbacks()
def all_finite(tensors: Checked) -> tf.Tensor:
    """Bool scalar, whether all tensors, and the squares of those marked, are finite."""
    parts: list[tf.Tensor] = []
    for is_squared in (False, True):
        chosen = [value for value, squared in tensors if squared == is_squared]
        # Short tensors of a size together: each check is several nodes, and under XLA kernels.
        rows = [each.elements for each in kernels.group_rows(kernels.flatten(chosen))]
        parts += [tf.square(values) if is_squared else values for values in rows]
    return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(part)) for part in parts]))


@without_op_callbacks()
def are_finite(tensors: Checked) -> tf.Tensor:
    """The same as `all_finite`, by the sums where these suffice."""
    return cond_without_lowering(
        within_limits(tensors), lambda: tf.constant(True), lambda: all_finite(tensors)
    )


def _limit(dtype: tf.DType) -> float:
    # Not NumPy's finfo, which does not know bfloat16. The parts of a complex number are squared
    # apart, so that the limit is that of a part.
    return kernels.dtype_format(dtype).largest
