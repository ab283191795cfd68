"""`nanwatch.Callback`: records a Keras training, and reacts when it goes non-finite."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from tb_nanwatch.adapters.keras_common.epoch_logs import EpochLogs
from tb_nanwatch.adapters.keras_common.failing_step.black_box import BlackBox
from tb_nanwatch.adapters.keras_common.failing_step.model_guards import ModelGuards
from tb_nanwatch.adapters.keras_common.failing_step.update_policy import UpdatePolicy
from tb_nanwatch.adapters.keras_common.fit_call import FitCall
from tb_nanwatch.adapters.keras_common.framework import framework_of
from tb_nanwatch.adapters.keras_common.instrument.optimizers import (
    build_optimizer,
    find_optimizers,
    iterations,
)
from tb_nanwatch.adapters.keras_common.instrument.step_tensors import StepTensors
from tb_nanwatch.adapters.keras_common.instrument.train_function import InstrumentedTrainFunction
from tb_nanwatch.adapters.keras_common.instrument.train_step import instrument_train_step
from tb_nanwatch.adapters.tensorflow.graph.host_callback import HostSignal
from tb_nanwatch.adapters.tensorflow.graph.replicas import (
    current_replica,
    is_single_process,
    is_supported,
)
from tb_nanwatch.adapters.tensorflow.recorder import Recorder
from tb_nanwatch.requirements import other_backend
from tb_nanwatch.training import open_windows
from tb_nanwatch.training.budget import DEFAULT_MAX_BYTES
from tb_nanwatch.training.console import logger
from tb_nanwatch.training.failing_step.step_dump import DumpLevel, validate_dump_level
from tb_nanwatch.training.internal_errors import InternalErrorGuard
from tb_nanwatch.training.live_diagnosis import OnFinding
from tb_nanwatch.training.nonfinite import is_nonfinite
from tb_nanwatch.training.policies import (
    BY_LOGS,
    NOT_ANALYZED,
    NOT_GUARDED,
    NOT_RECORDED,
    OnNonfinite,
    validate_policy,
)
from tb_nanwatch.training.protocols import StepOutcome
from tb_nanwatch.training.schedule import Every, Schedule
from tb_nanwatch.training.warnings import WarningCollector, warn
from tb_nanwatch.training.watch import Watch


class Callback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Records the numerical health of every step of `model.fit`, and changes nothing in it.

    Exact NaN, +Inf and -Inf counts and norms at every step; exponent histograms, zeros, extremes
    and means at the last step of each window. A record is in the file when its window is full;
    where the set of non-finite tensors changes, before the next step begins.

    Works in graph mode, with `run_eagerly=True` and with `jit_compile=True`. Gradients are recorded
    before any clipping and without the loss scale; weights and slots after the step; an update is
    the difference that the step made. An activation has the path of its layer, with "#2" for a
    second call, and "/0", "/1" for several outputs; so has its gradient.

    Args:
      log_dir: the run's directory; events go into its subdirectory "nanwatch".
      every: steps in a window, which becomes one record. Smaller windows show finer detail in time
        and fill `max_bytes` earlier. "auto" begins at 1 step, soon reaches 16, and doubles after
        each 128 records, so that a million steps make about 1,200 records.
      watch: which tensors to record, to see more, or to save time and space: an entry or a list of
        them. An entry is "default" (the roles "input", "target", "prediction", "loss", "gradient"
        and "weight"), another role ("activation", "activation_gradient", "slot", "update"), or
        "all". A pattern of layer paths after it, as in "activation:encoder/*", restricts it to
        these layers. A "-" before it excludes: "-weight", "-activation:decoder/*", or
        "-*embedding*" for every role of those layers.
      on_nonfinite: what happens after a step with a NaN or an infinity. "record" continues; "stop"
        ends the training as `model.stop_training` does; "raise" raises FloatingPointError. "skip"
        keeps a step from changing anything if its loss or a gradient is non-finite, or if the
        square of a gradient overflows in an optimizer's slot: weights, slots, iterations, gradient
        accumulators, moving averages, BatchNorm's statistics and metrics stay as they were; seed
        generators advance. A step that a LossScaleOptimizer skips is marked, and no policy applies.
      max_skips: with "skip", ends the training after so many skipped steps in a row, because then
        the model or the data is broken, and not a batch.
      check_updates: whether to check the result of each update too, for optimizers whose own
        arithmetic overflows although gradients are finite. The black box then names the optimizer's
        operation, and "skip" undoes the update. Off by default, because it copies weights and slots
        in each step.
      max_bytes: limit for the size of the recording, never exceeded: TensorBoard keeps in memory
        what it reads. Windows widen as the limit comes closer.
      tensorboard_histograms: whether to write the histograms a second time for TensorBoard's own
        Histograms and Distributions tabs, where they appear as run "<run>/nanwatch". Off by
        default, because these take more space and contain finite elements only.
      blackbox: whether to re-run a step that goes non-finite, operation by operation, to name the
        operation and the source line; and what to write to "<log_dir>/nanwatch/blackbox", for
        `nanwatch replay`. "off": no re-run. "result": what was found, and none of the data.
        "batch": also the batch. "state": also all variables as they were before the step.
      on_finding: called once with each finding that is made while training runs, of severity error
        or warning: a dict with the keys of a finding in `nanwatch report --json`. What it raises is
        one warning, and training continues.

    Raises:
      ValueError: for an unknown role or policy, a `watch` that records nothing, an `every`,
        `max_skips` or `max_bytes` below 1.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        *,
        every: Every = "auto",
        watch: str | Collection[str] = "default",
        on_nonfinite: OnNonfinite = "record",
        max_skips: int = 100,
        check_updates: bool = False,
        max_bytes: int = DEFAULT_MAX_BYTES,
        tensorboard_histograms: bool = False,
        blackbox: DumpLevel = "result",
        on_finding: OnFinding | None = None,
    ):
        super().__init__()
        # Of Keras 2: a subclass is given numbers.
        self._supports_tf_logs = type(self) is Callback
        self._arguments: dict[str, Any] = {
            "log_dir": log_dir,
            "every": every,
            "watch": watch,
            "on_nonfinite": on_nonfinite,
            "max_skips": max_skips,
            "check_updates": check_updates,
            "max_bytes": max_bytes,
            "tensorboard_histograms": tensorboard_histograms,
            "blackbox": blackbox,
            "on_finding": on_finding,
        }
        validate_policy(on_nonfinite, max_skips)
        validate_dump_level(blackbox)
        self._watch = Watch(watch)
        self._policy = on_nonfinite
        self._log_dir = os.fspath(log_dir)
        self._recorder = Recorder(
            self._log_dir,
            "Callback",
            Schedule(every, max_bytes),
            tensorboard_histograms=tensorboard_histograms,
            on_finding=on_finding,
        )
        self._host_signal = HostSignal()
        self._black_box = (
            None
            if blackbox == "off"
            else BlackBox(
                self._log_dir,
                blackbox,
                self._recorder,
                self._host_signal,
                checks_updates=check_updates,
            )
        )
        self._warnings = WarningCollector()
        self._error_guard = InternalErrorGuard(NOT_RECORDED[on_nonfinite])
        self._guard_error_guard = InternalErrorGuard(NOT_ANALYZED[on_nonfinite])
        self._logs_error_guard = InternalErrorGuard("Training and recording continue without that.")
        self._begins_at_next_step = False
        self._active_box: BlackBox | None = None
        self._goes_by_logs = False
        self._is_nonfinite = False
        self._skip_streak = 0
        self._max_skips = max_skips
        self._check_updates = check_updates
        self._train_function: InstrumentedTrainFunction | None = None
        self._fit_call: FitCall | None = None
        self._epoch_logs: EpochLogs | None = None
        self._recorded_model: weakref.ref[Any] | None = None
        self._has_begun = False
        self._in_batch = False
        self._saw_batches = False
        self._knows_calls = False

    def __reduce__(self) -> Any:
        """A copy has recorded nothing, and has the same arguments: scikeras and KerasTuner copy.

        The attributes that a subclass adds are copied.
        """
        ours = vars(Callback(**self._arguments))
        others = {name: value for name, value in vars(self).items() if name not in ours}
        return _without_records, (type(self), self._arguments), others or None

    # Keras 2 asks its callbacks for these, and calls no others.

    def _implements_train_batch_hooks(self) -> bool:
        return True

    def _implements_test_batch_hooks(self) -> bool:
        return type(self) is not Callback

    def _implements_predict_batch_hooks(self) -> bool:
        return type(self) is not Callback

    def on_train_begin(self, logs: Any = None) -> None:
        with self._error_guard("begin another recording"):
            if self._is_of_another_model():
                self._record_anew()
        self._has_begun = True
        self._saw_batches = False
        if self.model is None:
            warn(
                "nothing is recorded, because this Callback has no model. In a custom loop, pass "
                "the model: keras.callbacks.CallbackList([callback], model=model)."
            )
            return
        backend = framework_of(self.model).backend()
        if backend != "tensorflow":
            raise RuntimeError(str(other_backend(backend)))
        if self._error_guard.has_failed or self._guard_error_guard.has_failed:
            # Another fit gets another chance, with a new trace.
            self._error_guard.has_failed = self._guard_error_guard.has_failed = False
            self._train_function = None
        strategy = self.model.distribute_strategy
        is_one_replica = strategy.num_replicas_in_sync == 1
        # One of several workers cannot re-run what they compute together.
        self._active_box = self._black_box if is_single_process(strategy) else None
        self._begins_at_next_step = is_supported(strategy)
        if not self._begins_at_next_step:
            warn(
                f"this training is not recorded, because {type(strategy).__name__} is not "
                "supported with several replicas. Use MirroredStrategy or "
                f"MultiWorkerMirroredStrategy to record it.{BY_LOGS.get(self._policy, '')}"
            )
        # Where nothing of a step is watched that shows it to be non-finite, its logs do.
        self._goes_by_logs = not self._begins_at_next_step or not (
            self._watch.has_role("loss") or self._watch.has_role("gradient")
        )
        if self._policy == "skip" and not is_one_replica:
            raise ValueError(
                'on_nonfinite="skip" works with one replica, but this model is trained with '
                f'{strategy.num_replicas_in_sync}. Use "record", "stop" or "raise".'
            )
        if self._begins_at_next_step:
            with self._logs_error_guard("follow the validation"):
                self._epoch_logs = EpochLogs(self.model)
            with self._error_guard("follow the end of the training"):
                abandon = functools.partial(_abandon, self._recorder, self._epoch_logs)
                self._fit_call = FitCall(abandon)
                open_windows.begin_training(self._recorder)

    def _is_of_another_model(self) -> bool:
        """Whether another model was recorded before, and this one has not trained yet."""
        before = None if self._recorded_model is None else self._recorded_model()
        return (
            self._recorded_model is not None
            and self.model is not None
            and self.model is not before
            and not iterations(self.model.optimizer)
        )

    def _record_anew(self) -> None:
        """Forgets the last training, as a copy would: the next one is a recording of its own."""
        open_windows.abandon(self._recorder)
        self._recorder.close()
        model, params = self.model, self.params
        Callback.__init__(self, **self._arguments)
        self.set_model(model)
        self.set_params(params)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        # Not in on_train_begin, where other callbacks may still restore a checkpoint.
        if self._begins_at_next_step:
            self._begin_now()

    def _begin_now(self) -> None:
        self._begins_at_next_step = False
        self._begin()

    def _begin(self) -> None:
        """Each part by itself: a step is skipped even where nothing can be recorded."""
        with self._error_guard("begin the recording"):
            self._begin_recording()
        if self._error_guard.has_failed:
            self._active_box = None  # What it finds cannot be recorded.
            if self._policy != "skip":
                return
        with self._error_guard("instrument the step"):
            self._install()
        is_installed = self._train_function is not None and self._train_function.is_installed()
        if self._policy == "skip" and not (is_installed and self._sees_updates()):
            warn(NOT_GUARDED)

    def _sees_updates(self) -> bool:
        """Whether the compiled optimizer is one of Keras: Keras 2 takes those of TensorFlow 1."""
        return self.model.optimizer is None or bool(find_optimizers(self.model))

    def _begin_recording(self) -> None:
        if not self._recorder.has_begun:
            self._recorded_model = weakref.ref(self.model)
            self._recorder.begin(iterations(self.model.optimizer))
            initial = self._step_tensors()
            initial.add_weights()
            self._recorder.describe(initial.facts())
            self._recorder.record_initial(initial.named_tensors())
        else:
            self._recorder.begin_again()

    def _install(self) -> None:
        with self.model.distribute_strategy.scope():
            build_optimizer(self.model)
        if self.model.train_function is None:  # As before the first train_on_batch.
            self.model.make_train_function()
        if self._train_function is None or not self._train_function.can_be_reused(self.model):
            self._train_function = InstrumentedTrainFunction(
                self.model,
                self._instrument,
                on_step=self._step_end,
                on_error=self._flush,
                is_in_batch=lambda: self._in_batch,
                host_signal=self._host_signal,
                analyzer=self._active_box,
            )
        if self._active_box is not None:
            is_compiled = bool(self.model.jit_compile) and not self.model.run_eagerly
            self._active_box.arm(is_compiled=is_compiled)
        self._train_function.install()

    def _instrument(self, train_step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        skips = self._policy == "skip" and self._sees_updates()
        policy = UpdatePolicy() if self._active_box is None else self._active_box.policy
        policy = replace(policy, skips=skips, checks_updates=self._check_updates, kept_alive=[])
        has_guard = skips or self._active_box is not None
        return instrument_train_step(
            train_step,
            self.model,
            self._watch,
            self._step_tensors,
            self._record,
            self._error_guard,
            ModelGuards(self.model, policy) if has_guard else None,
            self._guard_error_guard,
            collects_calls=self._collects_calls,
        )

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # A loop of train_on_batch need not call any other method.
        if not self._has_begun:
            self.on_train_begin()
        self._in_batch = self._saw_batches = True
        if self._begins_at_next_step:
            self._begin_now()
        # Another callback's train_on_batch or fit restores the model's own train function.
        elif self._train_function is not None and not self._train_function.is_installed():
            self._begin()

    def _step_end(self, was_requested: bool) -> None:
        """Right after the step, so that its record is in the file before any callback can raise."""
        with self._error_guard("record a step"):
            if self._error_guard.has_failed:
                self._recorder.forget_step()
            elif was_requested:
                counters = self._recorder.step_end()
                self._is_nonfinite |= counters.nonfinite_steps > 0
                self._skip_streak = counters.skip_streak
                if self._active_box is not None:
                    self._active_box.step_end(counters.nonfinite_steps)
            refusal = "" if self._active_box is None else self._active_box.refusal
            if refusal and not self._guard_error_guard.has_failed:
                self._warnings.add(f"steps that go non-finite are not analyzed: {refusal}.")
            self._warnings.flush()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._in_batch = False
        if self._error_guard.has_failed:
            self._react_to_logs(batch, logs or {})
            return
        if self._goes_by_logs and self._policy in ("stop", "raise"):
            self._react_to_logs(batch, logs or {})
        is_nonfinite, self._is_nonfinite = self._is_nonfinite, False
        diagnosis = self._recorder.diagnosis
        if self._policy in ("stop", "raise") and is_nonfinite:
            diagnosis.new_findings()
            if self._policy == "raise":
                text = diagnosis.with_details(diagnosis.most_severe())
                raise FloatingPointError(f"NaNWatch: {text}")
            self._stop(diagnosis.most_severe())
        elif self._skip_streak >= self._max_skips:
            self._stop(
                f"{self._skip_streak:,} steps in a row were skipped. {diagnosis.most_severe()}"
            )
        else:
            diagnosis.log_new_findings()

    def _react_to_logs(self, batch: int, logs: dict[str, Any]) -> None:
        """The policy where steps cannot be recorded: by the logs of the batch."""
        bad = [f"{name} is {value}" for name, value in logs.items() if is_nonfinite(value)]
        if not bad or self._policy not in ("stop", "raise"):
            return
        message = f"non-finite logs of batch {batch}: {', '.join(bad)}."
        if self._policy == "raise":
            raise FloatingPointError(f"NaNWatch: {message}")
        self.model.stop_training = True
        logger.error("%s Training stopped.", message)

    def on_test_begin(self, logs: Any = None) -> None:
        # Of a validation within `fit`; an `evaluate` of its own has no training to speak of.
        if self._epoch_logs is not None:
            with self._logs_error_guard("follow the validation"):
                self._epoch_logs.on_test_begin()

    def on_test_end(self, logs: Any = None) -> None:
        if self._epoch_logs is not None:
            with self._logs_error_guard("follow the validation"):
                self._epoch_logs.on_test_end(logs or {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._epoch_logs is None or not self._recorder.has_begun:
            return
        if self._error_guard.has_failed:
            return  # Whether they are explained by the training is not known.
        with self._logs_error_guard("look at the logs of an epoch"):
            found = self._epoch_logs.on_epoch_end(self._recorder.last_step, logs or {})
            if found is not None:
                self._recorder.write_logs(found)
                self._recorder.diagnosis.log_new_findings()

    def on_train_end(self, logs: Any = None) -> None:
        epoch_logs, self._epoch_logs = self._epoch_logs, None
        if epoch_logs is not None:
            with self._logs_error_guard("follow the validation"):
                epoch_logs.restore()
        if self._train_function is not None:
            self._train_function.restore()
            if not self._saw_batches:
                warn(
                    "nothing was recorded, because no batch was reported to this Callback. Call "
                    "on_train_batch_begin before each train_on_batch, and on_train_batch_end after."
                )
        self._begins_at_next_step = self._has_begun = self._in_batch = False
        # Not closed: a file for each of a thousand short fits would burden TensorBoard.
        self._flush()
        if self._fit_call is not None:
            self._fit_call.end()
        open_windows.end_training(self._recorder)
        self._recorder.diagnosis.log_new_findings(last=True)

    def _flush(self) -> None:
        with self._error_guard("record the last steps"):
            self._recorder.flush()

    def _step_tensors(self) -> StepTensors:
        return StepTensors(self.model, self._watch, self._warnings, self._error_guard)

    def _collects_calls(self) -> bool:
        """Once in a training that runs eagerly; in a graph, whenever it is traced."""
        return not self._knows_calls or tf.inside_function()

    def _record(self, tensors: StepTensors, outcome: StepOutcome) -> None:
        if self._collects_calls() and current_replica() == 0:
            self._knows_calls = True
            self._recorder.describe(tensors.facts())
        self._recorder.add(
            tensors.named_tensors(),
            tensors.loss_scale,
            skipped=outcome.skipped,
            deferred=outcome.deferred,
            host_signal=self._host_signal,
            calls_host=framework_of(self.model).calls_single_steps(self.model),
        )

    def _stop(self, reason: str) -> None:
        self.model.stop_training = True
        logger.error("%s", self._recorder.diagnosis.with_details(reason))


def _abandon(recorder: Recorder, logs: EpochLogs | None) -> None:
    """The training has ended without notice."""
    if logs is not None:
        logs.restore()
    open_windows.abandon(recorder)


def _without_records(kind: type[Callback], arguments: dict[str, Any]) -> Callback:
    """A Callback that has recorded nothing yet; a subclass may take other arguments."""
    callback = kind.__new__(kind)
    Callback.__init__(callback, **arguments)
    return callback
