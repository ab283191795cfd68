"""A window's statistics of many tensors, kept in device variables and read once a window.

A healthy step costs one reduction a tensor and a few operations on small vectors. Only where one
of the sums is not finite are exact counts taken, in that same step; only at the window's last step,
and where the set of non-finite tensors changes, are the exponent histograms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.cond import run_if
from tb_nanwatch.adapters.tensorflow.graph.context import in_xla, unseen
from tb_nanwatch.adapters.tensorflow.graph.host_callback import Bell
from tb_nanwatch.adapters.tensorflow.graph.twins import twin
from tb_nanwatch.adapters.tensorflow.graph.variables import fetch, store, variable
from tb_nanwatch.adapters.tensorflow.statistics import kernels
from tb_nanwatch.adapters.tensorflow.statistics.samples import (
    Samples,
    add_samples,
    decode_samples,
    no_samples,
    take_samples,
)
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.histogram import Histograms
from tb_nanwatch.stats.record import Matrix, empty_columns

FLUSHED_NONFINITE_STEPS = 4
"""So many steps with a non-finite tensor are each flushed, besides every change of their set."""


class Signal(NamedTuple):
    """What the host asks after a step that has rung.

    Attributes:
      next_step: the step that comes next.
      flush: a step since the last drain wants its record written at once.
      trips: steps since the last drain that were non-finite and not handled by loss scaling.
      sampled_step: the last step since then at which histograms were taken, -1 for none.
      refused_steps: steps since the last drain that a loss-scaling optimizer refused.
      skipped_steps: steps since the last drain that `on_nonfinite="skip"` withheld.
      skip_streak: steps withheld one after another until now.
    """

    next_step: int
    flush: int
    trips: int
    sampled_step: int
    refused_steps: int
    skipped_steps: int
    skip_streak: int


_ZERO = np.float64(0)
_NO_STEP = -1.0
_NO_SCALE = np.finfo(np.float64).max
"""Not NaN, so that `tf.debugging.enable_check_numerics` finds nothing of ours."""

_SAMPLED_STEP = Signal._fields.index("sampled_step")
_SKIP_STREAK = Signal._fields.index("skip_streak")
_ATTEND_AT = len(Signal._fields)
_SAMPLES = _ATTEND_AT + 1


class Clock:
    """Counts the steps on the device and holds what accumulators tell the host.

    Each operation of the host's takes 30 microseconds, so what it always asks for is in one place.

    Args:
      first_step: the step that comes first, which is attended to and sampled.

    Attributes:
      state: int64 [9], the members of `Signal`; the step that the host attends to next, whatever
        happens; and 1 where histograms are taken at that one, 0 otherwise.
      nonfinite_steps: int64 scalar, steps with a non-finite tensor so far.
      loss_scale: float64 scalar, the smallest of the window; _NO_SCALE without one.
      has_loss_scale: whether any step had one.
    """

    def __init__(self, first_step: int = 0):
        self.state = variable([first_step, 0, 0, -1, 0, 0, 0, first_step, 1], tf.int64)
        self.nonfinite_steps = variable(0, tf.int64)
        self.loss_scale = variable(_NO_SCALE, tf.float64)
        self.has_loss_scale = False

    @property
    def current_step(self) -> tf.Tensor:
        """In the step, before it is counted: its number, an int64 scalar."""
        return self.state.read_value()[0]

    def signal(self) -> Signal:
        """On the host: what happened since the last `restart`."""
        return Signal(*fetch(self.state)[:_ATTEND_AT].tolist())

    def add(self, **changes: tf.Tensor | int) -> None:
        """In the step: adds to members of `Signal`, by their names; bools count as 0 and 1."""
        zero = tf.zeros([], tf.int64)
        vector = [tf.cast(changes.pop(name, zero), tf.int64) for name in Signal._fields]
        assert not changes, f"no members of Signal: {', '.join(changes)}"
        self.state.assign_add(tf.stack([*vector, zero, zero]))

    def count_skip(self, skipped: tf.Tensor, held: tf.Tensor, bell: Bell | None) -> None:
        """In the step: takes in whether it was withheld; nothing where it is `held`.

        Rings where it was, and where it is the first one again that was not.
        """
        none, one = tf.zeros([], tf.int64), tf.ones([], tf.int64)
        streak = self.state[_SKIP_STREAK]
        ended = tf.where(held, none, -streak)
        self.add(skipped_steps=skipped, skip_streak=tf.where(skipped, one, ended))
        if bell is not None:
            run_if(skipped | (streak > 0), bell.ring)

    def restart(self, signal: Signal, attend_at: int, samples: bool) -> None:
        """On the host: begins a window after that of `signal`; the rest as in `attend`."""
        state = Signal(signal.next_step, 0, 0, -1, 0, 0, signal.skip_streak)
        store(self.state, np.array([*state, attend_at, samples], np.int64))

    def take_loss_scale(self) -> float:
        """On the host: the smallest since it was last taken; NaN without one."""
        if not self.has_loss_scale:
            return np.nan
        scale = float(fetch(self.loss_scale))
        if scale == _NO_SCALE:
            return np.nan
        store(self.loss_scale, np.array(_NO_SCALE))
        return scale

    def attend(self, step: int, samples: bool) -> None:
        """On the host: has that step ring, and histograms taken at it."""
        state = fetch(self.state).copy()
        state[_ATTEND_AT:] = step, samples
        store(self.state, state)


class LossScale(NamedTuple):
    """Of a loss-scaling optimizer, in the step.

    Attributes:
      scale: float32 scalar: what the recorded gradients are multiplied by.
      dynamic: whether the optimizer refuses a step with a non-finite gradient.
    """

    scale: tf.Tensor
    dynamic: bool


class Accumulator:
    """Accumulates the statistics of a fixed list of tensors.

    Args:
      clock: counts the steps; may be shared.
      dtypes: of the tensors, in order.
      scaled: bool [tensors], which of them a loss scale multiplies.
      handled: bool [tensors], of which a NaN or infinity is handled when the optimizer refuses
        the step.
    """

    def __init__(
        self,
        clock: Clock,
        dtypes: Sequence[tf.DType],
        scaled: Sequence[bool],
        handled: Sequence[bool],
    ):
        self._clock = clock
        self._formats = [kernels.dtype_format(dtype) for dtype in dtypes]
        self._scaled = np.array(scaled, bool)
        self._handled = np.array(handled, bool)
        tensors = len(self._formats)

        # Squares of each, elements of each, steps: what every step adds to, in one operation.
        self._totals = variable(np.zeros(2 * tensors + 1), tf.float64)
        self._largest_norm = variable(np.full(tensors, -1.0), tf.float64)
        self._nonfinite = variable(np.zeros((tensors, 5)), tf.float64)  # nan, inf, -inf, 2 steps
        self._first_last = variable(np.full((tensors, 2), _NO_STEP), tf.float64)
        self._bad = variable(np.zeros(tensors, bool), tf.bool)
        self._any_bad = variable(False, tf.bool)
        self._sampled_steps = variable(0, tf.int64)
        empty = no_samples(self._formats)
        self._samples = Samples(
            variable(empty.histograms, tf.int64),
            variable(empty.keys, tf.int64),
            variable(empty.totals, tf.float64),
        )
        # With what a window begins with, which each drain puts back.
        self._sums = _with_values([self._totals, self._largest_norm])
        self._counted = _with_values([self._nonfinite, self._first_last])
        self._sampled = _with_values([self._sampled_steps, *self._samples])

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    @unseen()
    def add(
        self,
        tensors: Sequence[tf.Tensor],
        loss_scale: LossScale | None = None,
        *,
        new_step: bool = True,
        held: tf.Tensor | None = None,
        bell: Bell | None = None,
    ) -> None:
        """In the step: takes the step's tensors in and moves the clock on.

        Runs eagerly, in a `tf.function` and under XLA. The tensors must be of the dtypes and
        number that the accumulator was made for. With `new_step=False` they belong to the step
        that the clock counted last. A step that is `held`, a bool scalar, leaves no trace: it will
        be run again. The `bell` rings for a step that is not finite, the first one that is finite
        again, and the one that the host attends to.
        """
        clock = self._clock
        tensors = [twin(tensor) for tensor in tensors]
        state = clock.state.read_value()
        step = state[0] if new_step else state[0] - 1
        is_attended = tf.equal(step, state[_ATTEND_AT])
        squares = kernels.sums_of_squares(tensors)
        finite = tf.math.is_finite(squares)
        healthy = tf.reduce_all(finite)
        factor = self._unscale_factors(loss_scale)
        known = tf.where(finite, squares if factor is None else squares * factor**2, _ZERO)
        elements = kernels.numbers_of_elements(tensors)
        totals = tf.concat([known, elements, np.ones(1)], axis=0)
        counts = tf.constant(True) if held is None else ~held
        if held is not None:
            totals *= tf.cast(counts, tf.float64)
            known = totals[: len(tensors)]
        self._totals.assign_add(totals)
        self._largest_norm.assign(tf.maximum(self._largest_norm, tf.sqrt(known)))
        trusted = healthy & ~self._any_bad

        def examine() -> None:
            # Here and not in either branch, so that both share what is copied for it.
            rows = kernels.rows_alike([kernels.flatten(tensor) for tensor in tensors])
            flush = tf.cond(
                trusted,
                lambda: tf.constant(False),
                lambda: self._count(rows, step, finite, factor, loss_scale),
            )
            due = (is_attended & (state[_SAMPLES] > 0)) | flush
            tf.cond(due, lambda: self._sample(rows, step, factor, healthy), lambda: False)
            if bell is not None:
                bell.ring()

        run_if((~trusted | is_attended) & counts, examine)
        if loss_scale is not None:
            clock.has_loss_scale = True
            scale = tf.cast(loss_scale.scale, tf.float64)
            lowest = clock.loss_scale.read_value()
            clock.loss_scale.assign(tf.where(counts, tf.minimum(lowest, scale), lowest))
        if new_step:
            clock.add(next_step=counts)

    def _unscale_factors(self, loss_scale: LossScale | None) -> tf.Tensor | None:
        """float64 [tensors]: by what to multiply each to undo the loss scale."""
        if loss_scale is None:
            return None
        return tf.where(self._scaled, 1 / tf.cast(loss_scale.scale, tf.float64), 1.0)

    def _count(
        self,
        rows: Sequence[kernels.Rows],
        step: tf.Tensor,
        finite: tf.Tensor,
        factor: tf.Tensor | None,
        loss_scale: LossScale | None,
    ) -> tf.Tensor:
        """Takes exact counts of the step in; bool scalar, whether its record is to be flushed.

        Also the squares of the tensors that are not `finite` (bool [tensors]), of which there were
        none yet.
        """
        counts = kernels.count_nonfinite(rows)
        norms = counts[:, 3] if factor is None else counts[:, 3] * factor
        unknown = tf.where(finite, tf.zeros_like(norms), norms)
        self._totals.assign_add(tf.pad(unknown**2, [[0, len(self._formats) + 1]]))
        self._largest_norm.assign(tf.maximum(self._largest_norm, unknown))

        bad = tf.reduce_any(counts[:, :3] > 0, axis=1)
        refused = tf.constant(False)
        if loss_scale is not None and loss_scale.dynamic:
            refused = tf.reduce_any(bad & self._scaled)
        handled = bad & refused & self._handled
        trouble = bad & ~handled
        any_trouble = tf.reduce_any(trouble)

        steps = tf.cast(tf.stack([trouble, handled], axis=1), tf.float64)
        self._nonfinite.assign_add(tf.concat([counts[:, :3], steps], axis=1))
        now = tf.cast(step, tf.float64)
        first, last = self._first_last[:, 0], self._first_last[:, 1]
        first = tf.where(trouble & (first < 0), now, first)
        self._first_last.assign(tf.stack([first, tf.where(trouble, now, last)], axis=1))

        changed = tf.reduce_any(tf.not_equal(trouble, self._bad))
        self._bad.assign(trouble)
        self._any_bad.assign(any_trouble)
        early = any_trouble & (self._clock.nonfinite_steps < FLUSHED_NONFINITE_STEPS)
        self._clock.nonfinite_steps.assign_add(tf.cast(any_trouble, tf.int64))
        flush = changed | early
        self._clock.add(flush=flush, trips=any_trouble & ~refused, refused_steps=refused)
        return flush

    def _sample(
        self,
        rows: Sequence[kernels.Rows],
        step: tf.Tensor,
        factor: tf.Tensor | None,
        healthy: tf.Tensor,
    ) -> tf.Tensor:
        """Takes the exponent histograms and what comes with them; True."""
        if factor is not None:
            rows = [each.scaled(factor, self._scaled) for each in rows]
        if in_xla():
            # The masks are fused into the passes there, and compiling both takes twice as long.
            new = take_samples(rows, masked=True)
        else:
            new = tf.cond(
                healthy,
                lambda: take_samples(rows, masked=False),
                lambda: take_samples(rows, masked=True),
            )
        old = Samples(*(each.read_value() for each in self._samples))
        self._assign_samples(add_samples(old, new))
        self._sampled_steps.assign_add(1)
        self._clock.add(sampled_step=step - self._clock.state[_SAMPLED_STEP])
        return tf.constant(True)

    def drain(self, signal: Signal) -> tuple[Matrix, Histograms | None]:
        """On the host: what was accumulated since the last drain, and starts anew.

        Args:
          signal: of the window: where it knows of no trouble and of no sample there is none to ask
            for.

        Returns:
          Columns float64 [tensors, len(COLUMNS)], and the histograms of the sampled steps, None
          where there is none.
        """
        totals, largest = _take(self._sums)
        tensors = len(self._formats)
        columns = empty_columns(tensors)
        columns[:, COLUMN["steps"]] = totals[-1]
        columns[:, COLUMN["sum_squares"]] = totals[:tensors]
        columns[:, COLUMN["elements"]] = totals[tensors:-1]
        seen = largest >= 0
        columns[seen, COLUMN["largest_norm"]] = largest[seen]
        if signal.trips or signal.refused_steps:
            nonfinite, first_last = _take(self._counted)
            columns[:, COLUMN["nan"] : COLUMN["neg_inf"] + 1] = nonfinite[:, :3]
            columns[:, [COLUMN["nonfinite_steps"], COLUMN["scale_skipped_steps"]]] = nonfinite[
                :, 3:
            ]
            columns[:, [COLUMN["first_nonfinite_step"], COLUMN["last_nonfinite_step"]]] = np.where(
                first_last == _NO_STEP, np.nan, first_last
            )
        if signal.sampled_step < 0 or not fetch(self._sampled_steps):
            return columns, None
        sampled_steps, *samples = _take(self._sampled)
        return columns, decode_samples(
            self._formats, Samples(*samples), int(sampled_steps), columns
        )

    def _assign_samples(self, samples: Samples) -> None:
        for held, value in zip(self._samples, samples, strict=True):
            held.assign(value)

    def forget_trouble(self) -> None:
        """On the host: takes every tensor for healthy, so that trouble is a change again."""
        self._bad.assign(tf.zeros_like(self._bad))
        self._any_bad.assign(False)


def _with_values(variables: Sequence[tf.Variable]) -> list[tuple[tf.Variable, tf.Tensor]]:
    """Variables of ours, and what they hold now, as eager tensors."""
    with tf.init_scope():
        return [(each, each.read_value()) for each in variables]


def _take(variables: Sequence[tuple[tf.Variable, tf.Tensor]]) -> list[npt.NDArray[Any]]:
    """On the host: what variables of ours hold, which then hold what stands beside them."""
    values = [fetch(held) for held, _ in variables]
    for held, empty in variables:
        store(held, empty)
    return values
