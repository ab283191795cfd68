"""When the steps of a run were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]

MOST_TIMES = 512
"""Between them times are taken to go by evenly: a page of so many pixels shows no more."""

_PAUSE = 10.0
"""A record that took this many times as long as most began after a pause."""


class Written(Protocol):
    """Records, and when they were written."""

    @property
    def first(self) -> Steps:
        """First step of each record, int64 [records], ascending."""

    @property
    def last(self) -> Steps:
        """Last step, likewise."""

    @property
    def wall_times(self) -> Matrix:
        """Of the events, seconds since the epoch, float64 [records]."""


@dataclass(frozen=True)
class Times:
    """Wall times of a run's steps.

    Attributes:
      steps: int64 [n], n >= 2, strictly ascending, the first being the run's first step.
      seconds: float64 [n], since the epoch, strictly ascending: when each of `steps` began, which
        is when the one before it was recorded.
    """

    steps: Steps
    seconds: Matrix


def times(records: Sequence[Written]) -> Times | None:
    """From the wall times of a run's records; None where they do not tell.

    A record is written once its last step is done. When the first one began is not recorded: its
    steps are taken to be as fast as the median of the others. Of several workers the last to be
    done with a step counts. After a pause, such as a night between two sessions, all of the
    pause is given to the first step.
    """
    if not records:
        return None
    first = min(int(each.first[0]) for each in records)
    ends = np.concatenate([each.last for each in records]) + 1
    walls = np.concatenate([each.wall_times for each in records])
    usable = np.isfinite(walls)
    order = np.lexsort((walls[usable], ends[usable]))
    steps, seconds = _ascending(ends[usable][order], walls[usable][order])
    if len(steps) < 2:
        return None
    rates = np.diff(seconds) / np.diff(steps)
    rate = float(np.median(rates))
    paused = np.flatnonzero(rates > _PAUSE * rate)
    steps, seconds = _ascending(
        np.concatenate([[first], steps, steps[paused] + 1]),
        np.concatenate(
            [
                [seconds[0] - rate * (steps[0] - first)],
                seconds,
                seconds[paused + 1] - rate * (np.diff(steps)[paused] - 1),
            ]
        ),
    )
    if len(steps) > MOST_TIMES:
        kept = _most_telling(steps, seconds)
        steps, seconds = steps[kept], seconds[kept]
    return Times(steps, seconds)


def _most_telling(steps: Steps, seconds: Matrix) -> Steps:
    """Indices of `MOST_TIMES` at most: half of them evenly, and both ends of the slowest steps."""
    evenly = np.linspace(0, len(steps) - 1, MOST_TIMES // 2)
    slow = np.argsort(np.diff(seconds) / np.diff(steps), kind="stable")[-MOST_TIMES // 4 :]
    chosen: Steps = np.unique(np.concatenate([np.rint(evenly), slow, slow + 1]).astype(np.int64))
    return chosen


def _ascending(steps: Steps, seconds: Matrix) -> tuple[Steps, Matrix]:
    """In the order of steps, the last of each; those left out that are no later than one before."""
    order = np.lexsort((seconds, steps))
    steps, seconds = steps[order], seconds[order]
    last = np.append(steps[1:] != steps[:-1], True)
    steps, seconds = steps[last], seconds[last]
    later = np.append(True, seconds[1:] > np.maximum.accumulate(seconds)[:-1])
    return steps[later], seconds[later]
