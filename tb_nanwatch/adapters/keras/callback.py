"""`nanwatch.Callback`: records a Keras training, and reacts when it goes non-finite."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Literal, get_args

import keras
import numpy as np

from tb_nanwatch.adapters.keras.black_box import BlackBox
from tb_nanwatch.adapters.keras.observation import Observation
from tb_nanwatch.adapters.keras.observed_step import observed
from tb_nanwatch.adapters.keras.optimizers import build_optimizer, iterations
from tb_nanwatch.adapters.keras.step_guard import StepOutcome, UpdatePolicy
from tb_nanwatch.adapters.keras.train_function import ObservedTrainFunction
from tb_nanwatch.adapters.tensorflow.bell import Bell
from tb_nanwatch.adapters.tensorflow.recorder import Recorder
from tb_nanwatch.adapters.tensorflow.replicas import is_of_one_process, is_supported
from tb_nanwatch.adapters.tensorflow.tensors import Unwatched
from tb_nanwatch.training.budget import DEFAULT_MAX_BYTES
from tb_nanwatch.training.failing_step.case import Kept, check_kept
from tb_nanwatch.training.schedule import Every, Schedule
from tb_nanwatch.training.warnings import Guard, warn
from tb_nanwatch.training.watch import Watch

Policy = Literal["record", "skip", "stop", "raise"]

_UNRECORDED: dict[Policy, str] = {
    "record": "Training goes on, unrecorded from here.",
    "skip": "Training goes on, unrecorded from here; steps that are not finite are still skipped.",
    "stop": "Training goes on, unrecorded from here, and stops where its logs are not finite.",
    "raise": "Training goes on, unrecorded from here; its logs raise where they are not finite.",
}
"""What is so where a step cannot be recorded."""

_GOES_ON = "Training goes on; a step that goes non-finite is not looked into from here."

_UNGUARDED: dict[Policy, str] = {
    "record": _GOES_ON,
    "skip": f'{_GOES_ON} on_nonfinite="skip" is off: such a step reaches the weights.',
    "stop": _GOES_ON,
    "raise": _GOES_ON,
}
"""What is so where its update cannot be looked at."""


class Callback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Records the numerical health of every step of `model.fit`, and changes nothing in it.

    Exact NaN, +Inf and -Inf counts and norms at every step; exponent histograms, zeros, extremes
    and means at the last step of each window. The records are in the file when a window is full,
    and, before the next step begins, where the set of non-finite tensors changes.

    Works in graph mode, with `run_eagerly=True` and with `jit_compile=True`. Gradients are taken
    before any clipping and without the loss scale; weights and slots as the step leaves them; an
    update is what the step changed. Activations are named by the path of their layer, further
    calls of a layer "#2", several outputs "/0", "/1"; the gradient that arrives there likewise.

    Args:
      log_dir: the run's directory; events go into its subdirectory "nanwatch".
      every: steps in a window. "auto" begins at 1 step, reaches 16 soon, and doubles after each
        128 records, so that a million steps make about 1,200 records.
      watch: what to record: an entry or a list of them. An entry is "default" (the roles "input",
        "target", "prediction", "loss", "gradient" and "weight"), another role ("activation",
        "activation_gradient", "slot", "update"), or "all"; with a pattern of layer paths after it,
        such as "activation:encoder/*", of these layers alone; with "-" before it what to leave
        out: "-weight", "-activation:decoder/*", or "-*embedding*" for every role of those layers.
      on_nonfinite: what happens after a step with a NaN or an infinity: "record" goes on, "stop"
        ends the training as `model.stop_training` does, "raise" raises FloatingPointError. "skip"
        has a step with a non-finite loss or gradient, or with a gradient whose square overflows in
        an optimizer's slot, leave all as it was: weights, slots, iterations, gradient accumulators,
        moving averages, BatchNorm's statistics, metrics; seed generators advance. A step that a
        LossScaleOptimizer refuses is marked, and no policy reacts.
      max_skips: with "skip", so many steps skipped one after another end the training.
      check_updates: whether to look at what the update made, too. Where gradients are finite and
        the update is not, "skip" then undoes it, and the black box names the optimizer's operation.
        That takes a copy of weights and slots in each step.
      max_bytes: of the recording's files, never exceeded. Windows widen as they fill up.
      tensorboard_histograms: whether to write the histograms once more in the form of TensorBoard's
        Histograms and Distributions tabs, of the finite elements alone; as run "<run>/nanwatch".
      blackbox: whether a step that goes non-finite is run once more, operation by operation, to
        name the operation and the source line; and what is kept of it on disk, below
        "<log_dir>/nanwatch/blackbox". "off": it is not run again. "result": what was found, and
        none of the data. "batch": the batch, too. "state": also all variables as they were before.

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
        on_nonfinite: Policy = "record",
        max_skips: int = 100,
        check_updates: bool = False,
        max_bytes: int = DEFAULT_MAX_BYTES,
        tensorboard_histograms: bool = False,
        blackbox: Kept = "result",
    ):
        super().__init__()
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
        }
        if on_nonfinite not in get_args(Policy):
            raise ValueError(
                f"Unknown policy on_nonfinite={on_nonfinite!r}. "
                f"Known policies: {', '.join(get_args(Policy))}."
            )
        if isinstance(max_skips, bool) or not isinstance(max_skips, int) or max_skips < 1:
            raise ValueError(f"Expected max_skips, a number from 1 on, got {max_skips!r}.")
        check_kept(blackbox)
        self._watch = Watch(watch)
        self._policy = on_nonfinite
        self._log_dir = os.fspath(log_dir)
        self._recorder = Recorder(
            self._log_dir,
            "Callback",
            Schedule(every, max_bytes),
            tensorboard_histograms=tensorboard_histograms,
        )
        self._bell = Bell()
        self._black_box = (
            None
            if blackbox == "off"
            else BlackBox(
                self._log_dir, blackbox, self._recorder, self._bell, checks_updates=check_updates
            )
        )
        self._unwatched = Unwatched()
        self._guard = Guard(_UNRECORDED[on_nonfinite])
        self._policy_guard = Guard(_UNGUARDED[on_nonfinite])
        self._is_due = False
        self._armed_box: BlackBox | None = None
        self._tripped = False
        self._skip_streak = 0
        self._max_skips = max_skips
        self._check_updates = check_updates
        self._train_function: ObservedTrainFunction | None = None
        self._is_begun = False
        self._in_batch = False
        self._saw_batches = False

    def __reduce__(self) -> Any:
        """A copy begins afresh, with the same arguments: scikeras and KerasTuner make some.

        What a class derived from this one keeps is copied.
        """
        ours = vars(Callback(**self._arguments))
        others = {name: value for name, value in vars(self).items() if name not in ours}
        return _afresh, (type(self), self._arguments), others or None

    def on_train_begin(self, logs: Any = None) -> None:
        self._is_begun = True
        self._saw_batches = False
        if self.model is None:
            warn(
                "this Callback was given no model, so nothing is recorded. In a loop of your own "
                "hand it over: keras.callbacks.CallbackList([callback], model=model)."
            )
            return
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError(
                "nanwatch.Callback records Keras on TensorFlow; the backend here is "
                f"{keras.backend.backend()}. Set KERAS_BACKEND=tensorflow."
            )
        if self._guard.tripped or self._policy_guard.tripped:
            # Another fit is another chance, with a trace of its own.
            self._guard.tripped = self._policy_guard.tripped = False
            self._train_function = None
        strategy = self.model.distribute_strategy
        is_one_replica = strategy.num_replicas_in_sync == 1
        # What several workers compute together one of them cannot run again.
        self._armed_box = self._black_box if is_of_one_process(strategy) else None
        self._is_due = is_supported(strategy)
        if not self._is_due:
            warn(
                f"trainings with the replicas of {type(strategy).__name__} are not recorded. This "
                "one goes on as it is. MirroredStrategy's are."
            )
        if self._policy == "skip" and not is_one_replica:
            raise ValueError(
                'on_nonfinite="skip" works with one replica, and this model is trained by '
                f'{strategy.num_replicas_in_sync}. Use "record", "stop" or "raise".'
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        # Not in on_train_begin, where other callbacks may yet restore a checkpoint.
        if self._is_due:
            self._begin_when_due()

    def _begin_when_due(self) -> None:
        self._is_due = False
        with self._guard("begin"):
            self._begin()

    def _begin(self) -> None:
        if not self._recorder.is_begun:
            self._recorder.begin(iterations(self.model.optimizer))
            initial = self._observation()
            initial.weights()
            self._recorder.record_initial(initial.tensors())
        else:
            self._recorder.begin_again()
        with self.model.distribute_strategy.scope():
            build_optimizer(self.model)
        if self.model.train_function is None:  # As before the first train_on_batch.
            self.model.make_train_function()
        if self._train_function is None or not self._train_function.fits(self.model):
            self._train_function = ObservedTrainFunction(
                self.model,
                self._observed,
                on_step=self._step_end,
                on_error=self._flush,
                is_awaited=lambda: self._in_batch,
                bell=self._bell,
                black_box=self._armed_box,
            )
        if self._armed_box is not None:
            self._armed_box.arm()
        self._train_function.install()

    def _observed(self, train_step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        skips = self._policy == "skip"
        policy = UpdatePolicy() if self._armed_box is None else self._armed_box.policy
        policy = replace(policy, skips=skips, checks_updates=self._check_updates)
        return observed(
            train_step,
            self.model,
            self._watch,
            self._observation,
            self._end,
            self._guard,
            policy if skips or self._armed_box is not None else None,
            self._policy_guard,
        )

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # A loop of train_on_batch need not tell more than this.
        if not self._is_begun:
            self.on_train_begin()
        self._in_batch = self._saw_batches = True
        if self._is_due:
            self._begin_when_due()
        # Another callback's train_on_batch or fit puts the model's own train function back.
        elif self._train_function is not None and not self._train_function.is_installed():
            with self._guard("go on"):
                self._begin()

    def _step_end(self, has_rung: bool) -> None:
        """Right after the step: what it wrote is in the file before any callback can raise."""
        with self._guard("record a step"):
            if has_rung and not self._guard.tripped:
                signal = self._recorder.step_end()
                self._tripped |= signal.trips > 0
                self._skip_streak = signal.skip_streak
                if self._armed_box is not None:
                    self._armed_box.step_end(signal.trips)
            refusal = "" if self._armed_box is None else self._armed_box.refusal
            if refusal and not self._policy_guard.tripped:
                self._unwatched.note(f"a step that goes non-finite is not looked into: {refusal}.")
            self._unwatched.tell()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._in_batch = False
        if self._guard.tripped:
            self._react_to_logs(batch, logs or {})
            return
        tripped, self._tripped = self._tripped, False
        diagnosis = self._recorder.diagnosis
        if self._policy in ("stop", "raise") and tripped:
            diagnosis.new_findings()
            if self._policy == "raise":
                raise FloatingPointError(diagnosis.message(diagnosis.most_severe()))
            self._stop(diagnosis.most_severe())
        elif self._skip_streak >= self._max_skips:
            why = diagnosis.most_severe()
            self._stop(f"{self._skip_streak} steps were skipped one after another: {why}")
        else:
            diagnosis.print_new_findings()

    def _react_to_logs(self, batch: int, logs: dict[str, Any]) -> None:
        """What is left of a policy where steps cannot be recorded: the logs of the batch."""
        bad = [
            f"{name} is {value}" for name, value in logs.items() if not np.all(np.isfinite(value))
        ]
        if not bad or self._policy not in ("stop", "raise"):
            return
        message = f"NaNWatch: in the logs of batch {batch} {', '.join(bad)}."
        if self._policy == "raise":
            raise FloatingPointError(message)
        self.model.stop_training = True
        print(f"\n{message} Training stops.")

    def on_train_end(self, logs: Any = None) -> None:
        if self._train_function is not None:
            self._train_function.restore()
            if not self._saw_batches:
                warn(
                    "nothing is recorded of a training that tells its callbacks of no batch. Call "
                    "on_train_batch_begin before each train_on_batch, and on_train_batch_end after."
                )
        self._is_due = self._is_begun = self._in_batch = False
        # Not closed: a file for each of a thousand short fits would burden TensorBoard.
        self._flush()
        self._recorder.diagnosis.print_new_findings(last=True)

    def _flush(self) -> None:
        with self._guard("record the last steps"):
            self._recorder.flush()

    def _observation(self) -> Observation:
        return Observation(self.model, self._watch, self._unwatched, self._guard)

    def _end(self, observation: Observation, outcome: StepOutcome) -> None:
        self._recorder.add(
            observation.tensors(),
            observation.loss_scale,
            skipped=outcome.skipped,
            held=outcome.held,
            bell=self._bell,
        )

    def _stop(self, reason: str) -> None:
        self.model.stop_training = True
        print("\n" + self._recorder.diagnosis.message(reason))


def _afresh(kind: type[Callback], arguments: dict[str, Any]) -> Callback:
    """A Callback that has recorded nothing yet; a derived class may take other arguments."""
    callback = kind.__new__(kind)
    Callback.__init__(callback, **arguments)
    return callback
