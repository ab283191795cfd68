"""What a step that XLA compiles leaves to the host, as none of its branches can call it.

In variables, to which it writes every time: XLA has what computes a tensor write it right into the
variable. What the step returned it would write into new memory, for a tenth of the time of a small
model's step; and for a branch that writes, or does not, XLA copies the variable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.variables import fetch, store, value_of, variable

_MAX_BYTES = 256 * 2**20
"""What a step may leave to the host: the memory is taken as long as the step may run."""
_MIN_ALONE = 2**14
"""Smaller tensors share a variable, as each one of a step costs it time."""


class Handoff:
    """Variables that hold tensors for the host.

    Args:
      tensors: some like those that they will hold.
    """

    def __init__(self, tensors: Sequence[tf.Tensor]):
        self._groups = _groups(tensors)
        self._is_due = variable(False, tf.bool)

    @staticmethod
    def can_hold(tensors: Iterable[tf.Tensor]) -> bool:
        """Whether these have known sizes, and take no more memory than they may."""
        sizes = [(each.shape.num_elements(), each.dtype.size) for each in tensors]
        known = [count * size for count, size in sizes if count is not None]
        return len(known) == len(sizes) and sum(known) <= _MAX_BYTES

    def write(self, is_due: tf.Tensor, tensors: Sequence[tf.Tensor]) -> None:
        """In the step: leaves the tensors to the host, where the bool scalar is True."""
        for group in self._groups:
            group.write([tensors[number] for number in group.numbers])
        self._is_due.assign(is_due)

    def take(self) -> list[tf.Tensor]:
        """On the host: the tensors that the last step has left; none where it has left none."""
        if not fetch(self._is_due):
            return []
        self.forget()
        found: dict[int, tf.Tensor] = {}
        for group in self._groups:
            found.update(zip(group.numbers, group.read(), strict=True))
        return [found[number] for number in sorted(found)]

    def forget(self) -> None:
        """On the host: discards the tensors that the last step has left."""
        store(self._is_due, np.array(False))


class _Group:
    """Tensors of one dtype in one variable; a single one as it is, several flat.

    Args:
      numbers: their indices.
      tensors: some like those that it will hold.
    """

    def __init__(self, numbers: list[int], tensors: Sequence[tf.Tensor]):
        self.numbers = numbers
        self._shapes = [tuple(each.shape) for each in tensors]
        sizes = list(map(math.prod, self._shapes))
        with tf.init_scope(), tf.device("CPU:0"):  # Where the operations that read them want them.
            self._sizes = tf.constant(sizes, tf.int64)
            self._shape_tensors = [tf.constant(each, tf.int64) for each in self._shapes]
        shape = self._shapes[0] if len(numbers) == 1 else (sum(sizes),)
        dtype = tensors[0].dtype
        self._held = variable(np.zeros(shape, dtype.as_numpy_dtype), dtype)

    def write(self, tensors: Sequence[tf.Tensor]) -> None:
        """In the step."""
        if len(tensors) == 1:
            self._held.assign(tensors[0])
        else:
            self._held.assign(tf.concat([tf.reshape(each, [-1]) for each in tensors], 0))

    def read(self) -> list[tf.Tensor]:
        """On the host. By raw operations: the public ones take ten times as long."""
        value = value_of(self._held)
        if len(self._shapes) == 1:
            return [value]
        parts = tf.raw_ops.SplitV(
            value=value, size_splits=self._sizes, axis=0, num_split=len(self._shapes)
        )
        return [
            part if len(shape) == 1 else tf.raw_ops.Reshape(tensor=part, shape=tensor)
            for part, shape, tensor in zip(parts, self._shapes, self._shape_tensors, strict=True)
        ]


def _groups(tensors: Sequence[tf.Tensor]) -> list[_Group]:
    numbers: dict[tuple[tf.DType, int], list[int]] = {}
    for number, each in enumerate(tensors):
        is_alone = each.shape.num_elements() >= _MIN_ALONE
        numbers.setdefault((each.dtype, number if is_alone else -1), []).append(number)
    return [_Group(each, [tensors[number] for number in each]) for each in numbers.values()]
