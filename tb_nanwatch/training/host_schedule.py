"""Which step the host next looks at, and what it does there.

A step calls the host only where something happened: at the step that is scheduled here, or where a
tensor became non-finite. All other steps cost the host nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from tb_nanwatch.training.schedule import Schedule
from tb_nanwatch.training.step_counters import StepCounters


class HostStep(NamedTuple):
    """The step that the host next looks at, and whether histograms are taken there."""

    step: int
    takes_histograms: bool


class HostSchedule:
    """The open window of a recording.

    Args:
      schedule: how long windows are.

    Attributes:
      first_step: of the open window.
      next: the step that the host next looks at.
    """

    def __init__(self, schedule: Schedule):
        self._schedule = schedule
        self._last_step = 0
        self.first_step = 0
        self.next = HostStep(0, False)

    def begin_window(self, first_step: int) -> HostStep:
        """Opens the window that begins with this step."""
        self.first_step = first_step
        self._last_step = first_step + self._schedule.window() - 1
        self.next = HostStep(self._last_step, self._schedule.samples())
        return self.next

    def begin_run(self, first_step: int) -> HostStep:
        """Opens the first window. Its first step has histograms, so that a short run has some."""
        self.begin_window(first_step)
        self.next = HostStep(first_step, True)
        return self.next

    def is_change_due(self, counters: StepCounters) -> bool:
        """Whether a change of the set of non-finite tensors is written now."""
        return bool(counters.flush) and self._schedule.takes_change()

    def is_record_due(self, counters: StepCounters) -> bool:
        """Whether the window is full and its record fits the budget."""
        return counters.next_step > self._last_step and self._schedule.takes_record()

    def reschedule(self, counters: StepCounters) -> HostStep | None:
        """After a step without a record: the next step to look at, if that changes."""
        is_full = counters.next_step > self._last_step
        if is_full or counters.next_step <= self.next.step:
            return None
        self.next = HostStep(self._last_step, self._schedule.samples())
        return self.next

    def end_window(self, counters: StepCounters, record_bytes: int, *, by_change: bool) -> None:
        """Closes the window with a record of so many bytes.

        Args:
          counters: as the record took them.
          record_bytes: its size at level 0.
          by_change: whether a change of the set of non-finite tensors ended the window.
        """
        steps = counters.next_step - self.first_step
        self._schedule.written(record_bytes, steps, by_change=by_change)
