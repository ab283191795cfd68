"""Statistics of tensors as TensorFlow operations; `stats.reference` defines the result of each.

Three kernels, by what they cost. On 10 million float32 and two CPU cores: `sums_of_squares` 1.6 ms
(as much as `tf.reduce_sum`), `sample` about 25 ms, `count_nonfinite` several passes.

The last two are traced once a dtype, over rows of any number and length, and then called: a graph
that records 400 tensors gains a few nodes a tensor and not hundreds. They compile under XLA: sizes
are constants, and no operation depends on the data's shape. As XLA expands each call and compiles
it for each size, it gets the tensors of a dtype in blocks of one size (`group_rows`, `blocks`).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.context import cached_in_context, in_xla
from tb_nanwatch.adapters.tensorflow.graph.twins import twin
from tb_nanwatch.adapters.tensorflow.statistics.blocks import (
    Blocks,
    block_sums_of_squares,
    to_blocks,
)
from tb_nanwatch.adapters.tensorflow.statistics.chunks import over_chunks
from tb_nanwatch.stats.floats import FloatFormat, float_format


class Samples(NamedTuple):
    """The results of `sample` for several tensors, as tensors or as arrays.

    Attributes:
      histograms: int64, counts by sign and exponent field: [tensors, format.bins] of one format,
        [sum of the formats' bins] of several.
      keys: int64 [tensors, 4]: number of zeros; then the largest and the smallest of the finite
        elements' bits as signed integers, and the largest with the sign bit flipped.
        `decode_extremes` turns them into minimum and maximum. By bits, because arithmetic flushes
        subnormals to zero.
      totals: float64 [tensors], sum of the finite elements.
    """

    histograms: Any
    keys: Any
    totals: Any


def add_samples(one: Samples, other: Samples) -> Samples:
    """The samples of the elements of both, as tensors."""
    keys = [
        one.keys[:, 0] + other.keys[:, 0],
        tf.maximum(one.keys[:, 1], other.keys[:, 1]),
        tf.minimum(one.keys[:, 2], other.keys[:, 2]),
        tf.maximum(one.keys[:, 3], other.keys[:, 3]),
    ]
    histograms = one.histograms + other.histograms
    return Samples(histograms, tf.stack(keys, axis=1), one.totals + other.totals)


def dtype_format(dtype: tf.DType) -> FloatFormat:
    """The format of the elements of this dtype; TypeError for one that cannot hold NaN or Inf."""
    return float_format(dtype.name)


def flatten(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The elements of each, [elements], of a float dtype: complex as real parts, then imaginary."""
    # One constant for all: with one for each, a graph of 600 variables is traced a tenth longer.
    shape = tf.constant([-1])
    parts = [
        tf.stack([tf.math.real(each), tf.math.imag(each)]) if each.dtype.is_complex else each
        for each in tensors
    ]
    return [each if each.shape.rank == 1 else tf.reshape(each, shape) for each in parts]


def _accumulation_dtype(dtype: tf.DType) -> tf.DType:
    """Sums run in float32 or wider: the square of 300 is infinite in float16."""
    return tf.float64 if dtype == tf.float64 else tf.float32


_KNOWN = "_nanwatch_sum_of_squares"
"""Attribute of a tensor: its reduction, which both the guard of a step and the recorder need."""


def sums_of_squares(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """float64 [tensors], each summed in float32 (float64 of float64 and complex128).

    Where a sum is finite, so are all of its elements. The converse does not hold: the square of
    2e19 is infinite in float32, and that of 1e-23 is zero.
    """
    tensors = [twin(tensor) for tensor in tensors]
    by_xla = in_xla() and not tf.config.get_visible_devices("GPU")
    known = [_known(tensor) for tensor in tensors]
    unknown = [number for number, sums in enumerate(known) if sums is None]
    reduce = _in_xla if by_xla else _halves
    for number, sums in zip(unknown, reduce([tensors[each] for each in unknown]), strict=True):
        known[number] = sums
        setattr(tensors[number], _KNOWN, sums)
    if by_xla:
        return _gathered(known)
    if any(half.dtype == tf.float64 for half in known):
        known = [tf.cast(half, tf.float64) for half in known]
    return 2 * tf.cast(tf.stack(known), tf.float64)


def _known(tensor: tf.Tensor) -> Any:
    """What was computed for a tensor before, in the same graph; None for nothing."""
    known = getattr(tensor, _KNOWN, None)
    tensor_of_sum = known.sums if isinstance(known, _SumOf) else known
    # What was computed in a branch cannot be used outside of it.
    is_outermost_graph = getattr(tensor_of_sum, "graph", None) is getattr(tensor, "graph", None)
    return known if is_outermost_graph else None


_MAX_CAST = 2**26
"""Elements of 16 bits that are cast at once: more would take gigabytes at each step. Not fewer, as
on a GPU each round of a loop waits for the host."""


def _halves(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Half the sum of squares of each, scalars: one pass, where reduce_sum(square(x)) is two."""
    return [
        over_chunks(_half, tf.reshape(tensor, [1, -1]), operator.add, _MAX_CAST)
        if tensor.dtype.size == 2 and (tensor.shape.num_elements() or 0) > _MAX_CAST
        else _half(tensor)
        for tensor in tensors
    ]


def _half(tensor: tf.Tensor) -> tf.Tensor:
    return tf.nn.l2_loss(_summable(tensor))


def _summable(tensor: tf.Tensor) -> tf.Tensor:
    values = flatten([tensor])[0] if tensor.dtype.is_complex else tensor
    return tf.cast(values, _accumulation_dtype(values.dtype))


class _SumOf(NamedTuple):
    """The sum of squares of one tensor, as an index into those of several.

    Unstacking and restacking the sums would make a kernel with a branch for each of them.
    """

    sums: tf.Tensor
    place: int


def _gathered(known: Sequence[_SumOf]) -> tf.Tensor:
    vectors = list({id(each.sums): each.sums for each in known}.values())
    first = dict(
        zip(map(id, vectors), np.cumsum([0, *(v.shape[0] for v in vectors)]), strict=False)
    )
    places = [first[id(each.sums)] + each.place for each in known]
    joined = tf.concat(vectors, axis=0)
    return joined if places == list(range(joined.shape[0])) else tf.gather(joined, places)


def _in_xla(tensors: Sequence[tf.Tensor]) -> list[_SumOf]:
    """The sum of squares of each tensor, where XLA compiles for a CPU."""
    values = [tf.reshape(_summable(tensor), [-1]) for tensor in tensors]
    groups: dict[str | int, list[int]] = {}
    for number, each in enumerate(values):
        key = each.dtype.name if each.shape.is_fully_defined() else number
        groups.setdefault(key, []).append(number)
    sums: dict[int, _SumOf] = {}
    for key, numbers in groups.items():
        if isinstance(key, int):  # XLA does not know its shape yet: only the sum has a fixed one.
            squares = tf.reduce_sum(tf.cast(tf.square(values[key]), tf.float64))[tf.newaxis]
        else:
            squares = block_sums_of_squares([values[number] for number in numbers])
        sums |= {number: _SumOf(squares, place) for place, number in enumerate(numbers)}
    return [sums[number] for number in range(len(values))]


def element_counts(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
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


_MAX_STACKED = 2**14
"""Outside of XLA longer tensors stay apart: copying them takes longer than a call, and the
histogram of a single row is made by all cores."""

_BLOCKED = np.iinfo(np.int64).max
_MAX_BLOCKED = 2**20
"""Under XLA longer tensors stay apart: they have few distinct sizes, and copying them would take as
much memory as a large model."""


class Rows(NamedTuple):
    """Flat tensors that one kernel reduces together.

    Attributes:
      numbers: the tensors' indices.
      values: one tensor a row, or blocks of several.
    """

    numbers: list[int]
    values: tf.Tensor | Blocks

    @property
    def elements(self) -> tf.Tensor:
        """All elements, and zeros behind those of a block that is not full."""
        return self.values.values if isinstance(self.values, Blocks) else self.values

    def scaled(self, factors: tf.Tensor, which: npt.NDArray[np.bool_]) -> Rows:
        """The tensors, those of `which` (bool [all tensors]) times their `factors` (float64).

        The others are not multiplied: times one, a subnormal may become zero.
        """
        if not which[self.numbers].any():
            return self
        mine, scales = tf.gather(factors, self.numbers), which[self.numbers]
        if isinstance(self.values, Blocks):
            return Rows(self.numbers, self.values.scaled(mine, scales))
        scaled = self.values * tf.cast(mine[:, tf.newaxis], self.values.dtype)
        return Rows(self.numbers, tf.where(scales[:, np.newaxis], scaled, self.values))


def group_rows(flat: Sequence[tf.Tensor]) -> list[Rows]:
    """Groups flat tensors by dtype and size; under XLA by dtype alone.

    Those of float64 stay rows: their sums have to be scaled, and few models have them.
    """
    groups: dict[tuple[tf.DType, int], list[int]] = {}
    for number, values in enumerate(flat):
        size = values.shape.num_elements()
        if size is None or (size > _MAX_STACKED and not in_xla()):
            key = ~number
        elif in_xla() and values.dtype != tf.float64 and size <= _MAX_BLOCKED:
            key = _BLOCKED
        else:
            key = size
        groups.setdefault((values.dtype, key), []).append(number)
    return [
        Rows(numbers, to_blocks(alike) if key == _BLOCKED else tf.stack(alike))
        for (_, key), numbers in groups.items()
        for alike in [[flat[each] for each in numbers]]
    ]


def concat_in_order(numbers: Sequence[Sequence[int]], parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """The rows of `parts`, whose tensors have these `numbers`, sorted by number."""
    places = np.argsort([each for group in numbers for each in group])
    return tf.gather(tf.concat(parts, axis=0), places)


def _range_scale(finite: tf.Tensor) -> tf.Tensor:
    """[rows, 1], factors that bring the largest magnitude of each row near 1: normal numbers."""
    largest = tf.reduce_max(tf.abs(finite), axis=1, keepdims=True)
    largest = tf.maximum(largest, finite.dtype.as_numpy_dtype(0))  # of no element: -inf
    smallest = dtype_format(finite.dtype).smallest_normal
    return tf.clip_by_value(1 / largest, smallest, 1 / smallest)


def _float_kernel(function, dtype: tf.DType):  # type: ignore[no-untyped-def]
    # Not expanded where it is called: expanded 400 times, MobileNetV2's first step takes twice as
    # long; not expanded, 1.3 times, and a sampled step 1 ms more.
    kernel = tf.function(function, autograph=False, experimental_attributes={"_noinline": True})
    # Of each dtype another one, traced at once: TensorFlow warns of several that are traced when
    # they are called, as of one that is traced again and again.
    return kernel.get_concrete_function(tf.TensorSpec([None, None], dtype))


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


def _count_blocks(blocks: Blocks) -> tf.Tensor:
    values = blocks.values
    infinite = tf.math.is_inf(values)
    finite = tf.where(tf.math.is_finite(values), values, tf.zeros([], values.dtype))
    # In float64 no square of a float32 overflows or underflows.
    counts = blocks.sums(
        [
            tf.math.is_nan(values),
            infinite & (values > 0),
            infinite & (values < 0),
            tf.square(tf.cast(finite, tf.float64)),
        ]
    )
    return tf.concat([counts[:, :3], tf.sqrt(counts[:, 3:])], axis=1)


def count_nonfinite(groups: Sequence[Rows]) -> tf.Tensor:
    """float64 [tensors, 4]: exact NaN, +Inf and -Inf counts; norm of the finite elements.

    The norm is scaled by the largest magnitude, so it neither overflows nor underflows.
    """
    counts = [
        _count_blocks(values)
        if isinstance(values, Blocks)
        else over_chunks(_count_kernel(values.dtype), values, _add_counts)
        for _, values in groups
    ]
    return concat_in_order([numbers for numbers, _ in groups], counts)


def _add_counts(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Counts and norms of the elements of both; a square may overflow where the norm does not."""
    smaller, larger = tf.minimum(one, other)[:, 3:], tf.maximum(one, other)[:, 3:]
    ratio = tf.where(tf.math.is_inf(larger), np.float64(0), tf.math.divide_no_nan(smaller, larger))
    return tf.concat([(one + other)[:, :3], larger * tf.sqrt(1 + ratio**2)], axis=1)


def _magnitude(layout: FloatFormat, bits: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.bitwise_and(bits, bits.dtype.as_numpy_dtype(layout.magnitude_mask))


def _field(layout: FloatFormat, bits: tf.Tensor) -> tf.Tensor:
    """int32: sign and exponent of each element, its bin of the histogram."""
    if layout.bits == 32:
        unsigned = tf.bitcast(bits, tf.uint32)
        return tf.bitcast(tf.bitwise.right_shift(unsigned, layout.mantissa_bits), tf.int32)
    index = tf.cast(tf.bitwise.right_shift(bits, layout.mantissa_bits), tf.int32)
    return tf.bitwise.bitwise_and(index, layout.bins - 1)


def _flipped(layout: FloatFormat, bits: tf.Tensor) -> tf.Tensor:
    integer = bits.dtype
    sign_bit = integer.min if layout.bits >= 32 else -(1 << (layout.bits - 1))
    return tf.bitwise.bitwise_xor(bits, integer.as_numpy_dtype(sign_bit))


def _sample_blocks(blocks: Blocks) -> Samples:
    layout = dtype_format(blocks.values.dtype)
    bits = _bits(blocks.values)
    lowest = bits.dtype.min
    is_filled = blocks.is_filled()
    magnitude = _magnitude(layout, bits)
    is_finite = is_filled & (magnitude < bits.dtype.as_numpy_dtype(layout.infinity))
    # The smallest is the largest of the inverted bits: all three are maxima.
    keys = [bits, tf.bitwise.invert(bits), _flipped(layout, bits)]
    maxima = blocks.maxima([tf.where(is_finite, key, lowest) for key in keys])
    finite = tf.where(is_finite, blocks.values, tf.zeros([], blocks.values.dtype))
    sums = blocks.sums([is_filled & tf.equal(magnitude, 0), finite])
    zeros = tf.cast(sums[:, 0], tf.int64)
    extremes = [maxima[:, 0], tf.bitwise.invert(maxima[:, 1]), maxima[:, 2]]
    return Samples(
        blocks.bincounts(_field(layout, bits), layout.bins),
        tf.stack([zeros, *(tf.cast(each, tf.int64) for each in extremes)], axis=1),
        sums[:, 1],
    )


@cached_in_context
def _sample_kernel(dtype: tf.DType, masked: bool, is_one: bool):  # type: ignore[no-untyped-def]
    layout = dtype_format(dtype)

    def sample(values: tf.Tensor) -> Samples:
        bits = _bits(values)
        integer = bits.dtype
        magnitude = _magnitude(layout, bits)
        index = _field(layout, bits)
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
            lambda: tf.reduce_sum(tf.cast(tf.equal(magnitude, 0), tf.int64), axis=1),
            lambda: tf.zeros_like(histograms[:, 0]),
        )
        flipped = _flipped(layout, bits)
        lowest, highest = integer.min, integer.max
        largest = smallest = bits
        finite = values
        if masked:
            is_finite = magnitude < integer.as_numpy_dtype(layout.infinity)
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
        return Samples(
            histograms,
            tf.stack([zeros, *(tf.cast(key, tf.int64) for key in keys)], axis=1),
            tf.cast(totals, tf.float64) / tf.cast(scale[:, 0], tf.float64),
        )

    return _float_kernel(sample, dtype)


def sample(rows: tf.Tensor | Blocks, *, masked: bool = True) -> Samples:
    """Exponent histogram, zeros, extremes and sum of each of the `rows` [rows, elements].

    `masked=False` saves the passes that leave out NaN and infinities: right only where
    `sums_of_squares` of the same elements is finite.
    """
    if isinstance(rows, Blocks):
        return _sample_blocks(rows)
    kernel = _sample_kernel(rows.dtype, masked, rows.shape[0] == 1)
    return Samples(*over_chunks(kernel, rows, add_samples))
