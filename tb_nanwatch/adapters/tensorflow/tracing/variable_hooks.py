"""Hears of each variable before something is assigned to it, whoever does so.

What holds the value from before needs no copy of its own: an assignment to a variable whose buffer
somebody else holds makes a new one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.function_patching import Exchange, exchanged
from tb_nanwatch.adapters.tensorflow.private_api import private

_METHODS = (
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
def heard(hear: Callable[[Any], None]) -> Iterator[None]:
    """Until the block ends `hear` is called with the variable before each assignment.

    In this thread alone, and of assignments by the methods of `tf.Variable`.
    """

    def assign(original: Callable[..., Any], variable: Any, *args: Any, **kwargs: Any) -> Any:
        hear(variable)
        return original(variable, *args, **kwargs)

    with exchanged(*(Exchange(owner, name, assign) for owner, name in _methods())):
        yield


@functools.cache
def _methods() -> list[tuple[type, str]]:
    """The class and the name of every method that assigns."""
    classes = _classes(tf.Variable)
    return [(owner, name) for owner in classes for name in _METHODS if name in vars(owner)]


def _classes(base: type) -> Iterator[type]:
    """The class and those that are made of it: `tf.Variable`'s have methods of their own."""
    yield base
    subclasses: list[type] = base.__subclasses__()
    for each in subclasses:
        yield from _classes(each)


@contextmanager
def read_by(hear: Callable[[Any], None]) -> Iterator[None]:
    """Until the block ends `hear` is called with each variable that is read.

    In this thread alone. Of what is handed to an operation as it is, without `tf.convert_to_tensor`
    in between, trainable variables are heard of at the end, and others not at all.
    """

    def accessed(original: Callable[..., Any], variable: Any) -> None:
        hear(variable)
        original(variable)

    accesses, record = private("resource_variable_ops"), private("record")
    if accesses is None or record is None:
        yield
        return
    with exchanged(Exchange(accesses, "variable_accessed", accessed)):
        with record.VariableWatcher() as watcher:
            yield
        for variable in watcher.watched_variables():
            hear(variable)


def key_of(variable: Any) -> int:
    """What tells a variable from every other one, whichever object stands for it."""
    return id(variable.handle)
