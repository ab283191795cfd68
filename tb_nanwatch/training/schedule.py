"""How long the windows are: short at the start of a run, longer as it grows, within a budget."""

from __future__ import annotations

from typing import Literal

from tb_nanwatch.training.budget import DEFAULT_MAX_BYTES, Budget, whole_number

Every = int | Literal["auto"]

AUTO_WINDOW = 16
"""Steps in a window of "auto" once a run is under way; its first windows are 1, 2, 4, 8."""

AUTO_RECORDS = 128
"""After so many records "auto" doubles its window: a million steps are about 1,200 records."""

AUTO_SAMPLED = 4
"""Once "auto" is at its full window, histograms are taken in one of so many windows: on a CPU that
step takes about as long as two. Elsewhere, in each."""

CHANGE_RECORDS = 1024
"""Windows cut short by a change of what is non-finite; later changes wait for the window's end."""

FREQUENT = 32
"""Histograms at every so many steps, or more often, are part of the step's graph: to call the host
for them takes 4 ms longer for 20 tensors, and spares the first step 0.3 s."""

_WIDENING = 3
"""With the budget half used, a window is this many times (steps so far / records that still fit):
the steps that fit then grow with the cube of the records, and no run is too long."""


class Schedule:
    """Decides where windows end.

    Args:
      every: steps in a window, or "auto", which begins at 1 and widens as the run grows.
      max_bytes: of all that is written. Once it is half used, windows widen.

    Attributes:
      budget: the bytes; who writes spends them.
    """

    def __init__(self, every: Every = "auto", max_bytes: int = DEFAULT_MAX_BYTES):
        is_auto = isinstance(every, str) and every == "auto"
        if not is_auto and whole_number(every) < 1:
            raise ValueError(
                f'Expected every="auto" or a number of steps from 1 on, got {every!r}.'
            )
        self.budget = Budget(max_bytes)
        self._every: Every = "auto" if is_auto else whole_number(every)
        self._records = 0
        self._changes = 0
        self._steps = 0
        self._largest_record = 1

    @property
    def is_frequent(self) -> bool:
        """Whether histograms are taken every few steps."""
        return self._every != "auto" and self._every <= FREQUENT

    def window(self) -> int:
        """Steps in the window that begins now."""
        if self._every == "auto":
            ramp = 1 << min(self._records, AUTO_WINDOW.bit_length())
            width = min(AUTO_WINDOW, ramp) << (self._records // AUTO_RECORDS)
        else:
            width = self._every
        if not self.budget.is_half_used:
            return width
        still_fit = max(1.0, self.budget.left / self._largest_record)
        return max(width, int(_WIDENING * self._steps / still_fit))

    def samples(self) -> bool:
        """Whether histograms are to be taken in the window that begins now."""
        ramp = AUTO_WINDOW.bit_length()
        return self._every != "auto" or self._records < ramp or self._records % AUTO_SAMPLED == 0

    def written(self, size: int, steps: int, *, by_change: bool) -> None:
        """Takes in a record over `steps`, of `size` bytes.

        Args:
          by_change: whether a change of what is non-finite cut it short.
        """
        self._steps += steps
        self._largest_record = max(self._largest_record, size)
        if by_change:
            self._changes += 1
        else:
            self._records += 1

    def takes_change(self) -> bool:
        """Whether a change of what is non-finite may still cut a window short."""
        if self._changes == 0:
            return True  # The first one is what the whole record is for.
        return self._changes < CHANGE_RECORDS and not self.budget.is_half_used

    def takes_record(self) -> bool:
        """Whether another record fits, besides the one that ends the run."""
        return self._records + self._changes == 0 or 2 * self._largest_record <= self.budget.left
