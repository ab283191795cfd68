"""A progress bar on a terminal; nothing anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

PATIENCE_SECONDS = 0.5
"""Work that ends sooner shows no line."""

_BETWEEN_SECONDS = 0.05
_CELLS = 24


class Progress:
    """Shows progress on one line, and removes it at the end.

    Args:
      out: where to; nothing is written unless it is a terminal.
      clock: returns seconds.
    """

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic):
        self._out = out if out.isatty() else None
        self._clock = clock
        self._began = clock()
        self._shown = float("-inf")
        self._length = 0
        self._what = ""
        self._total = 0
        self._done = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()

    def start(self, what: str, total: int = 0) -> None:
        """Begins another part of the work, of `total` units; 0 where that is not known."""
        self._what, self._total, self._done = what, total, 0
        self._show()

    def advance(self, units: int) -> None:
        """That many more units are done."""
        self._done += units
        self._show()

    def clear(self) -> None:
        """Removes the line, so that something else can be printed."""
        if self._out is not None and self._length:
            self._out.write("\r" + " " * self._length + "\r")
            self._out.flush()
            self._length = 0

    def _show(self) -> None:
        now = self._clock()
        if (
            self._out is None
            or now - self._began < PATIENCE_SECONDS
            or now - self._shown < _BETWEEN_SECONDS
        ):
            return
        self._shown = now
        line = self._what
        if self._total:
            share = min(1.0, self._done / self._total)
            full = int(share * _CELLS)
            line = f"{line} [{'#' * full}{'.' * (_CELLS - full)}] {share:4.0%}"
        self._out.write("\r" + line.ljust(self._length))
        self._out.flush()
        self._length = len(line)
