"""`nanwatch.Watcher` with a black box: steps of a custom loop that went non-finite run again."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tb_nanwatch.adapters.tensorflow import watcher
from tb_nanwatch.adapters.tensorflow.tensors import NamedTensor
from tb_nanwatch.blackbox.case import Kept, check_kept
from tb_nanwatch.writer.budget import DEFAULT_MAX_BYTES
from tb_nanwatch.writer.schedule import Every

if TYPE_CHECKING:
    from tb_nanwatch.adapters.keras.loop import ObservedLoop

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
    def step(self, function: Function, /, *, copies: bool = False) -> Function: ...

    @overload
    def step(
        self, function: None = None, /, *, copies: bool = False
    ) -> Callable[[Function], Function]: ...

    def step(self, function: Any = None, /, *, copies: bool = False) -> Any:
        """A decorator for the function that does one step: one that goes non-finite is run again.

        ::

            @watcher.step
            @tf.function(jit_compile=True)
            def train_step(x, y):
                ...

        The function may be a `tf.function`, compiled by XLA or not, or run eagerly. Its arguments
        are held by reference. A step that updates by the `apply` or `apply_gradients` of one Keras
        optimizer withholds that on the device where its loss or a gradient is not finite, and
        keeps no copy of weights. Of what it assigns otherwise (metrics, seeds, statistics, weights
        that it updates by itself) it keeps the value from before, until it ends.

        Args:
          function: does the step, and calls `observe`.
          copies: whether to keep the values from before of what optimizers update, too, as much
            memory again: so that a step can be run again that has several updates, as a GAN's, or
            whose gradients are finite and whose update is not.
        """
        if function is None:
            return lambda function: self.step(function, copies=copies)
        if not callable(function):
            raise TypeError(
                f"Expected the function that does a step, got {type(function).__name__}."
            )
        if self._blackbox == "off":
            return function
        from tb_nanwatch.adapters.keras.loop import ObservedLoop

        if self._loop is None:
            self._loop = ObservedLoop(self._log_dir, self._blackbox, self._recorder)
        return self._loop.observed(function, copies)

    def _take(self, tensors: list[NamedTensor], new_step: bool) -> None:
        if self._loop is None or not self._loop.takes(tensors, new_step):
            super()._take(tensors, new_step)

    def _step_ended(self, trips: int) -> None:
        if self._loop is not None:
            self._loop.step_end(trips)
