"""Hears of each operation that runs eagerly in this thread, after it has run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tb_nanwatch.adapters.tensorflow.graph.function_patching import Exchange, exchanged
from tb_nanwatch.adapters.tensorflow.private_api import private


@contextmanager
def operations_heard(note: Callable[..., None]) -> Iterator[None]:
    """Until the block ends `note` is called with each operation, as TensorFlow calls its own.

    What `op_callbacks.add_op_callback` does for all threads, and undoes when the first leaves.
    """
    context, execute = private("context"), private("execute")
    if context is None or execute is None:
        yield
        return

    def run(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return execute.execute_with_callbacks(*args, **kwargs)

    listening = context()
    with exchanged(Exchange(execute, "execute", run)):
        listening.add_op_callback(note)
        try:
            yield
        finally:
            listening.remove_op_callback(note)
