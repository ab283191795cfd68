"""How long the windows are: short at the start of a run, longer as it grows, within a budget."""

from __future__ import annotations

from typing import Literal

Every = int | Literal["auto"]

DEFAULT_MAX_BYTES = 64 * 2**20
"""TensorBoard holds in memory what it reads: 3 to 4 times as much in its Python mode."""

AUTO_WINDOW = 16
"""Steps in a window of "auto" once a run is under way; its first windows are 1, 2, 4, 8."""

AUTO_RECORDS = 128
"""After so many records "auto" doubles its window: a million steps are about 1,200 records."""

AUTO_SAMPLED = 4
"""Once "auto" is at its full window, histograms are taken in one of so many windows: on a CPU that
step takes about as long as two. Elsewhere, in each."""

CHANGE_RECORDS = 1024
"""Windows cut short by a change of what is non-finite; later changes wait for the window's end."""

_WIDENING = 3
"""With the budget half used, a window is this many times (steps so far / records that still fit):
the steps that fit then grow with the cube of the records, and no run is too long."""


class Schedule:
    """Decides where windows end.

    Args:
      every: steps in a window, or "auto", which begins at 1 and widens as the run grows.
      max_bytes: of all the run's records. Once they fill half of it, windows widen.
    """

    def __init__(self, every: Every = "auto", max_bytes: int = DEFAULT_MAX_BYTES):
        if every != "auto" and (not isinstance(every, int) or isinstance(every, bool) or every < 1):
            raise ValueError(
                f'Expected every="auto" or a number of steps from 1 on, got {every!r}.'
            )
        if not isinstance(max_bytes, int) or max_bytes < 1:
            raise ValueError(f"Expected max_bytes, a number from 1 on, got {max_bytes!r}.")
        self._every = every
        self._max_bytes = max_bytes
        self._records = 0
        self._changes = 0
        self._steps = 0
        self._bytes = 0
        self._largest_record = 1

    def window(self) -> int:
        """Steps in the window that begins now."""
        if self._every == "auto":
            ramp = 1 << min(self._records, AUTO_WINDOW.bit_length())
            width = min(AUTO_WINDOW, ramp) << (self._records // AUTO_RECORDS)
        else:
            width = self._every
        if self._bytes < self._max_bytes / 2:
            return width
        still_fit = max(1.0, (self._max_bytes - self._bytes) / self._largest_record)
        return max(width, int(_WIDENING * self._steps / still_fit))

    def samples(self) -> bool:
        """Whether histograms are to be taken in the window that begins now."""
        ramp = AUTO_WINDOW.bit_length()
        return self._every != "auto" or self._records < ramp or self._records % AUTO_SAMPLED == 0

    def written(self, size: int, steps: int, *, by_change: bool) -> None:
        """Takes in a record of `size` bytes over `steps`, and whether a change cut it short."""
        self._bytes += size
        self._steps += steps
        self._largest_record = max(self._largest_record, size)
        if by_change:
            self._changes += 1
        else:
            self._records += 1

    def _fit(self, records: int) -> bool:
        return self._bytes + records * self._largest_record <= self._max_bytes

    def takes_change(self) -> bool:
        """Whether a change of what is non-finite may still cut a window short."""
        if self._changes == 0:
            return True  # The first one is what the whole record is for.
        return self._changes < CHANGE_RECORDS and self._bytes < self._max_bytes / 2

    def takes_record(self, *, last: bool = False) -> bool:
        """Whether a record still fits; room is kept for the `last` one, when the run ends."""
        return self._records + self._changes == 0 or self._fit(1 if last else 2)
