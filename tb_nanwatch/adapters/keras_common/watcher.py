"""`nanwatch.Watcher`, which analyzes steps of a custom loop that go non-finite."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tb_nanwatch.adapters.tensorflow import watcher
from tb_nanwatch.adapters.tensorflow.tensors import NamedTensor
from tb_nanwatch.training.budget import DEFAULT_MAX_BYTES
from tb_nanwatch.training.failing_step.step_dump import DumpLevel, validate_dump_level
from tb_nanwatch.training.live_diagnosis import OnFinding
from tb_nanwatch.training.schedule import Every

if TYPE_CHECKING:
    from tb_nanwatch.adapters.keras_common.failing_step.loop import InstrumentedLoop

Function = TypeVar("Function", bound=Callable[..., Any])


class Watcher(watcher.Watcher):
    __doc__ = watcher.Watcher.__doc__

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        *,
        first_step: int = 0,
        every: Every = "auto",
        max_bytes: int = DEFAULT_MAX_BYTES,
        tensorboard_histograms: bool = False,
        blackbox: DumpLevel = "result",
        on_finding: OnFinding | None = None,
    ):
        validate_dump_level(blackbox)
        super().__init__(
            log_dir,
            first_step=first_step,
            every=every,
            max_bytes=max_bytes,
            tensorboard_histograms=tensorboard_histograms,
            on_finding=on_finding,
        )
        self._blackbox = blackbox
        self._loop: InstrumentedLoop | None = None

    @overload
    def step(self, function: Function, /, *, check_updates: bool = False) -> Function: ...

    @overload
    def step(
        self, function: None = None, /, *, check_updates: bool = False
    ) -> Callable[[Function], Function]: ...

    def step(self, function: Any = None, /, *, check_updates: bool = False) -> Any:
        """A decorator for the step function: re-runs a step that goes non-finite, and explains it.

        ::

            @watcher.step
            @tf.function(jit_compile=True)
            def train_step(x, y):
                ...

        The function may be a `tf.function`, compiled by XLA or not, or run eagerly. Where the loss
        or a gradient is not finite, the step's arguments and variables are saved before its update;
        then it goes on. After the call it is re-run, operation by operation, and everything is
        restored. A step that XLA compiles is re-run before its update instead.

        Side effects other than on variables (a hash table, a queue, `tf.numpy_function`) cannot be
        restored: such a step is not re-run, and one warning says so. Side effects of Python code in
        a step that runs eagerly, such as on an environment, cannot be detected: use
        `blackbox="off"` there, or they happen twice.

        Args:
          function: does one step, and calls `observe`.
          check_updates: whether to check the result of the update too, to find an operation of the
            optimizer itself that overflows. Takes a copy of what is updated, in each step.
        """
        if function is None:
            return lambda function: self.step(function, check_updates=check_updates)
        if not callable(function):
            raise TypeError(
                f"Expected the function that runs one step, got {type(function).__name__}."
            )
        if self._blackbox == "off":
            return function
        from tb_nanwatch.adapters.keras_common.failing_step.loop import InstrumentedLoop

        if self._loop is None:
            self._loop = InstrumentedLoop(
                self._log_dir, self._blackbox, self._recorder, self._error_guard
            )
        return self._loop.instrument(function, check_updates)

    def _add(self, tensors: list[NamedTensor], new_step: bool) -> None:
        if self._loop is None or not self._loop.collect(tensors, new_step):
            super()._add(tensors, new_step)

    def _end_step(self, nonfinite_steps: int) -> None:
        if self._loop is not None:
            self._loop.step_end(nonfinite_steps)
