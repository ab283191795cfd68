"""How many bytes a recording may still write."""

from __future__ import annotations

from typing import SupportsIndex

DEFAULT_MAX_BYTES = 64 * 2**20
"""TensorBoard keeps in memory what it reads: 3 to 4 times as much in its Python mode."""


class Budget:
    """Bytes of all the event files of one recording.

    Args:
      max_bytes: how many there may be; ValueError below 1.
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES):
        count = whole_number(max_bytes)
        if count < 1:
            raise ValueError(f"Expected max_bytes, a whole number from 1 on, got {max_bytes!r}.")
        self.max_bytes = count
        self.used = 0

    @property
    def left(self) -> int:
        """Bytes that may still be written."""
        return self.max_bytes - self.used

    @property
    def is_half_used(self) -> bool:
        return self.used >= self.max_bytes / 2

    def spend(self, size: int) -> None:
        """Takes note of `size` bytes that are, or may be, in a file."""
        self.used += size


def whole_number(value: object) -> int:
    """The value, an int or one of NumPy's integers, as an int; -1 for anything else, bool too."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return -1
    try:
        return value.__index__()
    except TypeError:  # an array of several
        return -1
