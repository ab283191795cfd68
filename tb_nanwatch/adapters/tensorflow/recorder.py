"""Windows of a running training to records in a file of its own: the core of every watcher."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from contextlib import suppress

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.host_callback import HostSignal
from tb_nanwatch.adapters.tensorflow.graph.replicas import current_replica, worker_name
from tb_nanwatch.adapters.tensorflow.sink import TensorFlowSink, clock_for
from tb_nanwatch.adapters.tensorflow.statistics.accumulator import Accumulator
from tb_nanwatch.adapters.tensorflow.statistics.device_state import DeviceStepState, LossScale
from tb_nanwatch.adapters.tensorflow.tensors import NamedTensor
from tb_nanwatch.format.facts import UNKNOWN_MODEL, ModelFacts
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.nonfinite_logs import NonfiniteLogs
from tb_nanwatch.format.records import new_window
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.tags import SUBDIRECTORY, Stream
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.record import Record
from tb_nanwatch.training import open_windows
from tb_nanwatch.training.host_schedule import HostSchedule, HostStep
from tb_nanwatch.training.live_diagnosis import LiveDiagnosis, OnFinding
from tb_nanwatch.training.record_rows import Rows, join, with_names_besides
from tb_nanwatch.training.record_writer import RecordWriter
from tb_nanwatch.training.schedule import Schedule
from tb_nanwatch.training.session import new_session
from tb_nanwatch.training.step_counters import StepCounters, largest

_SCALED = frozenset({"gradient", "activation_gradient"})
"""Roles that a loss scale multiplies."""

_HANDLED = _SCALED | {"activation", "prediction", "loss", "update"}
"""Roles whose overflow a loss-scaling optimizer handles by skipping the step. Data, weights and
slots are not among them: no smaller scale repairs those."""


class Recorder:
    """Records one training run.

    Args:
      log_dir: the run's directory; the events go into its subdirectory "nanwatch", and there into
        one of its own for each of several workers.
      source: "Callback" or "Watcher", for the manifest.
      schedule: where windows end.
      tensorboard_histograms: whether to write histograms for TensorBoard's own tabs, too.
      on_finding: called with each finding of the diagnosis.

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
        on_finding: OnFinding | None = None,
    ):
        directory = os.path.join(os.fspath(log_dir), SUBDIRECTORY)
        self._source = source
        self._budget = schedule.budget
        self._is_frequent = schedule.is_frequent
        self._host_signal: HostSignal | None = None
        self._tensorboard_histograms = tensorboard_histograms
        self._directory = directory
        self._worker = ""
        self._manifest: Manifest | None = None
        self._model = UNKNOWN_MODEL
        # One for each replica of this process.
        self._step_states: dict[int, DeviceStepState] = {}
        # By replica and names: a second trace of the same step uses the same variables.
        self._accumulators: dict[
            tuple[Hashable, ...], tuple[tuple[TensorInfo, ...], Accumulator]
        ] = {}
        self._window = HostSchedule(schedule)
        self._writing = open_windows.WriteLock()
        self.diagnosis = LiveDiagnosis(os.fspath(log_dir), on_finding)

    def describe(self, model: ModelFacts) -> None:
        """On the host: takes what the framework knows of the model, for the records to come."""
        self._model = model
        self.diagnosis.set_model(model)

    @property
    def has_begun(self) -> bool:
        return bool(self._step_states)

    def begin(self, first_step: int) -> None:
        """On the host, before the first step: counting starts from `first_step`."""
        # A session of its own for each recorder that begins, also for a copy of one.
        self._clock = clock_for(self._directory)
        self._writer = RecordWriter(
            self._open_sink,
            Stream(new_session(self._clock())),
            self._directory,
            self._budget,
            tensorboard_histograms=self._tensorboard_histograms,
        )
        self._step_states = {0: DeviceStepState(first_step)}
        self._begin_window(self.counters, self._window.begin_run(first_step))
        open_windows.keep(self)

    def begin_again(self) -> None:
        """On the host, where another training begins: opens a new window.

        What is non-finite in it is a change, even if it was so at the end of the training before.
        """
        self.flush()
        for _, accumulator in self._accumulators.values():
            accumulator.forget_nonfinite()

    def record_initial(self, tensors: Sequence[NamedTensor]) -> None:
        """On the host, before the first step: records the state that this step will find."""
        if not tensors:
            return
        step = self._window.first_step
        step_state = DeviceStepState(step)
        accumulator = _accumulator(step_state, tensors)
        accumulator.add([each.tensor for each in tensors])
        window = new_window(0, 0, step, step)
        manifest = self._manifest_of(_infos(tensors))
        record = Record(window, *accumulator.read_and_reset(step_state.counters()))
        self._writer.write_initial(manifest, record)
        self.diagnosis.add_initial(manifest.tensors, record)

    def add(
        self,
        tensors: Sequence[NamedTensor],
        loss_scale: LossScale | None = None,
        *,
        new_step: bool = True,
        skipped: tf.Tensor | None = None,
        deferred: tf.Tensor | None = None,
        host_signal: HostSignal | None = None,
        calls_host: bool = False,
    ) -> None:
        """In the step, eagerly or in a graph: adds its tensors and counts the step.

        Args:
          tensors: of the step.
          loss_scale: what multiplies its gradients.
          new_step: False where the tensors belong to the step that was counted last.
          skipped: bool scalar, whether the step's update was skipped; None where none ever is.
          deferred: bool scalar, whether the step will be run again, and is not counted until then.
          host_signal: requested where `step_end` has to be called, outside of XLA; without it
            `step_end` is called after each step.
          calls_host: whether the host may count and sample, after the step: `step_end` or `flush`
            comes before the next one.
        """
        self._host_signal = host_signal
        self._worker = self._worker or worker_name()
        replica = current_replica()
        step_state = self._step_state_of(replica)
        if skipped is not None:
            is_deferred = tf.constant(False) if deferred is None else deferred
            step_state.count_skip(skipped, is_deferred, host_signal)
        if not tensors:
            return
        infos = _infos(tensors)
        names = ((info.role, info.name, info.dtype) for info in infos)
        key = (new_step, replica, *names)
        if key not in self._accumulators:
            self._accumulators[key] = infos, _accumulator(step_state, tensors)
        accumulator = self._accumulators[key][1]
        accumulator.add(
            [each.tensor for each in tensors],
            loss_scale,
            new_step=new_step,
            deferred=deferred,
            host_signal=host_signal,
            calls_host=calls_host and not self._is_frequent,
            handles=[each.handle for each in tensors],
        )

    @property
    def current_step(self) -> tf.Tensor:
        """In the step, before `add`: its number, an int64 scalar."""
        return self._step_state_of(current_replica()).current_step

    @property
    def counters(self) -> StepCounters:
        """On the host: what happened since the last record, in any of the replicas.

        Whether the last step was finite is among it only after a `look`.
        """
        return largest([each.counters() for each in self._step_states.values()])

    @property
    def last_step(self) -> int:
        """On the host: the last step that was taken, in any of the replicas."""
        return self.counters.next_step - 1

    def _step_state_of(self, replica: int) -> DeviceStepState:
        if replica not in self._step_states:
            self._step_states[replica] = DeviceStepState(self._window.first_step)
            with tf.init_scope():
                self._step_states[replica].schedule_host_step(self._window.next)
        return self._step_states[replica]

    def write_rerun(self, rerun: Rerun) -> None:
        """On the host, before the record of the step: writes the result of running it again."""
        self._writer.write_rerun(rerun)
        self.diagnosis.add_rerun(rerun)

    def write_logs(self, logs: NonfiniteLogs) -> None:
        """On the host, after the record of the step: writes logs of an epoch."""
        with self._writing():
            self._writer.write_logs(logs)
        self.diagnosis.add_logs(logs)

    def step_end(self) -> StepCounters:
        """On the host, after a call of the step: writes the window where it is full.

        Also where the set of non-finite tensors changed, or one of the run's first steps was
        non-finite: then the record is in the file when this returns.
        """
        with self._writing():
            counters = self.look()
            is_changed = self._window.is_change_due(counters)
            if is_changed or self._window.is_record_due(counters):
                self._write_window(counters, by_change=is_changed, urgent=is_changed)
            else:
                next_step = self._window.reschedule(counters)
                if next_step is not None:
                    for each in self._step_states.values():
                        each.schedule_host_step(next_step)
            return counters

    def flush(self) -> None:
        """On the host: writes the open window, if a step is in it."""
        if not self._step_states:
            return
        with self._writing():
            counters = self.look()
            if counters.next_step > self._window.first_step:
                self._write_window(counters, by_change=False, urgent=True)

    def forget_step(self) -> None:
        """On the host, after a step that is not recorded: discards what it left to the host."""
        if self._host_signal is not None:
            self._host_signal.forget_calls()

    def look(self) -> StepCounters:
        """On the host, after a call of the step: counts and samples what that has left to the host.

        Returns:
          The counters, which without it may miss that the last step was not finite.
        """
        with self._writing():
            signal = self._host_signal
            if signal is not None:
                signal.run_calls()
            counters = self.counters
            if signal is not None and counters.handed_over:
                signal.run_compiled_calls()
                for each in self._step_states.values():
                    each.forget_handed_over()
                counters = self.counters
            return counters

    def rescue(self) -> bool:
        """Where the training ends without notice: writes the open window, and never raises.

        Called at any moment and by any thread. False where this thread is writing right now.
        """
        is_free = True
        with suppress(Exception):
            if self._writing.may_write():
                with self._writing.from_outside() as is_free, tf.init_scope():
                    if is_free:
                        self.flush()
        return is_free

    def close(self) -> None:
        """On the host: writes the open window and closes the file. A later step opens another."""
        self.flush()
        with self._writing():
            self._writer.close()

    def _manifest_of(self, infos: tuple[TensorInfo, ...]) -> Manifest:
        """The manifest of these rows; the same one as long as nothing in it changes."""
        last = self._manifest
        current = infos, self._worker, self._model
        if last is None or (last.tensors, last.worker, last.model) != current:
            self._manifest = Manifest(infos, self._source, worker=self._worker, model=self._model)
        assert self._manifest is not None
        return self._manifest

    def _open_sink(self) -> TensorFlowSink:
        # The first step tells which worker this is: a Watcher may be made outside of any strategy.
        directory = [self._directory, self._worker] if self._worker else [self._directory]
        return TensorFlowSink(os.path.join(*directory), self._clock)

    def _begin_window(self, counters: StepCounters, next_step: HostStep) -> None:
        for each in self._step_states.values():
            each.begin_window(counters, next_step)

    def _write_window(self, counters: StepCounters, *, by_change: bool, urgent: bool) -> None:
        window = new_window(0, 0, self._window.first_step, counters.next_step - 1)
        window[WINDOW_FIELD["scale_skipped_steps"]] = counters.scale_skipped_steps
        window[WINDOW_FIELD["skipped_steps"]] = counters.skipped_steps
        scales = [each.take_loss_scale() for each in self._step_states.values()]
        window[WINDOW_FIELD["loss_scale"]] = np.fmin.reduce(scales)
        if counters.sampled_step >= 0:
            window[WINDOW_FIELD["sampled_step"]] = counters.sampled_step
        parts: list[Rows] = []
        for (new_step, *_), (infos, accumulator) in self._accumulators.items():
            columns, histograms = accumulator.read_and_reset(counters)
            if np.any(columns[:, COLUMN["steps"]]):
                named = infos if new_step else with_names_besides(infos, parts)
                parts.append((named, Record(window, columns, histograms)))
        infos, record = join(parts)
        manifest = self._manifest_of(infos)
        size = self._writer.write(manifest, record, urgent=urgent)
        self.diagnosis.add_record(infos, record, nonfinite=counters.nonfinite_steps > 0)
        self._window.end_window(counters, size, by_change=by_change)
        self._begin_window(counters, self._window.begin_window(counters.next_step))


def _infos(tensors: Sequence[NamedTensor]) -> tuple[TensorInfo, ...]:
    return tuple(each.info for each in tensors)


def _accumulator(step_state: DeviceStepState, tensors: Sequence[NamedTensor]) -> Accumulator:
    return Accumulator(
        step_state,
        [each.tensor.dtype for each in tensors],
        scaled=[each.info.role in _SCALED for each in tensors],
        handled=[each.info.role in _HANDLED for each in tensors],
    )
