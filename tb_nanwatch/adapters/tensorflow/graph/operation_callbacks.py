"""A callback after each operation that runs eagerly in this thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tb_nanwatch.adapters.tensorflow.graph.function_patching import FunctionPatch, patch_functions
from tb_nanwatch.adapters.tensorflow.private_api import private


@contextmanager
def on_operation(callback: Callable[..., None]) -> Iterator[None]:
    """Calls `callback` with each operation, as TensorFlow calls its own, until the block ends.

    `op_callbacks.add_op_callback` does this for all threads, and ends for all when one leaves.
    """
    context, execute = private("context"), private("execute")
    if context is None or execute is None:
        yield
        return

    def run(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return execute.execute_with_callbacks(*args, **kwargs)

    thread_context = context()
    with patch_functions(FunctionPatch(execute, "execute", run)):
        thread_context.add_op_callback(callback)
        try:
            yield
        finally:
            thread_context.remove_op_callback(callback)
