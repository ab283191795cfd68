"""`nanwatch.Watcher` with a black box: steps of a custom loop that went non-finite run again."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tb_nanwatch.adapters.tensorflow import watcher
from tb_nanwatch.adapters.tensorflow.tensors import NamedTensor
from tb_nanwatch.training.budget import DEFAULT_MAX_BYTES
from tb_nanwatch.training.failing_step.step_dump import Kept, check_kept
from tb_nanwatch.training.schedule import Every

if TYPE_CHECKING:
    from tb_nanwatch.adapters.keras.failing_step.loop import ObservedLoop

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
        blackbox: Kept = "result",
    ):
        check_kept(blackbox)
        super().__init__(
            log_dir,
            first_step=first_step,
            every=every,
            max_bytes=max_bytes,
            tensorboard_histograms=tensorboard_histograms,
        )
        self._blackbox = blackbox
        self._loop: ObservedLoop | None = None

    @overload
    def step(self, function: Function, /, *, check_updates: bool = False) -> Function: ...

    @overload
    def step(
        self, function: None = None, /, *, check_updates: bool = False
    ) -> Callable[[Function], Function]: ...

    def step(self, function: Any = None, /, *, check_updates: bool = False) -> Any:
        """A decorator for the function that does one step: one that goes non-finite is run again.

        ::

            @watcher.step
            @tf.function(jit_compile=True)
            def train_step(x, y):
                ...

        The function may be a `tf.function`, compiled by XLA or not, or run eagerly. A step whose
        loss or gradients are not finite keeps its arguments and what variables hold before its
        update, which waits for that; then it goes on. After the call it is looked into: run once
        more, operation by operation, after which everything is put back. A step that XLA compiles
        holds its update back instead, and is run after it was looked into.

        What a step does besides changing variables cannot be put back (a hash table, a queue,
        `tf.numpy_function`): of such a step one warning says that it is not looked into. Where
        Python itself acts on the world in a step that runs eagerly, such as on an environment, use
        `blackbox="off"`: nobody can see that, and it would act once more.

        Args:
          function: does the step, and calls `observe`.
          check_updates: whether to look at what the update made, too, to name an operation of the
            optimizer itself that is at fault. That takes a copy of what is updated, in each step.
        """
        if function is None:
            return lambda function: self.step(function, check_updates=check_updates)
        if not callable(function):
            raise TypeError(
                f"Expected the function that does a step, got {type(function).__name__}."
            )
        if self._blackbox == "off":
            return function
        from tb_nanwatch.adapters.keras.failing_step.loop import ObservedLoop

        if self._loop is None:
            self._loop = ObservedLoop(self._log_dir, self._blackbox, self._recorder)
        return self._loop.observed(function, check_updates)

    def _take(self, tensors: list[NamedTensor], new_step: bool) -> None:
        if self._loop is None or not self._loop.takes(tensors, new_step):
            super()._take(tensors, new_step)

    def _step_ended(self, trips: int) -> None:
        if self._loop is not None:
            self._loop.step_end(trips)
