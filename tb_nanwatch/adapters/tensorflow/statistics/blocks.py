"""Many tensors of one dtype in one array of equal blocks: kernels that XLA compiles once.

XLA expands each call of a kernel and compiles it for each size, 0.2 s a size. Here one kernel
serves all tensors: each tensor begins a block of its own, the kernel reduces every block, and a
scatter over the blocks combines the results of one tensor's blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.private_api import private

_MIN_BLOCK = 128
_MAX_BLOCKS = 2**14
_FOLDS = 8
_MIN_FOLDED = 4096
_ROW = 32
"""Longer rows XLA sums by several kernels."""


class Blocks(NamedTuple):
    """Flat tensors of one dtype, each beginning at a block.

    Attributes:
      values: [blocks, elements of a block]; padded with zeros behind each tensor.
      owners: int32 [blocks], the index of the tensor that each belongs to.
      filled: int32 [blocks], how many elements of each are the tensor's.
      tensors: their number.
    """

    values: tf.Tensor
    owners: npt.NDArray[np.int32]
    filled: npt.NDArray[np.int32]
    tensors: int

    def is_filled(self) -> tf.Tensor:
        """Bool [blocks, elements of a block]: which elements are a tensor's."""
        # Behind a barrier, or the result would be a constant as large as all tensors.
        filled, barrier = tf.constant(self.filled[:, np.newaxis]), private("optimization_barrier")
        if barrier is not None:
            (filled,) = barrier(filled)
        return tf.range(self.values.shape[1])[tf.newaxis] < filled

    def scaled(self, factors: tf.Tensor, which: npt.NDArray[np.bool_]) -> Blocks:
        """Each tensor of `which` (bool [tensors]) times its factor, float64 [tensors]."""
        factor = tf.cast(tf.gather(factors, self.owners)[:, tf.newaxis], self.values.dtype)
        scales = which[self.owners][:, np.newaxis]
        return self._replace(values=tf.where(scales, self.values * factor, self.values))

    def sums(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """float64 [tensors, parts]: the sum of each over the tensor's elements."""
        sums = [_row_sums(tf.cast(part, tf.float64)) for part in parts]
        return tf.math.unsorted_segment_sum(tf.stack(sums, axis=1), self.owners, self.tensors)

    def maxima(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """[tensors, parts]: the largest of each, of one integer dtype; the lowest of none."""
        maxima = [
            tf.reduce_max(reduce(tf.maximum, _eighths(part)), axis=1, keepdims=True)
            for part in parts
        ]
        return tf.math.unsorted_segment_max(tf.concat(maxima, axis=1), self.owners, self.tensors)

    def bincounts(self, index: tf.Tensor, bins: int) -> tf.Tensor:
        """int64 [tensors, bins]: how often each index occurs in each tensor."""
        size = self.tensors * bins
        index = tf.where(self.is_filled(), self.owners[:, np.newaxis] * bins + index, size)
        counts = tf.raw_ops.DenseBincount(
            input=tf.reshape(index, [-1]),
            size=size + 1,
            weights=tf.zeros([0], tf.int64),
            binary_output=False,
        )
        return tf.reshape(counts[:size], [self.tensors, bins])


def _eighths(rows: tf.Tensor) -> list[tf.Tensor]:
    """Eight parts of each row: XLA puts these together side by side, and a row one by one."""
    parts: list[tf.Tensor] = tf.unstack(tf.reshape(rows, [rows.shape[0], _FOLDS, -1]), axis=1)
    return parts


def _row_sums(rows: tf.Tensor) -> tf.Tensor:
    """float64 [blocks], of float64."""
    return tf.reduce_sum(tf.add_n(_eighths(rows)), axis=1)


def to_blocks(flat: Sequence[tf.Tensor]) -> Blocks:
    """Flat tensors of one dtype and of known sizes as blocks."""
    sizes = np.array([values.shape.num_elements() for values in flat])
    length = _MIN_BLOCK
    while length * _MAX_BLOCKS < sizes.sum():
        length *= 2
    blocks = -(-sizes // length)
    owners = np.repeat(np.arange(len(flat)), blocks)
    firsts = np.repeat(np.cumsum(blocks) - blocks, blocks)
    filled = np.minimum(sizes[owners] - (np.arange(len(owners)) - firsts) * length, length)
    rests = blocks * length - sizes
    # Of powers of two, so that few lengths are needed: XLA makes a kernel for each.
    zeros = [tf.zeros([2**power], flat[0].dtype) for power in range(length.bit_length())]
    parts: list[tf.Tensor] = []
    for values, rest in zip(flat, rests.tolist(), strict=True):
        parts += [values, *(zeros[power] for power in range(len(zeros)) if rest >> power & 1)]
    values = tf.reshape(tf.concat(parts, axis=0), [len(owners), length])
    return Blocks(values, owners.astype(np.int32), filled.astype(np.int32), len(flat))


def block_sums_of_squares(flat: Sequence[tf.Tensor]) -> tf.Tensor:
    """float64 [tensors]: sums of squares of flat tensors of one dtype and of known sizes.

    For XLA on a CPU, which fuses a sum with what it sums, then adds one number after another and
    waits for each: 1.1 ns an element. (A barrier between does not help: XLA drops it before it
    fuses what a whole step holds.) Eight parts added up side by side take 0.2 ns, and are read
    once. Of a long tensor that leaves a short one, and the short ones share their kernels.
    """
    short: list[tuple[int, tf.Tensor]] = []
    folded: list[tuple[int, tf.Tensor]] = []
    for number, values in enumerate(flat):
        whole = 0
        if values.shape[0] >= _MIN_FOLDED:
            whole = values.shape[0] // (_FOLDS * _ROW) * (_FOLDS * _ROW)
            folded.append((number, _folded_squares(values[:whole])))
        if whole < values.shape[0] or not whole:
            short.append((number, values[whole:]))
    sums, owners = [], []
    for parts in (short, folded):
        if parts:
            blocks = to_blocks([part for _, part in parts])
            values = blocks.values if parts is folded else tf.square(blocks.values)
            sums.append(_row_sums(tf.cast(values, tf.float64)))
            owners.append(np.array([number for number, _ in parts])[blocks.owners])
    owner = np.concatenate(owners).astype(np.int32)
    return tf.math.unsorted_segment_sum(tf.concat(sums, axis=0), owner, len(flat))


def _folded_squares(values: tf.Tensor) -> tf.Tensor:
    """Sums of 256 squares each, of so many elements or a multiple."""
    squares = tf.reshape(tf.square(values), [_FOLDS, -1, _ROW])
    return tf.reduce_sum(tf.add_n(tf.unstack(squares)), axis=1)
