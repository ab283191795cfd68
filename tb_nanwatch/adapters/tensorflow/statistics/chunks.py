"""A long tensor is reduced a chunk at a time.

A kernel that counts makes masks and copies, up to eight bytes an element for each: of an embedding
of gigabytes, several times its size, in the step that has just gone wrong. Of a chunk they are
small.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.context import in_xla

CHUNK = 2**22
"""Elements, where they are counted: masks and copies take at most 200 MiB, whatever the tensor."""

Result = TypeVar("Result")


def over_chunks(
    kernel: Callable[[tf.Tensor], Result],
    rows: tf.Tensor,
    add: Callable[[Result, Result], Result],
    chunk: int | None = None,
) -> Result:
    """The kernel's result for `rows` [rows, elements]; of one long row, for its chunks added up.

    Under XLA, which makes no masks, and where the number of elements is known only when the step
    runs, as in a batch, a row is one chunk.

    Args:
      kernel: of [1, at most `chunk`].
      rows: what it is for.
      add: two results as one.
      chunk: elements; `CHUNK` by default.
    """
    chunk = chunk or CHUNK
    count, size = rows.shape
    if count != 1 or size is None or size <= chunk or in_xla():
        return kernel(rows)

    def add_next(start: tf.Tensor, result: Result) -> tuple[tf.Tensor, Result]:
        return start + chunk, add(result, kernel(rows[:, start : start + chunk]))

    result: Result
    _, result = tf.while_loop(
        lambda start, _: start < size,
        add_next,
        (tf.constant(chunk, tf.int64), kernel(rows[:, :chunk])),
        parallel_iterations=1,
    )
    return result
