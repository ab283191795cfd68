"""Runs something else in place of one operation, wherever one line of source calls it eagerly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.function_patching import (
    FunctionPatch,
    patch_functions,
)
from tb_nanwatch.adapters.tensorflow.private_api import private
from tb_nanwatch.adapters.tensorflow.tracing.operations import called_from
from tb_nanwatch.training.failing_step.trace import Owner, TracedOperation


class StandIn:
    """Has a function run in place of an operation, with the gradient of that function.

    Args:
      operation: as it ran in the step: every operation of its type that comes from the same line,
        or from the same layer where no line of the user's leads there, is replaced.
      replacement: called with the operands in its place.
      owner_of: as `trace_operations` takes it.

    Attributes:
      calls: how often it ran.
    """

    def __init__(
        self,
        operation: TracedOperation,
        replacement: Callable[..., Any],
        owner_of: Callable[[Any], Owner | None],
    ):
        self.calls = 0
        self._operation = operation
        self._replacement = replacement
        self._owner_of = owner_of
        self._is_paused = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Until the block ends, in this thread; of what runs eagerly, gradients left out."""
        module = private("pywrap_tfe")
        if module is None:
            yield
            return
        boundary = sys._getframe(2)

        def run(original: Callable[..., Any], context: Any, kind: Any, *rest: Any) -> Any:
            if self._is_paused or kind != self._operation.type or not self._is_here(boundary):
                return original(context, kind, *rest)
            self._is_paused = True
            try:
                self.calls += 1
                return self._replacement(*rest[1:])  # After the name.
            finally:
                self._is_paused = False

        def gradient(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            before, self._is_paused = self._is_paused, not self._operation.is_backward
            try:
                return original(*args, **kwargs)
            finally:
                self._is_paused = before

        with patch_functions(
            FunctionPatch(module, "TFE_Py_FastPathExecute", run),
            FunctionPatch(tf.GradientTape, "gradient", gradient),
        ):
            yield

    def _is_here(self, boundary: FrameType) -> bool:
        """Whether what runs now is called from where the operation was."""
        call_site, owner = called_from(sys._getframe(2), boundary, self._owner_of)
        wanted = self._operation.call_site
        if wanted is None or call_site is None:
            return call_site is wanted and owner.layer == self._operation.layer
        return call_site[:2] == wanted[:2]
