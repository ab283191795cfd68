"""Statistics of tensors as TensorFlow operations; `stats.reference` says what each must give.

Three kernels, by what they cost. On 10 million float32 and two CPU cores: `sums_of_squares` 1.6 ms
(as much as `tf.reduce_sum`), `sample` about 25 ms, `count_nonfinite` several passes.

The last two are traced once a dtype, over rows of any number and length, and then called: a graph
that watches 400 tensors gains a few nodes a tensor and not hundreds. They compile under XLA: sizes
are constants, and no operation depends on the data's shape. As XLA expands each call, tensors of
one size are the rows of one (`rows_alike`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python.xla import optimization_barrier

from tb_nanwatch.adapters.tensorflow.graphs import cached_in_context, in_xla
from tb_nanwatch.stats.floats import FloatFormat, float_format


class Sample(NamedTuple):
    """What `sample` gives for each row.

    Attributes:
      histograms: int64 [rows, format.bins], counts by sign and exponent field.
      keys: int64 [rows, 4]: number of zeros; then the largest and the smallest of the finite
        elements' bits as signed integers, and the largest with the sign bit flipped.
        `decode_extremes` makes minimum and maximum of them. By bits, as arithmetic would take a
        subnormal for zero.
      totals: float64 [rows], sum of the finite elements.
    """

    histograms: tf.Tensor
    keys: tf.Tensor
    totals: tf.Tensor


def dtype_format(dtype: tf.DType) -> FloatFormat:
    """The format of the elements of this dtype; TypeError for what is not watched."""
    return float_format(dtype.name)


def flatten(tensor: tf.Tensor) -> tf.Tensor:
    """The elements, [elements], of a float dtype: complex as real parts, then imaginary parts."""
    if tensor.dtype.is_complex:
        tensor = tf.stack([tf.math.real(tensor), tf.math.imag(tensor)])
    return tf.reshape(tensor, [-1])


def _accumulation_dtype(dtype: tf.DType) -> tf.DType:
    """Sums run in float32 or wider: the square of 300 is infinite in float16."""
    return tf.float64 if dtype == tf.float64 else tf.float32


_HALF = "_nanwatch_half_sum_of_squares"
"""Attribute of a tensor: the reduction is wanted by who withholds a step and by who records it."""


def sums_of_squares(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """float64 [tensors], each summed in float32 (float64 of float64 and complex128).

    Where a sum is finite all of its elements are. Not the other way round: the square of 2e19 is
    infinite in float32, and that of 1e-23 is zero.
    """
    halves = [_known_half(tensor) for tensor in tensors]
    if any(half.dtype == tf.float64 for half in halves):
        halves = [tf.cast(half, tf.float64) for half in halves]
    return 2 * tf.cast(tf.stack(halves), tf.float64)


def _known_half(tensor: tf.Tensor) -> tf.Tensor:
    """Half the sum of squares of one tensor, computed once in a graph however often it is asked."""
    known = getattr(tensor, _HALF, None)
    # What was computed in a branch cannot be used outside of it.
    if known is None or getattr(known, "graph", None) is not getattr(tensor, "graph", None):
        values = flatten(tensor) if tensor.dtype.is_complex else tensor
        known = _half_sum_of_squares(tf.cast(values, _accumulation_dtype(values.dtype)))
        setattr(tensor, _HALF, known)
    return known


def _half_sum_of_squares(values: tf.Tensor) -> tf.Tensor:
    if in_xla() and not tf.config.get_visible_devices("GPU"):
        # Kept apart from the sum, that is one of XLA's own vector kernels, and both together take a
        # quarter of the time: fused, it adds one number after another.
        (squares,) = optimization_barrier(tf.square(values))
        return tf.reduce_sum(squares) / 2
    # One pass over the elements, where reduce_sum(square(x)) is two.
    return tf.nn.l2_loss(values)


def numbers_of_elements(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """float64 [tensors]: the number of elements of each, a complex number being two."""
    parts = [2.0 if tensor.dtype.is_complex else 1.0 for tensor in tensors]
    sizes = [tensor.shape.num_elements() for tensor in tensors]
    known = tf.constant([0 if size is None else size for size in sizes], tf.float64)
    unknown = [row for row, size in enumerate(sizes) if size is None]
    if unknown:
        counted = tf.stack([tf.size(tensors[row], tf.int64) for row in unknown])
        rows = [[row] for row in unknown]
        known = tf.tensor_scatter_nd_update(known, rows, tf.cast(counted, tf.float64))
    return known * parts


def _bits(values: tf.Tensor) -> tf.Tensor:
    """The elements' bits as signed integers: int32, or int64 of float64."""
    layout = dtype_format(values.dtype)
    if layout.bits == 16:
        return tf.cast(tf.bitcast(values, tf.int16), tf.int32)
    return tf.bitcast(values, tf.int32 if layout.bits == 32 else tf.int64)


