"""A window's statistics of many tensors, kept in device variables and read once a window.

A healthy step costs one reduction a tensor and a few operations on small vectors. Exact counts are
taken only where one of the sums is not finite, in that same step; exponent histograms only at the
window's last step, and where the set of non-finite tensors changes. A step of `fit` leaves both to
the host if it can, which has them done on the same device before the next step: a graph is traced
and compiled without them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.cond import run_if
from tb_nanwatch.adapters.tensorflow.graph.context import in_xla, without_op_callbacks
from tb_nanwatch.adapters.tensorflow.graph.host_callback import HostSignal, traced_after
from tb_nanwatch.adapters.tensorflow.graph.twins import twin
from tb_nanwatch.adapters.tensorflow.graph.variables import fetch, store, variable
from tb_nanwatch.adapters.tensorflow.statistics import kernels
from tb_nanwatch.adapters.tensorflow.statistics.device_state import (
    NEXT_HOST_STEP,
    SAMPLED_STEP,
    TAKES_HISTOGRAMS,
    DeviceStepState,
    LossScale,
)
from tb_nanwatch.adapters.tensorflow.statistics.kernels import Samples, add_samples
from tb_nanwatch.adapters.tensorflow.statistics.samples import (
    decode_samples,
    empty_samples,
    take_samples,
)
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.histogram import Histograms
from tb_nanwatch.stats.record import Matrix, empty_columns
from tb_nanwatch.training.step_counters import StepCounters

FLUSHED_NONFINITE_STEPS = 4
"""The first steps with a non-finite tensor are flushed each, besides every change of their set."""

_EAGER_LOOKS = 8
"""How often the host looks at a step operation by operation: 15 ms for 20 tensors, and 6 in a graph
of its own, which takes 0.3 s to trace."""

_ZERO = np.float64(0)
_NO_STEP = -1.0


class Accumulator:
    """Accumulates the statistics of a fixed list of tensors.

    Args:
      step_state: counts the steps; may be shared.
      dtypes: of the tensors, in order.
      scaled: bool [tensors], which of them a loss scale multiplies.
      handled: bool [tensors], whose NaN or infinity is handled when the optimizer skips the step.
    """

    def __init__(
        self,
        step_state: DeviceStepState,
        dtypes: Sequence[tf.DType],
        scaled: Sequence[bool],
        handled: Sequence[bool],
    ):
        self._step_state = step_state
        self._formats = [kernels.dtype_format(dtype) for dtype in dtypes]
        self._scaled = np.array(scaled, bool)
        self._handled = np.array(handled, bool)
        tensors = len(self._formats)

        # Squares of each, elements of each, steps: what every step adds to, in one operation.
        self._totals = variable(np.zeros(2 * tensors + 1), tf.float64)
        self._largest_norm = variable(np.full(tensors, -1.0), tf.float64)
        self._nonfinite = variable(np.zeros((tensors, 5)), tf.float64)  # nan, inf, -inf, 2 steps
        self._first_last = variable(np.full((tensors, 2), _NO_STEP), tf.float64)
        self._is_nonfinite = variable(np.zeros(tensors, bool), tf.bool)
        self._any_nonfinite = variable(False, tf.bool)
        self._sampled_steps = variable(0, tf.int64)
        empty = empty_samples(self._formats)
        self._samples = Samples(
            variable(empty.histograms, tf.int64),
            variable(empty.keys, tf.int64),
            variable(empty.totals, tf.float64),
        )
        # With the values that a window begins with, which `read_and_reset` restores.
        self._sums = _with_values([self._totals, self._largest_norm])
        self._counted = _with_values([self._nonfinite, self._first_last])
        self._sampled = _with_values([self._sampled_steps, *self._samples])

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    @without_op_callbacks()
    def add(
        self,
        tensors: Sequence[tf.Tensor],
        loss_scale: LossScale | None = None,
        *,
        new_step: bool = True,
        deferred: tf.Tensor | None = None,
        host_signal: HostSignal | None = None,
        calls_host: bool = False,
        handles: Sequence[Any] = (),
    ) -> None:
        """In the step, eagerly, in a `tf.function` or under XLA: adds its tensors and counts it.

        Args:
          tensors: of the dtypes and number that the accumulator was made for.
          loss_scale: what multiplies the gradients among them.
          new_step: False where they belong to the step that was counted last.
          deferred: bool scalar, whether the step will be run again, and is not counted until then.
          host_signal: requested for a step that is not finite, the first one that is finite again,
            and the one that the host looks at next.
          calls_host: whether the host may count and sample, before the next step: then this is no
            part of the step's graph.
          handles: of each tensor's variable, if that still has its value then; None if not.
        """
        step_state = self._step_state
        tensors = [twin(tensor) for tensor in tensors]
        state = step_state.vector.read_value()
        step = state[0] if new_step else state[0] - 1
        is_scheduled = tf.equal(step, state[NEXT_HOST_STEP])
        squares = kernels.sums_of_squares(tensors)
        finite = tf.math.is_finite(squares)
        healthy = tf.reduce_all(finite)
        factor = self._unscale_factors(loss_scale)
        known = tf.where(finite, squares if factor is None else squares * factor**2, _ZERO)
        elements = kernels.element_counts(tensors)
        totals = tf.concat([known, elements, np.ones(1)], axis=0)
        counts = tf.constant(True) if deferred is None else ~deferred
        if deferred is not None:
            totals *= tf.cast(counts, tf.float64)
            known = totals[: len(tensors)]
        self._totals.assign_add(totals)
        self._largest_norm.assign(tf.maximum(self._largest_norm, tf.sqrt(known)))
        trusted = healthy & ~self._any_nonfinite
        takes_histograms = is_scheduled & (state[TAKES_HISTOGRAMS] > 0)
        given = [step, finite, trusted, takes_histograms, *([] if factor is None else [factor])]
        looked = self._look_if(
            (~trusted | is_scheduled) & counts,
            [*given, *tensors],
            [*(None for _ in given), *(handles or (None for _ in tensors))],
            functools.partial(
                self._count_and_sample,
                is_scaled=factor is not None,
                is_scale_dynamic=loss_scale is not None and loss_scale.dynamic,
            ),
            host_signal,
            calls_host=calls_host,
        )
        if loss_scale is not None:
            step_state.has_loss_scale = True
            scale = tf.cast(loss_scale.scale, tf.float64)
            lowest = step_state.loss_scale.read_value()
            step_state.loss_scale.assign(tf.where(counts, tf.minimum(lowest, scale), lowest))
        if new_step:
            # Not before: a step that raises an error in between has not been recorded.
            with tf.control_dependencies([looked]):
                step_state.add(next_step=counts)

    def _look_if(
        self,
        predicate: tf.Tensor,
        values: Sequence[tf.Tensor],
        handles: Sequence[Any],
        look: Callable[..., None],
        host_signal: HostSignal | None,
        *,
        calls_host: bool,
    ) -> tf.Tensor:
        """Where the bool scalar is True, calls `look` with the `values`, and requests the host.

        In a graph, TensorFlow traces and prepares in the first step what few steps run: for all of
        this it takes half as long as for a small model.

        Returns:
          Bool scalar, whether it has done that: what depends on it comes after.
        """
        if host_signal is None or not calls_host or not host_signal.can_call(values, handles):

            def look_in_the_step() -> None:
                look(*values)
                if host_signal is not None:
                    host_signal.request()

            return run_if(predicate, look_in_the_step)
        look = traced_after(_EAGER_LOOKS, look)

        def look_on_host(step: tf.Tensor, finite: tf.Tensor, *rest: tf.Tensor) -> None:
            trusted, takes_histograms, *_ = rest
            if takes_histograms or not trusted:
                look(step, finite, *rest)

        if in_xla():
            self._step_state.add(handed_over=predicate)
        return host_signal.call_if(predicate, look_on_host, values, handles)

    def _unscale_factors(self, loss_scale: LossScale | None) -> tf.Tensor | None:
        """float64 [tensors]: the factor that undoes the loss scale for each."""
        if loss_scale is None:
            return None
        return tf.where(self._scaled, 1 / tf.cast(loss_scale.scale, tf.float64), 1.0)

    def _count_and_sample(
        self,
        step: tf.Tensor,
        finite: tf.Tensor,
        trusted: tf.Tensor,
        takes_histograms: tf.Tensor,
        *rest: tf.Tensor,
        is_scaled: bool,
        is_scale_dynamic: bool,
    ) -> None:
        """Adds what few steps ask for: exact counts, where the step is not trusted, and samples.

        Args:
          step: int64 scalar.
          finite: bool [tensors], whether the sum of squares of each is.
          trusted: bool scalar, whether all are, and were in the step before.
          takes_histograms: bool scalar.
          *rest: `_unscale_factors`, if `is_scaled`; the tensors.
          is_scaled: whether there is a loss scale.
          is_scale_dynamic: whether the optimizer skips a step with a non-finite gradient.
        """
        factor, tensors = (rest[0], rest[1:]) if is_scaled else (None, rest)

        # Here and not in either branch, so that both share what is copied for it.
        rows = kernels.group_rows(kernels.flatten(tensors))
        flush = tf.cond(
            trusted,
            lambda: tf.constant(False),
            lambda: self._count(rows, step, finite, factor, is_scale_dynamic),
        )
        healthy = tf.reduce_all(finite)
        due = takes_histograms | flush
        tf.cond(due, lambda: self._sample(rows, step, factor, healthy), lambda: False)

    def _count(
        self,
        rows: Sequence[kernels.Rows],
        step: tf.Tensor,
        finite: tf.Tensor,
        factor: tf.Tensor | None,
        is_scale_dynamic: bool,
    ) -> tf.Tensor:
        """Adds exact counts of the step; returns a bool scalar, whether to flush its record.

        Also adds the squares of the tensors that are not `finite` (bool [tensors]), which are not
        among the sums yet.
        """
        counts = kernels.count_nonfinite(rows)
        norms = counts[:, 3] if factor is None else counts[:, 3] * factor
        unknown = tf.where(finite, tf.zeros_like(norms), norms)
        self._totals.assign_add(tf.pad(unknown**2, [[0, len(self._formats) + 1]]))
        self._largest_norm.assign(tf.maximum(self._largest_norm, unknown))

        bad = tf.reduce_any(counts[:, :3] > 0, axis=1)
        scale_skipped = tf.constant(False)
        if is_scale_dynamic:
            scale_skipped = tf.reduce_any(bad & self._scaled)
        handled = bad & scale_skipped & self._handled
        unhandled = bad & ~handled
        any_unhandled = tf.reduce_any(unhandled)

        steps = tf.cast(tf.stack([unhandled, handled], axis=1), tf.float64)
        self._nonfinite.assign_add(tf.concat([counts[:, :3], steps], axis=1))
        now = tf.cast(step, tf.float64)
        first, last = self._first_last[:, 0], self._first_last[:, 1]
        first = tf.where(unhandled & (first < 0), now, first)
        self._first_last.assign(tf.stack([first, tf.where(unhandled, now, last)], axis=1))

        changed = tf.reduce_any(tf.not_equal(unhandled, self._is_nonfinite))
        self._is_nonfinite.assign(unhandled)
        self._any_nonfinite.assign(any_unhandled)
        early = any_unhandled & (self._step_state.total_nonfinite_steps < FLUSHED_NONFINITE_STEPS)
        self._step_state.total_nonfinite_steps.assign_add(tf.cast(any_unhandled, tf.int64))
        flush = changed | early
        self._step_state.add(
            flush=flush,
            nonfinite_steps=any_unhandled & ~scale_skipped,
            scale_skipped_steps=scale_skipped,
        )
        return flush

    def _sample(
        self,
        rows: Sequence[kernels.Rows],
        step: tf.Tensor,
        factor: tf.Tensor | None,
        healthy: tf.Tensor,
    ) -> tf.Tensor:
        """Adds the exponent histograms, extremes and sums; returns True."""
        if factor is not None:
            rows = [each.scaled(factor, self._scaled) for each in rows]
        if in_xla():
            # XLA fuses the masks into the passes, and compiling both takes twice as long.
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
        self._step_state.add(sampled_step=step - self._step_state.vector[SAMPLED_STEP])
        return tf.constant(True)

    def read_and_reset(self, counters: StepCounters) -> tuple[Matrix, Histograms | None]:
        """On the host: returns what was accumulated since the last call, and begins anew.

        Args:
          counters: of the window. Where they count no non-finite and no sampled step, the variables
            that hold these are not read.

        Returns:
          Columns float64 [tensors, len(COLUMNS)], and the histograms of the sampled steps, None
          where there is none.
        """
        totals, largest = _read_and_reset(self._sums)
        tensors = len(self._formats)
        columns = empty_columns(tensors)
        columns[:, COLUMN["steps"]] = totals[-1]
        columns[:, COLUMN["sum_squares"]] = totals[:tensors]
        columns[:, COLUMN["elements"]] = totals[tensors:-1]
        seen = largest >= 0
        columns[seen, COLUMN["largest_norm"]] = largest[seen]
        if counters.nonfinite_steps or counters.scale_skipped_steps:
            nonfinite, first_last = _read_and_reset(self._counted)
            columns[:, COLUMN["nan"] : COLUMN["neg_inf"] + 1] = nonfinite[:, :3]
            columns[:, [COLUMN["nonfinite_steps"], COLUMN["scale_skipped_steps"]]] = nonfinite[
                :, 3:
            ]
            columns[:, [COLUMN["first_nonfinite_step"], COLUMN["last_nonfinite_step"]]] = np.where(
                first_last == _NO_STEP, np.nan, first_last
            )
        if counters.sampled_step < 0 or not fetch(self._sampled_steps):
            return columns, None
        sampled_steps, *samples = _read_and_reset(self._sampled)
        return columns, decode_samples(
            self._formats, Samples(*samples), int(sampled_steps), columns
        )

    def _assign_samples(self, samples: Samples) -> None:
        for sample, value in zip(self._samples, samples, strict=True):
            sample.assign(value)

    def forget_nonfinite(self) -> None:
        """On the host: takes every tensor for finite, so that a non-finite one is a change."""
        self._is_nonfinite.assign(tf.zeros_like(self._is_nonfinite))
        self._any_nonfinite.assign(False)


def _with_values(variables: Sequence[tf.Variable]) -> list[tuple[tf.Variable, tf.Tensor]]:
    """Variables of ours, each with its current value as an eager tensor."""
    with tf.init_scope():
        return [(each, each.read_value()) for each in variables]


def _read_and_reset(variables: Sequence[tuple[tf.Variable, tf.Tensor]]) -> list[npt.NDArray[Any]]:
    """On the host: reads variables of ours, and resets each to the value beside it."""
    values = [fetch(each) for each, _ in variables]
    for each, empty in variables:
        store(each, empty)
    return values
