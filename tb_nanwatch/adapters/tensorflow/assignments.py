"""Hears of each variable before something is assigned to it, whoever does so.

What holds the value from before needs no copy of its own: an assignment to a variable whose buffer
somebody else holds makes a new one.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tensorflow.python.autograph.impl.api import autograph_artifact
from tensorflow.python.eager import record
from tensorflow.python.ops import resource_variable_ops
from tensorflow.python.ops.resource_variable_ops import BaseResourceVariable

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


class _Exchanged:
    """The methods, exchanged as long as any thread hears of them."""

    def __init__(self) -> None:
        self.local = threading.local()
        self._lock = threading.Lock()
        self._threads = 0
        self._methods: list[tuple[type, str, Any, Any]] = []

    def enter(self) -> None:
        with self._lock:
            self._threads += 1
            if self._threads == 1:
                # Made once: a step that runs eagerly comes here each time.
                self._methods = self._methods or list(self._made())
                for owner, name, _, method in self._methods:
                    setattr(owner, name, method)

    def leave(self) -> None:
        with self._lock:
            self._threads -= 1
            if self._threads == 0:
                for owner, name, original, _ in self._methods:
                    setattr(owner, name, original)

    def _made(self) -> Iterator[tuple[type, str, Any, Any]]:
        for owner in _classes(BaseResourceVariable):
            for name in _METHODS:
                if name in vars(owner):
                    original = vars(owner)[name]
                    yield owner, name, original, self._hearing(original)

    def _hearing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def assign(variable: Any, *args: Any, **kwargs: Any) -> Any:
            hear = getattr(self.local, "hear", None)
            if hear is not None:
                hear(variable)
            return original(variable, *args, **kwargs)

        autograph_artifact(assign)  # Else AutoGraph would turn it into a graph, too.
        return assign


_EXCHANGED = _Exchanged()


@contextmanager
def heard(hear: Callable[[Any], None]) -> Iterator[None]:
    """Until the block ends `hear` is called with the variable before each assignment.

    In this thread alone, and of assignments by the methods of `tf.Variable`.
    """
    before = getattr(_EXCHANGED.local, "hear", None)
    _EXCHANGED.enter()
    _EXCHANGED.local.hear = hear
    try:
        yield
    finally:
        _EXCHANGED.local.hear = before
        _EXCHANGED.leave()


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
    thread = threading.get_ident()
    original = resource_variable_ops.variable_accessed

    def accessed(variable: Any) -> None:
        if threading.get_ident() == thread:
            hear(variable)
        original(variable)

    resource_variable_ops.variable_accessed = accessed
    try:
        with record.VariableWatcher() as watcher:
            yield
        for variable in watcher.watched_variables():
            hear(variable)
    finally:
        resource_variable_ops.variable_accessed = original


def key_of(variable: Any) -> int:
    """What tells a variable from every other one, whichever object stands for it."""
    return id(variable.handle)
