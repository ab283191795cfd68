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
      producer: type of the operation that makes the first operand, where the replacement takes the
        place of both, and is called with what goes into it; "" otherwise.

    Attributes:
      calls: how often it ran.
    """

    def __init__(
        self,
        operation: TracedOperation,
        replacement: Callable[..., Any],
        owner_of: Callable[[Any], Owner | None],
        producer: str = "",
    ):
        self.calls = 0
        self._operation = operation
        self._replacement = replacement
        self._owner_of = owner_of
        self._producer = producer
        # The last result of that type, and what it was made of.
        self._produced: tuple[Any, Any] = None, None
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
            operands = rest[1:]  # After the name.
            if kind == self._producer and not self._is_paused:
                made = original(context, kind, *rest)
                self._produced = made, operands[0]
                return made
            if self._is_paused or kind != self._operation.type or not self._is_here(boundary):
                return original(context, kind, *rest)
            if self._producer:
                made, made_of = self._produced
                if made is not operands[0]:
                    return original(context, kind, *rest)
                operands = (made_of,)
            self._is_paused = True
            try:
                self.calls += 1
                return self._replacement(*operands)
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
