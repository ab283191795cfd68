"""Blocks in memory, the least recently used dropped first, under a byte limit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

CACHE_BYTES = 256 * 2**20
"""Limit of what is kept of the blocks of all runs together. A run writes 64 MB by default."""

Value = TypeVar("Value")


class ByteLimitedCache(Generic[Value]):
    """A thread-safe mapping that forgets the least recently used beyond `limit` bytes.

    A value larger than the limit is not kept at all. A value stored with another `state` than the
    one asked for counts as absent.
    """

    def __init__(self, limit: int = CACHE_BYTES):
        self._limit = limit
        self._bytes = 0
        self._values: OrderedDict[Hashable, tuple[Hashable, int, Value]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Bytes held now."""
        return self._bytes

    def get(self, key: Hashable, state: Hashable) -> Value | None:
        """The value of `key` as of `state`; None where there is none."""
        with self._lock:
            held = self._values.get(key)
            if held is None or held[0] != state:
                return None
            self._values.move_to_end(key)
            return held[2]

    def put(self, key: Hashable, state: Hashable, value: Value, size: int) -> None:
        """Keeps `value`, of `size` bytes, in the place of what `key` had before."""
        with self._lock:
            if key in self._values:
                self._bytes -= self._values.pop(key)[1]
            if size > self._limit:
                return
            self._values[key] = state, size, value
            self._bytes += size
            while self._bytes > self._limit:
                _, (_, dropped, _) = self._values.popitem(last=False)
                self._bytes -= dropped
