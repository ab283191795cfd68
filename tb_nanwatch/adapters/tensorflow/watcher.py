"""Records every step of a custom training loop, compiled by XLA or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.operations import is_tracing
from tb_nanwatch.adapters.tensorflow.recorder import Recorder
from tb_nanwatch.adapters.tensorflow.replicas import is_mirrored, is_supported
from tb_nanwatch.adapters.tensorflow.tensors import (
    VARIABLES,
    NamedTensor,
    Unwatched,
    flatten_data,
    is_pairs,
    is_variable,
    listed,
    parent,
    variable_path,
    with_unique_names,
)
from tb_nanwatch.format.roles import FLOW, check_role
from tb_nanwatch.training.budget import DEFAULT_MAX_BYTES
from tb_nanwatch.training.schedule import Every, Schedule


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

    `@watcher.step` may be left out: it has a step that goes non-finite run once more, operation by
    operation, to name the operation and the source line.

    With a MirroredStrategy or a MultiWorkerMirroredStrategy call `observe` in the function that
    `strategy.run` runs: each replica's tensors are recorded apart, and what all replicas hold
    alike once.

    Args:
      log_dir: the run's directory, on any file system that `tf.io.gfile` knows; events go into its
        subdirectory "nanwatch", and there into one for each of several workers.
      first_step: the step that the first `observe` is; a resumed training goes on where it was.
      every, max_bytes, tensorboard_histograms, blackbox: as in `nanwatch.Callback`.

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
    ):
        self._recorder = Recorder(
            log_dir,
            "Watcher",
            Schedule(every, max_bytes),
            tensorboard_histograms=tensorboard_histograms,
        )
        self._log_dir = os.fspath(log_dir)
        self._recorder.begin(int(first_step))
        self._unwatched = Unwatched()

    def observe(self, *, new_step: bool = True, **data: Any) -> None:
        """In the step: takes in what it shows.

        Args:
          new_step: False in any further call for the same step.
          **data: by role (`format.roles`), such as `gradient=...`: a tensor; a mapping, list or
            tuple of tensors, nested or not; variables; or (gradient, variable) pairs. Pass
            `weight` after the update, to see what the step leaves behind. Integers are left out,
            with one warning.

        Raises:
          ValueError: for an unknown role.
        """
        for role in data:
            check_role(role)
        if is_tracing():  # The step was observed already; it is run again to look into it.
            return
        if not is_supported(tf.distribute.get_strategy()):
            raise NotImplementedError(
                f"Watcher.observe was called under {type(tf.distribute.get_strategy()).__name__}; "
                "it records replicas of MirroredStrategy and MultiWorkerMirroredStrategy. Call it "
                "outside strategy.run, on values that are reduced over the replicas."
            )
        tensors = [
            tensor
            for role in sorted(data, key=FLOW.__getitem__)
            for tensor in self._named(role, data[role])
        ]
        if not tensors:
            self._unwatched.note(
                "Watcher.observe was given no tensor that can be recorded; no step is counted."
            )
        self._take(with_unique_names(tensors), new_step)

    def _take(self, tensors: list[NamedTensor], new_step: bool) -> None:
        self._recorder.add(tensors, new_step=new_step)

    def step_end(self) -> bool:
        """On the host, after the step: writes what is due, and prints what is found to be wrong.

        True where a step was non-finite.
        """
        self._unwatched.tell()
        signal = self._recorder.step_end()
        self._recorder.diagnosis.print_new_findings()
        self._step_ended(signal.trips)
        return signal.trips > 0

    def _step_ended(self, trips: int) -> None:
        """On the host, after each step: so many since the last record were non-finite."""

    def close(self) -> None:
        """Writes the open window and closes the file."""
        self._recorder.close()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _named(self, role: str, data: Any) -> Iterator[NamedTensor]:
        data = listed(data)
        if is_pairs(data):
            for gradient, variable in data:
                if gradient is not None:
                    yield from self._name_variable(role, variable, gradient)
            return
        for path, leaf in flatten_data(data, role):
            if is_variable(leaf):
                yield from self._name_variable(role, leaf, leaf)
            else:
                batch = role in ("input", "target", "prediction", "activation")
                yield from self._unwatched.watchable(role, "", path, leaf, batch=batch)

    def _name_variable(self, role: str, variable: Any, value: Any) -> Iterator[NamedTensor]:
        path = variable_path(variable)
        mirrored = role in VARIABLES and is_mirrored(variable)
        yield from self._unwatched.watchable(
            role, parent(path), path, value, shape=variable.shape, mirrored=mirrored
        )
