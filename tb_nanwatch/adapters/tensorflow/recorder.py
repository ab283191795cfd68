"""Windows of a running training to records in a file of its own: the core of every watcher."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.accumulator import Accumulator, Clock, LossScale, Signal
from tb_nanwatch.adapters.tensorflow.bell import Bell
from tb_nanwatch.adapters.tensorflow.replicas import current_replica, worker_name
from tb_nanwatch.adapters.tensorflow.sink import TensorFlowSink
from tb_nanwatch.adapters.tensorflow.tensors import NamedTensor, tell_apart
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.records import new_window
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.tags import SUBDIRECTORY, Stream
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.record import Record, merge
from tb_nanwatch.training.live_diagnosis import LiveDiagnosis
from tb_nanwatch.training.record_writer import RecordWriter
from tb_nanwatch.training.schedule import Schedule
from tb_nanwatch.training.session import new_session

_SCALED = frozenset({"gradient", "activation_gradient"})
"""Roles that a loss scale multiplies."""

_HANDLED = _SCALED | {"activation", "prediction", "loss", "update"}
"""Roles whose overflow is dealt with where a loss-scaling optimizer refuses the step. Data, weights
and slots are not: no smaller scale mends those."""


class Recorder:
    """Records one training run.

    Args:
      log_dir: the run's directory; the events go into its subdirectory "nanwatch", and there into
        one of its own for each of several workers.
      source: "Callback" or "Watcher", for the manifest.
      schedule: where windows end.
      tensorboard_histograms: whether to write histograms for TensorBoard's own tabs, too.

    Attributes:
      diagnosis: what is wrong with the run so far.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        source: str,
        schedule: Schedule,
        *,
        tensorboard_histograms: bool = False,
    ):
        directory = os.path.join(os.fspath(log_dir), SUBDIRECTORY)
        self._source = source
        self._schedule = schedule
        self._tensorboard_histograms = tensorboard_histograms
        self._directory = directory
        self._worker = ""
        self._manifest: Manifest | None = None
        # One for each replica of this process.
        self._clocks: dict[int, Clock] = {}
        # By replica and names: a second trace of the same step goes on in the same variables.
        self._accumulators: dict[
            tuple[Hashable, ...], tuple[tuple[TensorInfo, ...], Accumulator]
        ] = {}
        self._first_step = 0
        self._last_step = 0
        self._attend_at = 0
        self._samples = False
        self.diagnosis = LiveDiagnosis(os.fspath(log_dir))

    @property
    def is_begun(self) -> bool:
        return bool(self._clocks)

    def begin(self, first_step: int) -> None:
        """On the host, before the first step: counting starts from `first_step`.

        That step is sampled, so that a short training has its histograms.
        """
        # A session of its own for each recorder that begins, also for a copy of one.
        self._writer = RecordWriter(
            self._open_sink,
            Stream(new_session()),
            self._directory,
            self._schedule.budget,
            tensorboard_histograms=self._tensorboard_histograms,
        )
        self._clocks = {0: Clock(first_step)}
        self._begin_window(self.signal)
        self._attend(first_step, True)

    def begin_again(self) -> None:
        """On the host, where a further training begins: in a new window.

        What is non-finite in it is a change, even if it was so at the end of the training before.
        """
        self.flush()
        for _, accumulator in self._accumulators.values():
            accumulator.forget_trouble()

    def record_initial(self, tensors: Sequence[NamedTensor]) -> None:
        """On the host, before the first step: records the state that this step will find."""
        if not tensors:
            return
        clock = Clock(self._first_step)
        accumulator = _accumulator(clock, tensors)
        accumulator.add([tensor for _, tensor in tensors])
        window = new_window(0, 0, self._first_step, self._first_step)
        manifest = self._manifest_of(_infos(tensors))
        record = Record(window, *accumulator.drain(clock.signal()))
        self._writer.write_initial(manifest, record)
        self.diagnosis.add_initial(manifest.tensors, record)

    def add(
        self,
        tensors: Sequence[NamedTensor],
        loss_scale: LossScale | None = None,
        *,
        new_step: bool = True,
        skipped: tf.Tensor | None = None,
        held: tf.Tensor | None = None,
        bell: Bell | None = None,
    ) -> None:
        """In the step, whatever it runs in: takes its tensors in and counts the step.

        With `new_step=False` they belong to the step that was counted last. `skipped`, a bool
        scalar, tells whether the step's update was withheld, and is None where none ever is;
        `held`, another, whether the step is to be run again, and leaves no trace until then.
        The `bell` rings where `step_end` has to be called, outside of XLA; without it `step_end`
        is called after each step.
        """
        self._worker = self._worker or worker_name()
        replica = current_replica()
        clock = self._clock_of(replica)
        if skipped is not None:
            clock.count_skip(skipped, tf.constant(False) if held is None else held, bell)
        if not tensors:
            return
        infos = _infos(tensors)
        names = ((info.role, info.name, info.dtype) for info in infos)
        key = (new_step, replica, *names)
        if key not in self._accumulators:
            self._accumulators[key] = infos, _accumulator(clock, tensors)
        accumulator = self._accumulators[key][1]
        values = [tensor for _, tensor in tensors]
        accumulator.add(values, loss_scale, new_step=new_step, held=held, bell=bell)

    @property
    def current_step(self) -> tf.Tensor:
        """In the step, before `add`: its number, an int64 scalar."""
        return self._clock_of(current_replica()).current_step

    @property
    def signal(self) -> Signal:
        """On the host: what happened since the last record, in any of the replicas."""
        signals = [clock.signal() for clock in self._clocks.values()]
        return signals[0] if len(signals) == 1 else Signal(*map(max, zip(*signals, strict=True)))

    def _clock_of(self, replica: int) -> Clock:
        if replica not in self._clocks:
            self._clocks[replica] = Clock(self._first_step)
            with tf.init_scope():
                self._clocks[replica].attend(self._attend_at, self._samples)
        return self._clocks[replica]

    def write_rerun(self, rerun: Rerun) -> None:
        """On the host, before the record of the step: writes what running it again has found."""
        self._writer.write_rerun(rerun)
        self.diagnosis.add_rerun(rerun)

    def step_end(self) -> Signal:
        """On the host, after a call of the step: writes the window where it is full.

        Also where the set of non-finite tensors changed, or one of the run's first steps was
        non-finite: then the record is in the file when this returns.
        """
        signal = self.signal
        changed = bool(signal.flush) and self._schedule.takes_change()
        is_full = signal.next_step > self._last_step
        if changed or (is_full and self._schedule.takes_record()):
            self._write_window(signal, by_change=changed, urgent=changed)
        elif signal.next_step > self._attend_at and not is_full:
            self._attend(self._last_step, self._schedule.samples())
        return signal

    def flush(self) -> None:
        """On the host: writes the open window, if a step is in it."""
        if not self._clocks:
            return
        signal = self.signal
        if signal.next_step > self._first_step:
            self._write_window(signal, by_change=False, urgent=True)

    def close(self) -> None:
        """On the host: writes the open window and closes the file. A later step opens another."""
        self.flush()
        self._writer.close()

    def _manifest_of(self, infos: tuple[TensorInfo, ...]) -> Manifest:
        """The manifest of these rows; the same one as long as they and the worker stay."""
        last = self._manifest
        if last is None or (last.tensors, last.worker) != (infos, self._worker):
            self._manifest = Manifest(infos, self._source, worker=self._worker)
        assert self._manifest is not None
        return self._manifest

    def _open_sink(self) -> TensorFlowSink:
        # The first step tells which worker this is: a Watcher may be made outside of any strategy.
        directory = [self._directory, self._worker] if self._worker else [self._directory]
        return TensorFlowSink(os.path.join(*directory))

    def _begin_window(self, signal: Signal) -> None:
        self._first_step = signal.next_step
        self._last_step = self._first_step + self._schedule.window() - 1
        self._attend_at, self._samples = self._last_step, self._schedule.samples()
        for clock in self._clocks.values():
            clock.restart(signal, self._attend_at, self._samples)

    def _attend(self, step: int, samples: bool) -> None:
        self._attend_at, self._samples = step, samples
        for clock in self._clocks.values():
            clock.attend(step, samples)

    def _write_window(self, signal: Signal, *, by_change: bool, urgent: bool) -> None:
        window = new_window(0, 0, self._first_step, signal.next_step - 1)
        window[WINDOW_FIELD["scale_skipped_steps"]] = signal.refused_steps
        window[WINDOW_FIELD["skipped_steps"]] = signal.skipped_steps
        scales = [clock.take_loss_scale() for clock in self._clocks.values()]
        window[WINDOW_FIELD["loss_scale"]] = np.fmin.reduce(scales)
        if signal.sampled_step >= 0:
            window[WINDOW_FIELD["sampled_step"]] = signal.sampled_step
        parts: list[tuple[tuple[TensorInfo, ...], Record]] = []
        for (new_step, *_), (infos, accumulator) in self._accumulators.items():
            columns, histograms = accumulator.drain(signal)
            if np.any(columns[:, COLUMN["steps"]]):
                named = infos if new_step else _further(infos, parts)
                parts.append((named, Record(window, columns, histograms)))
        infos, record = _join(parts)
        manifest = self._manifest_of(infos)
        size = self._writer.write(manifest, record, urgent=urgent)
        self.diagnosis.add_record(infos, record, nonfinite=signal.trips > 0)
        steps = signal.next_step - self._first_step
        self._schedule.written(size, steps, by_change=by_change)
        self._begin_window(signal)


