"""What a step keeps on the device to count itself, and to know when the host looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.cond import run_if
from tb_nanwatch.adapters.tensorflow.graph.host_callback import HostSignal
from tb_nanwatch.adapters.tensorflow.graph.variables import fetch, store, variable
from tb_nanwatch.training.host_schedule import HostStep
from tb_nanwatch.training.step_counters import StepCounters

_NO_SCALE = np.finfo(np.float64).max
"""Not NaN, so that `tf.debugging.enable_check_numerics` finds nothing of ours."""

_HANDED_OVER = StepCounters._fields.index("handed_over")
_SKIP_STREAK = StepCounters._fields.index("skip_streak")

NEXT_HOST_STEP = len(StepCounters._fields)
TAKES_HISTOGRAMS = NEXT_HOST_STEP + 1
SAMPLED_STEP = StepCounters._fields.index("sampled_step")


class LossScale(NamedTuple):
    """What a loss-scaling optimizer does, in the step.

    Attributes:
      scale: float32 scalar: what the recorded gradients are multiplied by.
      dynamic: whether the optimizer skips a step with a non-finite gradient.
    """

    scale: tf.Tensor
    dynamic: bool


class DeviceStepState:
    """Counts the steps on the device, and tells a step whether the host looks at it.

    Each read by the host takes 30 microseconds, so what it always reads is in one variable.

    Args:
      first_step: the step that comes first. The host looks at it, and takes histograms.

    Attributes:
      vector: int64 [10], the members of `StepCounters`; the step that the host looks at next,
        whatever happens; and 1 where histograms are taken at that step, 0 otherwise.
      total_nonfinite_steps: int64 scalar, steps with a non-finite tensor so far.
      loss_scale: float64 scalar, the smallest of the window; _NO_SCALE without one.
      has_loss_scale: whether any step had one.
    """

    def __init__(self, first_step: int = 0):
        self.vector = variable([first_step, 0, 0, -1, 0, 0, 0, 0, first_step, 1], tf.int64)
        self.total_nonfinite_steps = variable(0, tf.int64)
        self.loss_scale = variable(_NO_SCALE, tf.float64)
        self.has_loss_scale = False

    @property
    def current_step(self) -> tf.Tensor:
        """In the step, before it is counted: its number, an int64 scalar."""
        return self.vector.read_value()[0]

    def counters(self) -> StepCounters:
        """On the host: what happened since the last `begin_window`."""
        return StepCounters(*fetch(self.vector)[:NEXT_HOST_STEP].tolist())

    def add(self, **changes: tf.Tensor | int) -> None:
        """In the step: adds to members of `StepCounters`, by name; bools count as 0 and 1."""
        zero = tf.zeros([], tf.int64)
        vector = [tf.cast(changes.pop(name, zero), tf.int64) for name in StepCounters._fields]
        assert not changes, f"no members of StepCounters: {', '.join(changes)}"
        self.vector.assign_add(tf.stack([*vector, zero, zero]))

    def count_skip(
        self, skipped: tf.Tensor, deferred: tf.Tensor, host_signal: HostSignal | None
    ) -> None:
        """In the step: counts it if it was skipped; does nothing where it is `deferred`.

        Signals the host where it was skipped, and where it ends a streak of skipped steps.
        """
        none, one = tf.zeros([], tf.int64), tf.ones([], tf.int64)
        streak = self.vector[_SKIP_STREAK]
        ended = tf.where(deferred, none, -streak)
        self.add(skipped_steps=skipped, skip_streak=tf.where(skipped, one, ended))
        if host_signal is not None:
            run_if(skipped | (streak > 0), host_signal.request)

    def begin_window(self, counters: StepCounters, next_step: HostStep) -> None:
        """On the host: begins the window after that of `counters`."""
        state = StepCounters(counters.next_step, 0, 0, -1, 0, 0, counters.skip_streak, 0)
        store(self.vector, np.array([*state, *next_step], np.int64))

    def take_loss_scale(self) -> float:
        """On the host: the smallest since it was last taken; NaN without one."""
        if not self.has_loss_scale:
            return np.nan
        scale = float(fetch(self.loss_scale))
        if scale == _NO_SCALE:
            return np.nan
        store(self.loss_scale, np.array(_NO_SCALE))
        return scale

    def forget_handed_over(self) -> None:
        """On the host: where it has looked at what the step has left to it."""
        self._set(slice(_HANDED_OVER, _HANDED_OVER + 1), [0])

    def schedule_host_step(self, next_step: HostStep) -> None:
        """On the host: sets the step that it looks at next."""
        self._set(slice(NEXT_HOST_STEP, None), next_step)

    def _set(self, members: slice, values: Sequence[int]) -> None:
        vector = fetch(self.vector).copy()
        vector[members] = values
        store(self.vector, vector)