_MOST_STACKED = 2**14
"""Outside of XLA longer tensors stay apart: copying them takes longer than a call, and the
histogram of a single row is made by all cores."""


def rows_alike(flat: Sequence[tf.Tensor]) -> list[tuple[list[int], tf.Tensor]]:
    """Flat tensors as [rows, elements], those of one dtype and size together; and which these are.

    Every tensor is in one of them.
    """
    groups: dict[tuple[tf.DType, int], list[int]] = {}
    for number, values in enumerate(flat):
        size = values.shape.num_elements()
        is_apart = size is None or (size > _MOST_STACKED and not in_xla())
        groups.setdefault((values.dtype, ~number if is_apart else size), []).append(number)
    return [(numbers, tf.stack([flat[each] for each in numbers])) for numbers in groups.values()]


def in_order(numbers: Sequence[Sequence[int]], parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """The rows of `parts`, of which each has those `numbers`, from number 0 on."""
    places = np.argsort([each for group in numbers for each in group])
    return tf.gather(tf.concat(parts, axis=0), places)


def _range_scale(finite: tf.Tensor) -> tf.Tensor:
    """[rows, 1], factors that bring the largest magnitude of each row near 1: normal numbers."""
    largest = tf.reduce_max(tf.abs(finite), axis=1, keepdims=True)
    largest = tf.maximum(largest, finite.dtype.as_numpy_dtype(0))  # of no element: -inf
    info = tf.experimental.numpy.finfo(finite.dtype.as_numpy_dtype)
    return tf.clip_by_value(1 / largest, float(info.tiny), 1 / float(info.tiny))


def _float_kernel(function, dtype: tf.DType):  # type: ignore[no-untyped-def]
    # Not expanded where it is called: expanded 400 times, MobileNetV2's first step takes twice as
    # long; not expanded, 1.3 times, and a sampled step 1 ms more.
    return tf.function(
        function,
        input_signature=[tf.TensorSpec([None, None], dtype)],
        autograph=False,
        experimental_attributes={"_noinline": True},
    )


@cached_in_context
def _count_kernel(dtype: tf.DType):  # type: ignore[no-untyped-def]
    def count(values: tf.Tensor) -> tf.Tensor:
        def number(where: tf.Tensor) -> tf.Tensor:
            return tf.cast(tf.reduce_sum(tf.cast(where, tf.int64), axis=1), tf.float64)

        infinite = tf.math.is_inf(values)
        finite = tf.where(tf.math.is_finite(values), values, tf.zeros([], dtype))
        finite = tf.cast(finite, _accumulation_dtype(dtype))
        scale = _range_scale(finite)
        squares = tf.reduce_sum(tf.square(finite * scale), axis=1)
        return tf.stack(
            [
                number(tf.math.is_nan(values)),
                number(infinite & (values > 0)),
                number(infinite & (values < 0)),
                tf.sqrt(tf.cast(squares, tf.float64)) / tf.cast(scale[:, 0], tf.float64),
            ],
            axis=1,
        )

    return _float_kernel(count, dtype)


def count_nonfinite(flat: Sequence[tf.Tensor]) -> tf.Tensor:
    """float64 [tensors, 4]: exact NaN, +Inf and -Inf counts; norm of the finite elements.

    The norm is scaled by the largest magnitude, so it neither overflows nor underflows.
    """
    groups = rows_alike(flat)
    counts = [_count_kernel(rows.dtype)(rows) for _, rows in groups]
    return in_order([numbers for numbers, _ in groups], counts)


@cached_in_context
def _sample_kernel(dtype: tf.DType, masked: bool, is_one: bool):  # type: ignore[no-untyped-def]
    layout = dtype_format(dtype)

    def magnitude(bits: tf.Tensor) -> tf.Tensor:
        return tf.bitwise.bitwise_and(bits, bits.dtype.as_numpy_dtype(layout.magnitude_mask))

    def sample(values: tf.Tensor) -> Sample:
        bits = _bits(values)
        integer = bits.dtype
        sign_bit = integer.min if layout.bits >= 32 else -(1 << (layout.bits - 1))
        if layout.bits == 64:
            index = tf.cast(tf.bitwise.right_shift(bits, layout.mantissa_bits), tf.int32)
            index = tf.bitwise.bitwise_and(index, layout.bins - 1)
        elif layout.bits == 32:
            unsigned = tf.bitcast(bits, tf.uint32)
            index = tf.bitcast(tf.bitwise.right_shift(unsigned, layout.mantissa_bits), tf.int32)
        else:
            index = tf.bitwise.right_shift(bits, layout.mantissa_bits)
            index = tf.bitwise.bitwise_and(index, layout.bins - 1)
        # tf.math.bincount does not compile under XLA: its size is not a constant there.
        histograms = tf.raw_ops.DenseBincount(
            input=tf.reshape(index, [-1]) if is_one else index,
            size=layout.bins,
            weights=tf.zeros([0], tf.int64),
            binary_output=False,
        )
        histograms = tf.reshape(histograms, [-1, layout.bins])
        # Where nothing has field 0 there is no zero: most tensors are spared these passes.
        zeros = tf.cond(
            tf.reduce_any(histograms[:, 0] + histograms[:, layout.bins // 2] > 0),
            lambda: tf.reduce_sum(tf.cast(tf.equal(magnitude(bits), 0), tf.int64), axis=1),
            lambda: tf.zeros_like(histograms[:, 0]),
        )
        flipped = tf.bitwise.bitwise_xor(bits, integer.as_numpy_dtype(sign_bit))
        lowest, highest = integer.min, integer.max
        largest = smallest = bits
        finite = values
        if masked:
            is_finite = magnitude(bits) < integer.as_numpy_dtype(layout.infinity)
            largest = tf.where(is_finite, bits, lowest)
            smallest = tf.where(is_finite, bits, highest)
            flipped = tf.where(is_finite, flipped, lowest)
            finite = tf.where(is_finite, values, tf.zeros([], dtype))
        finite = tf.cast(finite, _accumulation_dtype(dtype))
        scale = _range_scale(finite) if masked else tf.ones([1, 1], finite.dtype)
        totals = tf.reduce_sum(finite * scale if masked else finite, axis=1)
        keys = [
            tf.reduce_max(largest, axis=1),
            tf.reduce_min(smallest, axis=1),
            tf.reduce_max(flipped, axis=1),
        ]
        return Sample(
            histograms,
            tf.stack([zeros, *(tf.cast(key, tf.int64) for key in keys)], axis=1),
            tf.cast(totals, tf.float64) / tf.cast(scale[:, 0], tf.float64),
        )

    return _float_kernel(sample, dtype)


def sample(rows: tf.Tensor, *, masked: bool = True) -> Sample:
    """Exponent histogram, zeros, extremes and sum of each of the `rows` [rows, elements].

    `masked=False` saves the passes that leave out NaN and infinities: right only where
    `sums_of_squares` of the same elements is finite.
    """
    return Sample(*_sample_kernel(rows.dtype, masked, rows.shape[0] == 1)(rows))
