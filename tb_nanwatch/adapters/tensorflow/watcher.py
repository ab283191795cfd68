"""Records every step of a custom training loop, compiled by XLA or not."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.facts import framework_facts
from tb_nanwatch.adapters.tensorflow.graph.replicas import is_mirrored, is_supported
from tb_nanwatch.adapters.tensorflow.graph.variables import is_variable, variable_path
from tb_nanwatch.adapters.tensorflow.recorder import Recorder
from tb_nanwatch.adapters.tensorflow.tensors import (
    VARIABLES,
    NamedTensor,
    VariableFacts,
    as_list,
    flatten_data,
    is_pairs,
    parent_path,
    recordable,
    with_unique_names,
)
from tb_nanwatch.adapters.tensorflow.tracing.operations import is_tracing
from tb_nanwatch.format.roles import FLOW, check_role
from tb_nanwatch.training import open_windows
from tb_nanwatch.training.budget import DEFAULT_MAX_BYTES
from tb_nanwatch.training.internal_errors import InternalErrorGuard
from tb_nanwatch.training.live_diagnosis import OnFinding
from tb_nanwatch.training.schedule import Every, Schedule
from tb_nanwatch.training.warnings import WarningCollector


class Watcher:
    """Records the numerical health of every step of a custom training loop.

    ::

        watcher = nanwatch.Watcher("logs/run1")

        @watcher.step
        @tf.function(jit_compile=True)
        def train_step(x, y):
            with tf.GradientTape() as tape:
                loss = loss_fn(y, model(x, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
            watcher.observe(
                input=x,
                loss=loss,
                gradient=zip(gradients, model.trainable_variables),
                weight=model.variables,
            )

        with watcher:
            for x, y in data:
                train_step(x, y)
                watcher.step_end()

    `@watcher.step` is optional: it re-runs a step that goes non-finite, operation by operation, to
    name the operation and the source line.

    With a MirroredStrategy or a MultiWorkerMirroredStrategy, call `observe` in the function that
    `strategy.run` runs: each replica's tensors are recorded separately, and mirrored variables
    once.

    Args:
      log_dir: the run's directory, on any file system that `tf.io.gfile` knows; events go into its
        subdirectory "nanwatch", and there into one for each of several workers.
      first_step: the number of the first step, such as where a resumed training continues.
      every, max_bytes, tensorboard_histograms, blackbox, on_finding: as in `nanwatch.Callback`.

    Raises:
      ValueError: for an `every` or `max_bytes` below 1, or an unknown `blackbox`.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        *,
        first_step: int = 0,
        every: Every = "auto",
        max_bytes: int = DEFAULT_MAX_BYTES,
        tensorboard_histograms: bool = False,
        on_finding: OnFinding | None = None,
    ):
        self._recorder = Recorder(
            log_dir,
            "Watcher",
            Schedule(every, max_bytes),
            tensorboard_histograms=tensorboard_histograms,
            on_finding=on_finding,
        )
        self._log_dir = os.fspath(log_dir)
        self._recorder.describe(framework_facts())
        self._recorder.begin(int(first_step))
        self._warnings = WarningCollector()
        self._error_guard = InternalErrorGuard(
            "The loop continues, but is not recorded from here on, and step_end returns False."
        )
        self._is_open = self._has_observed = False
        # One that is dropped before it is closed; the exit of the interpreter is seen to apart.
        weakref.finalize(self, open_windows.abandon, self._recorder).atexit = False

    def observe(self, *, new_step: bool = True, **data: Any) -> None:
        """In the step: records its tensors.

        Args:
          new_step: False in any further call for the same step.
          **data: by role (`format.roles`), such as `gradient=...`: a tensor; a mapping, list or
            tuple of tensors, nested or not; variables; or (gradient, variable) pairs. Pass
            `weight` after the update, to record its result. Integer inputs and targets, such as
            ids and labels, are recorded as float32; other integers are left out with one warning.

        Raises:
          ValueError: for an unknown role.
        """
        for role in data:
            check_role(role)
        self._has_observed = True
        if is_tracing():  # A rerun of a step that was recorded already.
            return
        if not is_supported(tf.distribute.get_strategy()):
            raise NotImplementedError(
                f"Watcher.observe was called under {type(tf.distribute.get_strategy()).__name__}; "
                "it records replicas of MirroredStrategy and MultiWorkerMirroredStrategy. Call it "
                "outside strategy.run, on values that are reduced over the replicas."
            )
        with self._error_guard("record a step"):
            if not self._error_guard.has_failed:
                self._observe(data, new_step)

    def _observe(self, data: Mapping[str, Any], new_step: bool) -> None:
        tensors = [
            tensor
            for role in sorted(data, key=FLOW.__getitem__)
            for tensor in self._named(role, data[role])
        ]
        if not tensors:
            self._warnings.add(
                "Watcher.observe got no tensor that can be recorded, so it counts no step. Pass it "
                "tensors of a floating-point dtype, such as the loss and the gradients."
            )
        self._add(with_unique_names(tensors), new_step)

    def _add(self, tensors: list[NamedTensor], new_step: bool) -> None:
        self._recorder.add(tensors, new_step=new_step)

    def step_end(self) -> bool:
        """On the host, after the step: writes the records that are due, and logs new findings.

        Returns:
          Whether a step was non-finite.
        """
        if not self._has_observed:
            self._warnings.add(
                "Watcher.step_end was called, Watcher.observe never was: nothing is recorded. "
                "In the step, call watcher.observe(loss=loss, gradient=zip(gradients, variables))."
            )
        self._warnings.flush()
        if not self._is_open:
            self._is_open = True
            open_windows.begin_training(self._recorder)
        with self._error_guard("record a step"):
            if not self._error_guard.has_failed:
                counters = self._recorder.step_end()
                self._recorder.diagnosis.log_new_findings()
                self._end_step(counters.nonfinite_steps)
                return counters.nonfinite_steps > 0
        return False

    def _end_step(self, nonfinite_steps: int) -> None:
        """On the host, after each step: so many since the last record were non-finite."""

    def close(self) -> None:
        """Writes the open window and closes the file."""
        with self._error_guard("record the last steps"):
            self._recorder.close()
        self._is_open = False
        open_windows.end_training(self._recorder)

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _named(self, role: str, data: Any) -> Iterator[NamedTensor]:
        data = as_list(data)
        if is_pairs(data):
            for gradient, variable in data:
                if gradient is not None:
                    yield from self._name_variable(role, variable, gradient)
            return
        for path, leaf in flatten_data(data, role):
            if is_variable(leaf):
                yield from self._name_variable(role, leaf, leaf)
            else:
                is_batch = role in ("input", "target", "prediction", "activation")
                # Ids and labels are ordinary; any other integer is a mistake.
                is_requested = role not in ("input", "target")
                yield from recordable(
                    self._warnings, role, "", path, leaf, is_requested=is_requested, batch=is_batch
                )

    def _name_variable(self, role: str, variable: Any, value: Any) -> Iterator[NamedTensor]:
        path = variable_path(variable)
        mirrored = role in VARIABLES and is_mirrored(variable)
        yield from recordable(
            self._warnings,
            role,
            parent_path(path),
            path,
            value,
            shape=variable.shape,
            mirrored=mirrored,
            variable=VariableFacts(getattr(variable, "trainable", None)),
            is_requested=False,  # A model has counters and seeds among its variables.
        )
