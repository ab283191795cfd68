"""A callback before or after each operation that runs eagerly in this thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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


@contextmanager
def before_operation(callback: Callable[[str, list[Any]], None]) -> Iterator[None]:
    """Calls `callback` with the type and the inputs of each operation, until the block ends.

    Where an operation takes lists of tensors, its inputs are the members of these. A function of
    TensorFlow's is one operation, and what it captures is among its inputs.

    Raises:
      RuntimeError: where this version of TensorFlow runs operations in another way.
    """
    fast_path, execute = private("pywrap_tfe"), private("execute")
    if fast_path is None or execute is None:
        raise RuntimeError("this version of TensorFlow does not show which operations run")

    def fast(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        _, kind, _, *inputs = args  # The context, and the name that the caller gave.
        callback(kind, _flat(inputs))
        return original(*args, **kwargs)

    def run(
        original: Callable[..., Any],
        op_name: Any,
        num_outputs: int,
        inputs: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        # The names are TensorFlow's: it passes these by name where it calls a function.
        callback(op_name if isinstance(op_name, str) else op_name.decode(), _flat(inputs))
        return original(op_name, num_outputs, inputs, *args, **kwargs)

    with patch_functions(
        FunctionPatch(fast_path, "TFE_Py_FastPathExecute", fast),
        FunctionPatch(execute, "execute", run),
        FunctionPatch(execute, "execute_with_cancellation", run),
    ):
        yield


def _flat(inputs: Iterable[Any]) -> list[Any]:
    return [
        each
        for value in inputs
        for each in (value if isinstance(value, (list, tuple)) else (value,))
    ]
