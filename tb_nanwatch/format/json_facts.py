"""Facts that travel as JSON with a version: read whatever the bytes are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tb_nanwatch.format import (
    LARGEST_INTEGER,
    LARGEST_VERSION,
    VERSION,
    FormatError,
    VersionError,
)

_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What JSON raises that is nested too deeply, or of other types or sizes than expected."""


def pack_facts(content: dict[str, Any]) -> bytes:
    """The facts as bytes, the same for the same facts."""
    return json.dumps({"version": VERSION, **content}, sort_keys=True).encode()


def unpack_facts(content: bytes, what: str) -> Any:
    """The facts, unchecked; raises FormatError for other bytes, VersionError for a newer version.

    Args:
      content: bytes that `pack_facts` made.
      what: what they are, for the error.
    """
    try:
        found = json.loads(content)
        version = integer(found["version"])
        if not 0 <= version < LARGEST_VERSION:
            raise ValueError(version)
    except _MALFORMED as error:
        raise FormatError(f"Expected {what}, as JSON with a version.") from error
    if version != VERSION:
        raise VersionError(what, version, VERSION)
    return found


@contextmanager
def expecting(what: str) -> Iterator[None]:
    """Within it, whatever is not as it should be is a FormatError."""
    try:
        yield
    except _MALFORMED as error:
        raise FormatError(f"Expected {what}, got other JSON.") from error


def integer(value: Any) -> int:
    """An integer in the range that a float64 has exactly; ValueError for any other."""
    number = int(value)
    if abs(number) > LARGEST_INTEGER:
        raise ValueError("Expected a number of steps, rows or elements, got a larger one.")
    return number
