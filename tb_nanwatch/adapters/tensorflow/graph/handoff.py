"""What a step that XLA compiles leaves to the host, as none of its branches can call it.

In variables, to which it writes every time: XLA has what computes a tensor write it right into the
variable. What the step returned it would write into new memory, for a tenth of the time of a small
model's step; and for a branch that writes, or does not, XLA copies the variable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.variables import fetch, store, value_of, variable

_MAX_BYTES = 256 * 2**20
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
        for numbers, _, held in self._groups:
            flat = [tf.reshape(tensors[number], [-1]) for number in numbers]
            held.assign(tf.concat(flat, 0) if len(flat) > 1 else flat[0])
        self._is_due.assign(is_due)

    def take(self) -> list[tf.Tensor]:
        """On the host: the tensors that the last step has left; none where it has left none."""
        if not fetch(self._is_due):
            return []
        store(self._is_due, np.array(False))
        found: dict[int, tf.Tensor] = {}
        for numbers, shapes, held in self._groups:
            parts = tf.split(value_of(held), [math.prod(shape) for shape in shapes])
            for number, shape, part in zip(numbers, shapes, parts, strict=True):
                found[number] = tf.reshape(part, shape)
        return [found[number] for number in sorted(found)]


class _Group(NamedTuple):
    """Tensors in one variable.

    Attributes:
      numbers: their indices.
      shapes: of each.
      held: all of their elements, one tensor after another.
    """

    numbers: list[int]
    shapes: list[tuple[int, ...]]
    held: tf.Variable


def _groups(tensors: Sequence[tf.Tensor]) -> list[_Group]:
    groups: dict[tuple[tf.DType, int], list[int]] = {}
    for number, each in enumerate(tensors):
        is_alone = each.shape.num_elements() >= _MIN_ALONE
        groups.setdefault((each.dtype, number if is_alone else -1), []).append(number)
    made = []
    for (dtype, _), numbers in groups.items():
        shapes = [tuple(tensors[number].shape) for number in numbers]
        elements = sum(map(math.prod, shapes))
        made.append(
            _Group(numbers, shapes, variable(np.zeros(elements, dtype.as_numpy_dtype), dtype))
        )
    return made
