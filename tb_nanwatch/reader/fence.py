"""Keeps what one tag contains from affecting others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from tb_nanwatch.reader.listing import Entry

_Decoded = TypeVar("_Decoded")
_Otherwise = TypeVar("_Otherwise")

_logger = logging.getLogger("tensorboard.nanwatch")


def fenced(
    entry: Entry, otherwise: _Otherwise, decode: Callable[..., _Decoded], *given: Any
) -> _Decoded | _Otherwise:
    """What `decode` makes of a tag's events; `otherwise` where it raises, which it should not."""
    try:
        return decode(*given)
    except Exception:
        _logger.exception("NaNWatch could not decode %r of run %r", entry.tag, entry.run)
        return otherwise
