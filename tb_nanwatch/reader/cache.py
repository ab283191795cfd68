"""Values in memory, the least recently used dropped first, under a limit of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """A thread-safe cache that forgets the least recently used values beyond `limit` bytes.

    A value is of one `state` of what it was made from; for any other state it counts as absent. A
    value larger than the limit is not kept.

    Args:
      limit: in bytes.
      size: the bytes of a value.
    """

    def __init__(self, limit: int, size: Callable[[Value], int]):
        self._limit, self._size = limit, size
        self._bytes = 0
        self._values: OrderedDict[Hashable, tuple[Hashable, int, Value]] = OrderedDict()
        self._in_progress: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """The bytes of all values."""
        return self._bytes

    def get(self, key: Hashable, state: Hashable) -> Value | None:
        """The value of `key` as of `state`; None where there is none."""
        with self._lock:
            known = self._values.get(key)
            if known is None or known[0] != state:
                return None
            self._values.move_to_end(key)
            return known[2]

    def put(self, key: Hashable, state: Hashable, value: Value) -> None:
        """Keeps `value` in place of what `key` had before."""
        size = self._size(value)
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

    def get_or_compute(self, key: Hashable, state: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of `key` as of `state`, computed where it is absent.

        One thread computes it while others that want it wait; other keys are not blocked.
        """
        with self._lock:
            lock = self._in_progress.setdefault(key, threading.Lock())
        try:
            with lock:
                value = self.get(key, state)
                if value is None:
                    value = compute()
                    self.put(key, state, value)
                return value
        finally:
            with self._lock:
                self._in_progress.pop(key, None)
