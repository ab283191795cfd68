"""Callbacks before a variable is written, and when one is read, by whatever code does so.

A value that is read in the callback needs no copy: writing to a variable whose buffer is in use
elsewhere allocates a new one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.function_patching import FunctionPatch, patch_functions
from tb_nanwatch.adapters.tensorflow.graph.variables import handle_of
from tb_nanwatch.adapters.tensorflow.private_api import private

_WRITING_METHODS = (
    "assign",
    "assign_add",
    "assign_sub",
    "batch_scatter_update",
    "scatter_add",
    "scatter_div",
    "scatter_max",
    "scatter_min",
    "scatter_mul",
    "scatter_nd_add",
    "scatter_nd_max",
    "scatter_nd_min",
    "scatter_nd_sub",
    "scatter_nd_update",
    "scatter_sub",
    "scatter_update",
)


@contextmanager
def on_variable_write(callback: Callable[[Any], None]) -> Iterator[None]:
    """Calls `callback` with the variable before each write, until the block ends.

    In this thread alone, and for writes by the methods of `tf.Variable`.
    """

    def write(original: Callable[..., Any], variable: Any, *args: Any, **kwargs: Any) -> Any:
        if handle_of(variable) is not None:  # Not the copies of all replicas as one.
            callback(variable)
        return original(variable, *args, **kwargs)

    patches = (FunctionPatch(owner, name, write) for owner, name in _writing_methods())
    with patch_functions(*patches):
        yield


@functools.cache
def _writing_methods() -> list[tuple[type, str]]:
    """The class and the name of every method that writes to a variable."""
    classes = _with_subclasses(tf.Variable)
    return [(owner, name) for owner in classes for name in _WRITING_METHODS if name in vars(owner)]


def _with_subclasses(base: type) -> Iterator[type]:
    """The class and its subclasses, which override methods of `tf.Variable`."""
    yield base
    subclasses: list[type] = base.__subclasses__()
    for each in subclasses:
        yield from _with_subclasses(each)


@contextmanager
def on_variable_read(callback: Callable[[Any], None]) -> Iterator[None]:
    """Calls `callback` with each variable that is read, until the block ends.

    In this thread alone. A variable that is passed to an operation without `tf.convert_to_tensor`
    is reported when the block ends if it is trainable, and not at all otherwise.
    """

    def read(original: Callable[..., Any], variable: Any) -> None:
        callback(variable)
        original(variable)

    operations, record = private("resource_variable_ops"), private("record")
    if operations is None or record is None:
        yield
        return
    with patch_functions(FunctionPatch(operations, "variable_accessed", read)):
        with record.VariableWatcher() as watcher:
            yield
        for variable in watcher.watched_variables():
            callback(variable)


def variable_key(variable: Any) -> int:
    """What identifies a variable, whichever Python object wraps it."""
    return id(variable.handle)
