"""What the host reads of the steps since the last record."""

from __future__ import annotations

from typing import NamedTuple


class StepCounters(NamedTuple):
    """Counters that a step updates on the device, all integers.

    Attributes:
      next_step: the step that comes next.
      flush: steps since the last record that want it written at once.
      nonfinite_steps: steps since the last record with a non-finite tensor that loss scaling did
        not handle.
      sampled_step: the last step since then at which histograms were taken; -1 for none.
      scale_skipped_steps: steps since the last record that a loss-scaling optimizer skipped.
      skipped_steps: steps since the last record that `on_nonfinite="skip"` skipped.
      skip_streak: consecutive steps skipped by `on_nonfinite="skip"` until now.
      handed_over: steps that XLA compiles and that have left tensors for the host to look at.
    """

    next_step: int
    flush: int
    nonfinite_steps: int
    sampled_step: int
    scale_skipped_steps: int
    skipped_steps: int
    skip_streak: int
    handed_over: int


def largest(counters: list[StepCounters]) -> StepCounters:
    """The counters of several replicas as one: the largest of each."""
    if len(counters) == 1:
        return counters[0]
    return StepCounters(*map(max, zip(*counters, strict=True)))
