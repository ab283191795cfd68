"""Identity of a stream of records: of one watcher in one process."""

from __future__ import annotations

import secrets
import time


def new_session() -> str:
    """A name that no other process or watcher has, and that sorts by when it was made."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(3)}"
