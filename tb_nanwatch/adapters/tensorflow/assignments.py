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


@contextmanager
def heard(hear: Callable[[Any], None]) -> Iterator[None]:
    """Until the block ends `hear` is called with the variable before each assignment.

    In this thread alone, and of assignments by the methods of `tf.Variable`.
    """
    thread = threading.get_ident()

    def hearing(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def assign(variable: Any, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == thread:
                hear(variable)
            return original(variable, *args, **kwargs)

        return assign

    originals = {name: getattr(BaseResourceVariable, name) for name in _METHODS}
    for name, original in originals.items():
        setattr(BaseResourceVariable, name, hearing(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(BaseResourceVariable, name, original)


def key_of(variable: Any) -> int:
    """What tells a variable from every other one, whichever object stands for it."""
    return id(variable.handle)
