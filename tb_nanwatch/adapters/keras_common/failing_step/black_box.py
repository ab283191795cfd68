"""The black box: analyzes a step that went non-finite, and leaves the training unchanged.

The step is captured with its batch and the values of variables before it, and goes on. Then the
host runs it again, operation by operation, from that state, and restores everything. A step that
XLA compiles is deferred instead: analyzed, and then run as it was. An error in between becomes a
note.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras_common.failing_step.captured_step import CapturedStep, StepCapture
from tb_nanwatch.adapters.keras_common.failing_step.deferred_steps import DeferredSteps
from tb_nanwatch.adapters.keras_common.failing_step.rerun import (
    batch_arrays,
    batch_size,
    rerun_model,
    restoring_variables,
    state_arrays,
    variables_as_before,
)
from tb_nanwatch.adapters.keras_common.failing_step.trials import (
    Program,
    Subject,
    program_of,
    try_remedies,
)
from tb_nanwatch.adapters.keras_common.failing_step.update_policy import UpdatePolicy
from tb_nanwatch.adapters.keras_common.framework import framework_of, loaded_frameworks
from tb_nanwatch.adapters.keras_common.instrument.batch import Batch
from tb_nanwatch.adapters.tensorflow.graph.host_callback import HostSignal
from tb_nanwatch.adapters.tensorflow.recorder import Recorder
from tb_nanwatch.adapters.tensorflow.tracing.origin import describe_operation
from tb_nanwatch.adapters.tensorflow.tracing.random_state import restoring_random_state
from tb_nanwatch.format.rerun import Mode, Operation, Rerun, Trial
from tb_nanwatch.format.tags import SUBDIRECTORY
from tb_nanwatch.training.console import logger
from tb_nanwatch.training.failing_step.describe_operation import affected_rows
from tb_nanwatch.training.failing_step.origin import Search
from tb_nanwatch.training.failing_step.step_dump import (
    FILES,
    FOLDER,
    DumpLevel,
    StepDump,
    folder_name,
    pack_dump,
)
from tb_nanwatch.training.warnings import warn

MAX_RERUNS = 3
"""Steps of a training that are run again, each the first one after all was finite."""

MAX_DUMP_BYTES = 64 * 2**20
"""A batch or a state that takes more is not written to disk."""

_PROGRESS_SECONDS = 3.0
"""Time after which a rerun shows progress, and between two such lines."""


class FailingStep(NamedTuple):
    """A step to be analyzed.

    Attributes:
      batch: what it was fed.
      mode: how the training runs it.
      state: returns the variables as they are, as arrays by name.
      rerun: runs it operation by operation and restores everything; takes the batch, and a function
        that is called with the number of operations so far.
      program: returns the parts of what it runs.
    """

    batch: Any
    mode: Mode
    state: Callable[[], dict[str, Any]]
    rerun: Callable[[Any, Callable[[int], None]], Search]
    program: Callable[[], Program]


class BlackBox:
    """Analyzes steps that went non-finite: `protocols.FailingStepAnalyzer`.

    Args:
      log_dir: the run's directory.
      dump_level: what is written to disk of such a step.
      recorder: records the training.
      host_signal: requested for a step that is captured; None where `take` is called after each.
      checks_updates: whether the results of updates are checked too, which takes a copy of them.

    Attributes:
      capture: captures the step.
      deferred: defers it, where XLA compiles it.
      policy: what happens to steps that are not finite.
    """

    def __init__(
        self,
        log_dir: str,
        dump_level: DumpLevel,
        recorder: Recorder,
        host_signal: HostSignal | None = None,
        *,
        checks_updates: bool = False,
    ):
        self.capture = StepCapture(host_signal, lambda: recorder.current_step)
        self.deferred = DeferredSteps(host_signal)
        self.policy = UpdatePolicy(
            capture=self.capture, deferred=self.deferred, checks_updates=checks_updates
        )
        self._log_dir = log_dir
        self._dump_level = dump_level
        self._recorder = recorder
        self._reruns_left = MAX_RERUNS
        self._is_compiled = False

    @property
    def refusal(self) -> str:
        """Why no step is analyzed; "" where steps are."""
        return (self.deferred if self._is_compiled else self.capture).refusal

    def refuse(self, why: str) -> None:
        """Has no further step analyzed; `why` is the reason."""
        self.policy.refuse(why)

    def refuse_deferral(self, why: str) -> None:
        self.deferred.refuse(why)

    def arm(self, *, is_compiled: bool = False) -> None:
        """On the host, where a training begins; `is_compiled`, if XLA is known to compile it."""
        self._is_compiled = is_compiled
        self.capture.forget()  # What a call has left that raised.
        self.deferred.forget()
        self._arm(self._reruns_left > 0)

    def _arm(self, armed: bool) -> None:
        self.capture.arm(armed)
        self.deferred.arm(armed)

    def before_call(self, model: Any, batches: Any) -> Any:
        return self.deferred.wrap_iterator(framework_of(model), model, batches, self._is_compiled)

    def before_step(self, batch: Any, is_compiled: bool) -> None:
        """On the host, before a call that executes one step: its batch."""
        self._is_compiled = is_compiled
        self.deferred.keep_batch(batch, is_compiled)

    def after_call(
        self, model: Any, train_step: Callable[[Any], Any], run: Callable[[Any], Any], outputs: Any
    ) -> Any:
        captured, deferred = self.take()
        if captured is None and not deferred:
            return outputs
        batch = deferred[0] if captured is None else captured.batch
        run_deferred = (lambda: run(iter(deferred))) if deferred else None
        return self.analyze(_step_of(model, train_step, batch), captured, outputs, run_deferred)

    def after_error(
        self, model: Any, train_step: Callable[[Any], Any], record: Callable[[Any], Any]
    ) -> None:
        captured, _ = self.take()
        if captured is None:
            return
        self.analyze(_step_of(model, train_step, captured.batch), captured, None, None)
        if self._recorder.counters.next_step == captured.number:
            self._recorder.forget_step()
            as_before = variables_as_before(captured.before)
            with suppress(Exception), as_before, restoring_variables(), restoring_random_state():
                framework_of(model).run_step(model, record, captured.batch)

    def take(self) -> tuple[CapturedStep | None, list[Any]]:
        """On the host, after a call: the step it captured; the batches of those it deferred."""
        try:
            return self.capture.take(), self.deferred.take()
        except Exception as error:
            self.refuse(f"what was captured of one could not be read ({_first_lines_of(error)})")
            return None, []

    def analyze(
        self,
        step: FailingStep,
        captured: CapturedStep | None,
        outputs: Any,
        run: Callable[[], Any] | None,
    ) -> Any:
        """On the host: runs a step operation by operation, and writes down what that found.

        Args:
          step: the step.
          captured: as it was captured, and has gone on since; None where it was deferred.
          outputs: its outputs.
          run: runs it as it was, where it was deferred; None where it has gone on.

        Returns:
          The step's outputs.
        """
        failed: BaseException | None = None
        has_run = False

        def run_deferred() -> None:
            nonlocal outputs, failed, has_run
            if run is None or has_run:
                return
            has_run = True
            try:
                outputs = run()
            except BaseException as error:
                failed = error
                raise

        try:
            self._analyze(step, captured, None if run is None else run_deferred)
        except BaseException as error:
            if error is failed:
                raise
            run_deferred()  # Whatever became of the analysis, also where somebody interrupts it.
            if not isinstance(error, Exception):
                raise
            self.refuse(f"one could not be analyzed ({_first_lines_of(error)})")
        return outputs

    def _analyze(
        self,
        step: FailingStep,
        captured: CapturedStep | None,
        run_deferred: Callable[[], None] | None,
    ) -> None:
        self._reruns_left -= 1
        self._arm(False)
        counters = self._recorder.counters
        number = counters.next_step
        if captured is not None:
            number = number - 1 if captured.number is None else captured.number
        search, trials, failure, state = self._rerun(step, number, captured)
        # A captured step went non-finite in the training; a deferred one may not when it is run.
        again = search is None or search.is_nonfinite
        if run_deferred is not None:
            run_deferred()
            after = self._recorder.look()
            again = (
                after.nonfinite_steps + after.scale_skipped_steps
                > counters.nonfinite_steps + counters.scale_skipped_steps
            )
        try:
            found = make_rerun(number, search, failure, again, step.mode, step.batch, trials)
            self._recorder.write_rerun(found)
            self._dump(found, step.batch, state)
        except Exception as error:
            warn(f"could not write the analysis of step {number} ({error}).")

    def _rerun(
        self, step: FailingStep, number: int, captured: CapturedStep | None
    ) -> tuple[Search | None, tuple[Trial, ...], str, dict[str, Any]]:
        """What was found, the remedies that were tried, the error that kept it from that, and all
        variables as they were before."""
        search, failure = None, ""
        trials: tuple[Trial, ...] = ()
        state: dict[str, Any] = {}
        find = self._progress(f"step {number:,} went non-finite. Re-running it")
        attempt = self._progress(f"trying a fix on step {number:,}")
        try:
            with variables_as_before(() if captured is None else captured.before):
                began = time.monotonic()
                try:
                    search = step.rerun(step.batch, find)
                except Exception as error:
                    failure = f"{type(error).__name__}: {_first_lines_of(error)}"
                seconds = time.monotonic() - began
                # Before the trials: with a remedy the step may read more variables.
                state = step.state() if self._dump_level == "state" else {}
                if search is not None:
                    program = step.program()
                    subject = Subject(lambda batch: step.rerun(batch, attempt), step.batch, program)
                    trials = tuple(try_remedies(subject, search, seconds))
        except Exception as error:
            warn(f"could not finish the analysis of step {number} ({error}).")
        return search, trials, failure, state

    def step_end(self, nonfinite_steps: int) -> None:
        """On the host, after each step: so many since the last record were non-finite.

        A step after a non-finite one is not analyzed: it says no more than that it follows one.
        """
        self._arm(self._reruns_left > 0 and not nonfinite_steps)

    def _progress(self, doing: str) -> Callable[[int], None]:
        """Logs progress where a rerun takes long; `doing` says of what."""
        last = time.monotonic()

        def progress(count: int) -> None:
            nonlocal last
            if time.monotonic() - last > _PROGRESS_SECONDS:
                last = time.monotonic()
                logger.info("%s: %s operations so far ...", doing, f"{count:,}")

        return progress

    def _dump(self, found: Rerun, data: Any, state: dict[str, Any]) -> None:
        """Writes the files of the step."""
        batch = batch_arrays(data) if self._dump_level in ("batch", "state") else {}
        for what, arrays in (("batch", batch), ("state", state)):
            size = sum(array.nbytes for array in arrays.values())
            if size > MAX_DUMP_BYTES:
                warn(
                    f"the {what} of step {found.step} is not written to disk, because it takes "
                    f"{size:,} bytes, more than the limit of {MAX_DUMP_BYTES:,}."
                )
                arrays.clear()
        whole = os.path.join(self._log_dir, SUBDIRECTORY, FOLDER)
        names = (folder_name(found.step, attempt) for attempt in itertools.count(1))
        # An earlier training of this directory may have failed at the same step.
        folder = next(
            path
            for path in (os.path.join(whole, name) for name in names)
            if not tf.io.gfile.exists(path)
        )
        tf.io.gfile.makedirs(folder)
        contents = pack_dump(StepDump(found, versions(), batch, state))
        for name in (each for each in FILES if each in contents):
            _write_whole(os.path.join(folder, name), contents[name])


def _write_whole(path: str, content: bytes) -> None:
    """Writes a file so that it is there as a whole or not at all, whatever ends the process."""
    unfinished = f"{path}.{os.getpid()}.tmp"
    with tf.io.gfile.GFile(unfinished, "wb") as file:
        file.write(content)
    tf.io.gfile.rename(unfinished, path, overwrite=True)


def versions() -> dict[str, str]:
    """Versions of the packages that run a step."""
    keras = {each.name: each.keras for each in loaded_frameworks()}
    packages = {"tensorflow": tf, **keras, "numpy": np}
    return {name: package.__version__ for name, package in packages.items()}


def _first_lines_of(error: Exception) -> str:
    """The beginning of an error's message, without Keras' bold headline codes."""
    lines = re.sub(r"\x1b\[\d*m", "", str(error)).splitlines()
    return " ".join(line.strip() for line in lines if line.strip())[:200]


def _step_of(model: Any, train_step: Callable[[Any], Any], batch: Any) -> FailingStep:
    return FailingStep(
        batch,
        _mode(model),
        lambda: state_arrays(model),
        functools.partial(rerun_model, model, train_step),
        lambda: program_of(model),
    )


def _mode(model: Any) -> Mode:
    if model.run_eagerly:
        return "eager"
    return "xla" if model.jit_compile else "graph"


def make_rerun(
    step: int,
    search: Search | None,
    failure: str,
    again: bool,
    mode: Mode,
    data: Any,
    trials: tuple[Trial, ...] = (),
) -> Rerun:
    """What running a step again found, as it is recorded.

    Args:
      step: the step.
      search: what was found in eager mode; None where the step could not be run so.
      failure: the error that kept it from that; "" otherwise.
      again: whether it went non-finite again in `mode`.
      mode: how the training runs it.
      data: the batch.
      trials: the remedies that were tried.
    """
    if search is None:
        return Rerun(step, again, mode, failure)
    if not search.is_nonfinite:
        return Rerun(step, again, mode, draws_random=search.is_random)
    rows = batch_size(data)
    operation: Operation | None = None
    examples: tuple[int, ...] = ()
    bad_data: dict[str, tuple[int, ...]] = {}
    if search.data:
        bad_data = _nonfinite_parts(data, search.data, rows)
        examples = next((found for found in bad_data.values() if found), ())
    elif search.origin is not None:
        operation = describe_operation(search.origin)
        # Of a batch of one row any tensor may have a first dimension of 1.
        examples = affected_rows(search.origin.nonfinite, None if rows == 1 else rows)
    return Rerun(
        step,
        True,
        "eager",
        operation=operation,
        examples=examples,
        bad_data=bad_data,
        tried=trials,
        is_of_batch=bool(search.data),
        is_of_weight=search.by_weight,
    )


def _nonfinite_parts(
    data: Any, nonfinite: Sequence[Any], rows: int | None
) -> dict[str, tuple[int, ...]]:
    """Affected rows of each non-finite part, by each name that it may be recorded under."""
    batch = [*Batch(data, is_unpacked=True).parts(), *Batch(data, is_unpacked=False).plain]
    return {
        part.name: affected_rows(~np.isfinite(np.asarray(part.tensor).astype(np.complex128)), rows)
        for part in batch
        if any(part.tensor is each for each in nonfinite)
    }
