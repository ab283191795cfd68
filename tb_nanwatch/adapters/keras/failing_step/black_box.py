"""The black box: a step that goes non-finite is looked into, and the training goes on as without.

The step keeps what it was fed, and what variables held before it, and goes on. Then the host runs
it once more, operation by operation, from the state before, and puts everything back as the step
has left it. A step that XLA compiles is held back instead, looked into, and then run as it was.
Whatever fails in between is a note.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras.failing_step.captured_step import KeptStep, StepKeeper
from tb_nanwatch.adapters.keras.failing_step.deferred_steps import HeldSteps
from tb_nanwatch.adapters.keras.failing_step.rerun import (
    as_before,
    batch_of,
    examine,
    rows_of,
    state_of,
)
from tb_nanwatch.adapters.keras.failing_step.step_guard import UpdatePolicy
from tb_nanwatch.adapters.keras.failing_step.trials import (
    Parts,
    Subject,
    parts_of,
    try_remedies,
)
from tb_nanwatch.adapters.keras.instrument.batch import Batch
from tb_nanwatch.adapters.tensorflow.graph.host_callback import Bell
from tb_nanwatch.adapters.tensorflow.recorder import Recorder
from tb_nanwatch.adapters.tensorflow.tracing.describe_operation import examples, told
from tb_nanwatch.adapters.tensorflow.tracing.origin import Search
from tb_nanwatch.format.rerun import Mode, Rerun, Trial
from tb_nanwatch.format.tags import SUBDIRECTORY
from tb_nanwatch.training.failing_step.step_dump import FOLDER, Case, Kept, folder_name, pack_case
from tb_nanwatch.training.warnings import warn

MOST_RERUNS = 3
"""So many steps of a training are run again, each the first after all was finite."""

MOST_BYTES = 64 * 2**20
"""A batch or a state that takes more is not kept on disk."""

_PATIENCE = 3.0
"""Seconds after which a rerun says how far it is, and between two such lines."""


class FailingStep(NamedTuple):
    """A step that is to be looked into.

    Attributes:
      batch: what it was fed.
      mode: in which the training runs it.
      state: gives the variables as they are, as arrays by name.
      examine: runs it operation by operation and leaves all as it was; is given the batch, and what
        to tell the number of operations so far.
      parts: of the program that it runs.
    """

    batch: Any
    mode: Mode
    state: Callable[[], dict[str, Any]]
    examine: Callable[[Any, Callable[[int], None]], Search]
    parts: Parts


class BlackBox:
    """Looks into steps that went non-finite.

    Args:
      log_dir: the run's directory.
      kept: what is kept on disk of such a step.
      recorder: records the training.
      bell: rings for a step that is kept; None where `after` is called after each step.
      checks_updates: whether updates are looked at, too, which takes a copy of them.

    Attributes:
      keeper: keeps the step.
      held: holds it back, where XLA compiles it.
      policy: what becomes of steps that are not finite.
    """

    def __init__(
        self,
        log_dir: str,
        kept: Kept,
        recorder: Recorder,
        bell: Bell | None = None,
        *,
        checks_updates: bool = False,
    ):
        self.keeper = StepKeeper(bell, lambda: recorder.current_step)
        self.held = HeldSteps(bell)
        self.policy = UpdatePolicy(
            keeper=self.keeper, held=self.held, checks_updates=checks_updates
        )
        self._log_dir = log_dir
        self._kept = kept
        self._recorder = recorder
        self._left = MOST_RERUNS
        self._is_compiled = False

    @property
    def refusal(self) -> str:
        """Why no step is looked into; "" where they are."""
        return (self.held if self._is_compiled else self.keeper).refusal

    def refuse(self, why: str) -> None:
        """Has no step looked into."""
        self.policy.refuse(why)

    def arm(self) -> None:
        """On the host, where a training begins."""
        self.keeper.forget()  # What a call has left that raised.
        self.held.forget()
        self._arm(self._left > 0)

    def _arm(self, armed: bool) -> None:
        self.keeper.arm(armed)
        self.held.arm(armed)

    def feed(self, model: Any, iterator: Any) -> Any:
        """On the host, before each call of the train function: what to call it with."""
        self._is_compiled = bool(model.jit_compile) and not model.run_eagerly
        return self.held.feed(iterator, self._is_compiled, model.steps_per_execution)

    def feed_step(self, batch: Any, is_compiled: bool) -> None:
        """On the host, before a call that executes one step: its batch."""
        self._is_compiled = is_compiled
        self.held.feed_step(batch, is_compiled)

    def after(
        self, model: Any, train_step: Callable[[Any], Any], run: Callable[[Any], Any], outputs: Any
    ) -> Any:
        """On the host, after a call: looks into the step that it kept, and runs those it held.

        Args:
          model: the model.
          train_step: its own, bound.
          run: the train function, which records.
          outputs: what it gave.

        Returns:
          What the call gives, with the steps that were held.
        """
        kept, held = self.take()
        if kept is None and not held:
            return outputs
        step = FailingStep(
            held[0] if kept is None else kept.batch,
            _mode(model),
            lambda: state_of(model),
            functools.partial(examine, model, train_step),
            parts_of(model),
        )
        return self.look_into(step, kept, outputs, (lambda: run(iter(held))) if held else None)

    def take(self) -> tuple[KeptStep | None, list[Any]]:
        """On the host, after a call: the step that it kept; the batches of those that it held."""
        try:
            return self.keeper.take(), self.held.take()
        except Exception as error:
            self.refuse(f"what was kept of one could not be taken ({_said(error)})")
            return None, []

    def look_into(
        self,
        step: FailingStep,
        kept: KeptStep | None,
        outputs: Any,
        run: Callable[[], Any] | None,
    ) -> Any:
        """On the host: runs a step operation by operation, and writes what that has found.

        Args:
          step: the step.
          kept: as it was kept, and has gone on since; None where it was held.
          outputs: what it gave.
          run: runs it as it was, where it was held; None where it has gone on.

        Returns:
          What the step gives.
        """
        self._left -= 1
        self._arm(False)
        counters = self._recorder.signal
        number = counters.next_step
        if kept is not None:
            number = number - 1 if kept.number is None else kept.number
        search, tried, trouble, state = self._examine(step, number, kept)
        # It has gone non-finite in the training; of a step that is run again that is asked anew.
        again = search is None or search.is_nonfinite
        if run is not None:
            outputs = run()
            after = self._recorder.signal
            again = after.trips + after.refused_steps > counters.trips + counters.refused_steps
        try:
            found = rerun_of(number, search, trouble, again, step.mode, step.batch, tried)
            self._recorder.write_rerun(found)
            self._keep(found, step.batch, state)
        except Exception as error:
            warn(f"could not keep what looking into step {number} found ({error}).")
        return outputs

    def _examine(
        self, step: FailingStep, number: int, kept: KeptStep | None
    ) -> tuple[Search | None, tuple[Trial, ...], str, dict[str, Any]]:
        """What was found, which remedies were tried, what kept it from being found, and all
        variables as they were before."""
        search, trouble = None, ""
        tried: tuple[Trial, ...] = ()
        state: dict[str, Any] = {}
        try:
            with as_before(() if kept is None else kept.before):
                try:
                    progress, began = self._progress(number), time.monotonic()
                    search = step.examine(step.batch, progress)
                    seconds = time.monotonic() - began
                    subject = Subject(
                        lambda batch: step.examine(batch, progress), step.batch, step.parts
                    )
                    tried = tuple(try_remedies(subject, search, seconds))
                except Exception as error:
                    trouble = (
                        "The step could not be run operation by operation, outside of a graph "
                        f"({type(error).__name__}: {_said(error)})."
                    )
                state = step.state() if self._kept == "state" else {}
        except Exception as error:
            warn(f"could not keep the state before step {number} ({error}).")
        return search, tried, trouble, state

    def step_end(self, trips: int) -> None:
        """On the host, after each step: `trips` steps since the last record were non-finite.

        What follows one that is not run again says no more than that it did.
        """
        self._arm(self._left > 0 and not trips)

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
    step: int,
    search: Search | None,
    trouble: str,
    again: bool,
    mode: Mode,
    data: Any,
    tried: tuple[Trial, ...] = (),
) -> Rerun:
    """What running a step again has found, in words.

    Args:
      step: the step.
      search: what was found eagerly; None where it could not be run so.
      trouble: why, a sentence; "" otherwise.
      again: whether it went non-finite again in `mode`.
      mode: in which the training runs.
      data: the batch.
      tried: remedies.
    """
    rows = rows_of(data)
    notes = [trouble] if trouble else []
    if search is None:
        return Rerun(step, again, mode, " ".join(notes))
    if not search.is_nonfinite:
        notes.append(_finite_note(search, again, mode))
        return Rerun(step, again, mode, " ".join(notes))
    if search.data:
        notes.append("It comes with the batch: no operation makes it.")
        named = _bad_data(data, search.data, rows)
        places = next((found for found in named.values() if found), ())
        return Rerun(step, True, "eager", " ".join(notes), None, places, named, tried)
    if search.by_weight:
        notes.append("A weight was non-finite before the step.")
    if search.origin is None:
        return Rerun(step, True, "eager", " ".join(notes))
    places = examples(search.origin.bad, rows)
    operation = told(search.origin)
    return Rerun(step, True, "eager", " ".join(notes), operation, places, tried=tried)


def _bad_data(data: Any, bad: Sequence[Any], rows: int | None) -> dict[str, tuple[int, ...]]:
    """Rows of each part that is non-finite, by each name that it may be recorded under."""
    batch = [*Batch(data, is_unpacked=True).parts(), *Batch(data, is_unpacked=False).plain]
    return {
        part.name: examples(~np.isfinite(np.asarray(part.tensor).astype(np.complex128)), rows)
        for part in batch
        if any(part.tensor is each for each in bad)
    }


def _finite_note(search: Search, again: bool, mode: Mode) -> str:
    """Why a step may be finite operation by operation, and what is said of it nevertheless."""
    if search.is_random:
        return (
            "Run again from the same state with the same batch, it was finite: it draws numbers by "
            "`tf.random`, which cannot be drawn again."
        )
    computes = {"xla": "XLA compiles the step as a whole", "graph": "a graph fuses operations"}
    if again:  # As it was run in the training.
        return (
            f"Operation by operation it stays finite: {computes.get(mode, 'a graph')}, which "
            "computes differently. What is said here is of layers."
        )
    other = f"; or {computes[mode]}, which computes differently" if mode in computes else ""
    return (
        "Run again from the same state with the same batch, it was finite: it depends on something "
        f"besides these, such as an environment that it acts on{other}. What is said here is of "
        "layers."
    )
