"""Identity of a stream of records: of one watcher in one process; and the clock that it goes by."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable


def new_session(now: float | None = None) -> str:
    """A name that no other process or watcher has, and that sorts by when it was made.

    Args:
      now: seconds since the epoch; by default the system's clock.
    """
    milliseconds = int(1000 * (time.time() if now is None else now))
    return f"{milliseconds:012x}{secrets.token_hex(3)}"


class ForwardClock:
    """The system's time, but where it is put back: then it goes on from where it was.

    Sessions of one directory are sorted by it, and what was written at the same time is told apart
    by it; TensorBoard reads a directory's files in the order of the times in their names.

    Args:
      not_before: seconds since the epoch, the last time that was in use in the directory.
      system: the system's clock.
    """

    def __init__(self, not_before: float = 0.0, system: Callable[[], float] = time.time):
        self._system = system
        self._last = not_before
        self._ahead = 0.0

    def __call__(self) -> float:
        """Seconds since the epoch, never less than before."""
        now = self._system() + self._ahead
        if now < self._last:
            self._ahead += self._last - now
            now = self._last
        self._last = now
        return now
