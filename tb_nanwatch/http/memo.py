"""What was worked out of whole runs, made once for each state of their data."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from tb_nanwatch.reader import RunIndex

MOST_ANSWERS = 64
"""Answers that are kept. Each reads all of a run, and the page asks anew for each reload."""


@dataclass
class _Answer:
    """What was said, and of which state of the data."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    indexes: tuple[RunIndex, ...] = ()
    content: dict[str, Any] = field(default_factory=dict)


class Memo:
    """Answers that are made of everything that runs hold. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[Hashable, _Answer] = OrderedDict()

    def of(
        self, key: Hashable, indexes: tuple[RunIndex, ...], make: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """The answer to `key`, made by `make` where the runs have changed since it was last made.

        Args:
          key: names the question, the experiment and the runs.
          indexes: the runs as they are now. The reader makes another index once data changes.
        """
        with self._lock:
            held = self._held.setdefault(key, _Answer())
            self._held.move_to_end(key)
            while len(self._held) > MOST_ANSWERS:
                self._held.popitem(last=False)
        # One thread makes it, and those that want the same wait; other runs' go on.
        with held.lock:
            known = len(held.indexes) == len(indexes) and all(
                one is other for one, other in zip(held.indexes, indexes, strict=True)
            )
            if not known:
                held.content = make()
                held.indexes = indexes
            return held.content
