"""A batch that the host has taken, as an iterator for a train function of Keras 2."""

from __future__ import annotations

from typing import Any, NamedTuple


class OneBatch(NamedTuple):
    """What `next` returns as often as it is called.

    A tuple, because a `tf.function` takes the tensors in one as its arguments.
    """

    batch: Any

    def __next__(self) -> Any:
        return self.batch
