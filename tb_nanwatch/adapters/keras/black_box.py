"""The black box: a step that goes non-finite is held, looked at closely, and then goes on.

The step withholds its update on the device. The host runs it once more, operation by operation,
from the state before; then as it was, by the same train function from the same state and seeds, so
that the training goes on as an unwatched one would. Whatever fails in between is a note.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras.hold import Hold
from tb_nanwatch.adapters.keras.rerun import as_found, batch_of, examine, rows_of, state_of
from tb_nanwatch.adapters.keras.step_state import put_back
from tb_nanwatch.adapters.keras.withholding import Withholding
from tb_nanwatch.adapters.tensorflow.bell import Bell
from tb_nanwatch.adapters.tensorflow.operation_origin import Search
from tb_nanwatch.adapters.tensorflow.recorder import Recorder
from tb_nanwatch.adapters.tensorflow.told_operation import examples, told
from tb_nanwatch.blackbox.case import FOLDER, Case, Kept, folder_name, pack_case
from tb_nanwatch.schema.rerun import Mode, Rerun
from tb_nanwatch.schema.tags import SUBDIRECTORY
from tb_nanwatch.writer.warnings import warn

MOST_RERUNS = 3
"""So many steps of a training are run again, each the first after all was finite."""

MOST_BYTES = 64 * 2**20
"""A batch or a state that takes more is not kept on disk."""

_PATIENCE = 3.0
"""Seconds after which a rerun says how far it is, and between two such lines."""


class HeldStep(NamedTuple):
    """A step that is to be run again, from the state before it.

    Attributes:
      batch: the first, where several steps are held.
      mode: in which the training runs it.
      state: gives the variables as they are, as arrays by name.
      examine: runs it operation by operation and leaves all as it was; is given what to tell the
        number of operations so far.
      run: runs it as it was, with all that it changes, and returns what it gives; None where it has
        gone on already.
    """

    batch: Any
    mode: Mode
    state: Callable[[], dict[str, Any]]
    examine: Callable[[Callable[[int], None]], Search]
    run: Callable[[], Any] | None


class BlackBox:
    """Runs steps again that went non-finite.

    Args:
      log_dir: the run's directory.
      kept: what is kept on disk of such a step.
      recorder: records the training.
      bell: rings for a step that is held; None where `after` is called after each step.
      copies: whether steps keep copies of what they update.

    Attributes:
      hold: keeps the step's batch.
      withholding: how steps are withheld that are to be run again.
    """

    def __init__(
        self,
        log_dir: str,
        kept: Kept,
        recorder: Recorder,
        bell: Bell | None = None,
        *,
        copies: bool = False,
    ):
        self.hold = Hold(bell)
        self.withholding = Withholding(hold=self.hold, copies=copies)
        self._log_dir = log_dir
        self._kept = kept
        self._recorder = recorder
        self._left = MOST_RERUNS

    def arm(self) -> None:
        """On the host, where a training begins."""
        self.hold.forget()  # What a call has left that raised.
        self.hold.arm(self._left > 0)

    def feed(self, model: Any, iterator: Any) -> Any:
        """On the host, before each call of the train function: what to call it with."""
        is_compiled = bool(model.jit_compile) and not model.run_eagerly
        return self.hold.feed(iterator, is_compiled, model.steps_per_execution)

    def after(
        self, model: Any, train_step: Callable[[Any], Any], run: Callable[[Any], Any], outputs: Any
    ) -> Any:
        """On the host, after a call that may hold steps: what it gives, when these have been run.

        Args:
          model: the model.
          train_step: its own, bound.
          run: the train function, which records.
          outputs: what it gave.
        """
        held = self.hold.take()
        if held is None:
            return outputs
        batches = held.batches
        step = HeldStep(
            batches[0],
            _mode(model),
            lambda: state_of(model),
            lambda progress: examine(model, train_step, batches[0], progress),
            lambda: run(self.hold.again(batches)),
        )
        if model.distribute_strategy.num_replicas_in_sync > 1:
            with as_found(model, held.before or ()):
                self.run_again(step._replace(run=None))
            return outputs
        if held.before is not None:
            before = {id(each): value for each, value in held.before}
            put_back(self.withholding.kept_variables(model), before)
        return self.run_again(step)

    def run_again(self, step: HeldStep) -> Any:
        """On the host: runs a held step operation by operation, keeps what that has found, and
        returns what the step gives, run as it was; None where it has gone on already."""
        self._left -= 1
        self.hold.arm(False)
        before = self._recorder.signal
        number = before.next_step - (step.run is None)
        state: dict[str, Any] = {}
        search, trouble = None, ""
        try:
            search = step.examine(self._progress(number))
        except Exception as error:
            trouble = (
                "The step could not be run operation by operation, outside of a graph "
                f"({type(error).__name__}: {_said(error)})."
            )
        try:
            state = step.state() if self._kept == "state" else {}
        except Exception as error:
            warn(f"could not keep the state before step {number} ({error}).")
        outputs, again = None, True
        if step.run is not None:
            outputs = step.run()
            after = self._recorder.signal
            again = after.trips + after.refused_steps > before.trips + before.refused_steps
        try:
            found = rerun_of(number, search, trouble, again, step.mode, step.batch)
            self._recorder.write_rerun(found)
            self._keep(found, step.batch, state)
        except Exception as error:
            warn(f"could not keep what running step {number} again found ({error}).")
        return outputs

    def step_end(self, trips: int) -> None:
        """On the host, after each step: `trips` steps since the last record were non-finite.

        What follows one that is not run again says no more than that it did.
        """
        self.hold.arm(self._left > 0 and not trips)

    def _progress(self, step: int) -> Callable[[int], None]:
        """Says how far a rerun is, where it takes long."""
        said = time.monotonic()

        def progress(count: int) -> None:
            nonlocal said
            if time.monotonic() - said > _PATIENCE:
                said = time.monotonic()
                print(
                    f"NaNWatch: step {step} went non-finite; running it once more, {count:,} "
                    "operations so far ...",
                    flush=True,
                )

        return progress

    def _keep(self, found: Rerun, data: Any, state: dict[str, Any]) -> None:
        """Writes the files of the step."""
        batch = batch_of(data) if self._kept in ("batch", "state") else {}
        for what, arrays in (("batch", batch), ("state", state)):
            size = sum(array.nbytes for array in arrays.values())
            if size > MOST_BYTES:
                warn(
                    f"the {what} of step {found.step} takes {size:,} bytes, more than the "
                    f"{MOST_BYTES:,} that are kept on disk: it is not kept."
                )
                arrays.clear()
        folder = os.path.join(self._log_dir, SUBDIRECTORY, FOLDER, folder_name(found.step))
        tf.io.gfile.makedirs(folder)
        for name, content in pack_case(Case(found, versions(), batch, state)).items():
            with tf.io.gfile.GFile(os.path.join(folder, name), "wb") as file:
                file.write(content)


def versions() -> dict[str, str]:
    """Of the packages that run a step."""
    packages = {"tensorflow": tf, "keras": keras, "numpy": np}
    return {name: package.__version__ for name, package in packages.items()}


def _said(error: Exception) -> str:
    """The beginning of what an error says; Keras puts a line of its own before it, in bold."""
    lines = re.sub(r"\x1b\[\d*m", "", str(error)).splitlines()
    return " ".join(line.strip() for line in lines if line.strip())[:200]


def _mode(model: Any) -> Mode:
    if model.run_eagerly:
        return "eager"
    return "xla" if model.jit_compile else "graph"


def rerun_of(
    step: int, search: Search | None, trouble: str, again: bool, mode: Mode, data: Any
) -> Rerun:
    """What running a step again has found, in words.

    Args:
      step: the step.
      search: what was found eagerly; None where it could not be run so.
      trouble: why, a sentence; "" otherwise.
      again: whether it went non-finite again in `mode`.
      mode: in which the training runs.
      data: the batch.
    """
    rows = rows_of(data)
    notes = [trouble] if trouble else []
    if not again:
        notes.append(
            "Run again from the same state with the same batch, it was finite: "
            + (
                "it draws numbers by `tf.random`, which cannot be drawn again."
                if search is not None and search.is_random
                else "it depends on something besides these."
            )
        )
    if search is None:
        return Rerun(step, again, mode, " ".join(notes))
    if not search.is_nonfinite:
        if again:
            what = "compiles the step as a whole" if mode == "xla" else "fuses operations"
            notes.append(
                f"Operation by operation it stays finite: the training {what}, which computes "
                "differently. What is said here is of layers."
            )
        return Rerun(step, again, mode, " ".join(notes))
    if search.data:
        bad = [~np.isfinite(np.asarray(each).astype(np.complex128)) for each in search.data]
        notes.append("It comes with the batch: no operation makes it.")
        places = next((found for each in bad if (found := examples(each, rows))), ())
        return Rerun(step, True, "eager", " ".join(notes), None, places)
    if search.by_weight:
        notes.append("A weight was non-finite before the step.")
    if search.origin is None:
        return Rerun(step, True, "eager", " ".join(notes))
    places = examples(search.origin.bad, rows)
    return Rerun(step, True, "eager", " ".join(notes), told(search.origin), places)