def _further(
    infos: tuple[TensorInfo, ...], parts: Sequence[tuple[tuple[TensorInfo, ...], Record]]
) -> tuple[TensorInfo, ...]:
    """Names of what a further call observed of the same step, none of them one of `parts`."""
    taken = [info for others, _ in parts for info in others]
    return tuple(tell_apart([*taken, *infos])[len(taken) :])


def _join(
    parts: Sequence[tuple[tuple[TensorInfo, ...], Record]],
) -> tuple[tuple[TensorInfo, ...], Record]:
    """One record of all the parts' tensors: there is one event for a tag and a step.

    There are several parts where a step is observed in several calls, and where it was traced for
    different tensors; a tensor in two of them is merged.
    """
    if len(parts) == 1:
        return parts[0]
    rows: dict[TensorInfo, int] = {}
    for infos, _ in parts:
        for info in infos:
            rows.setdefault(info, len(rows))
    spread = [record.spread([rows[info] for info in infos], len(rows)) for infos, record in parts]
    record = merge(spread)
    return tuple(rows), Record(parts[0][1].window, record.columns, record.histograms)


def _infos(tensors: Sequence[NamedTensor]) -> tuple[TensorInfo, ...]:
    return tuple(info for info, _ in tensors)


def _accumulator(clock: Clock, tensors: Sequence[NamedTensor]) -> Accumulator:
    return Accumulator(
        clock,
        [tensor.dtype for _, tensor in tensors],
        scaled=[info.role in _SCALED for info, _ in tensors],
        handled=[info.role in _HANDLED for info, _ in tensors],
    )
