"""What TensorFlow builds at this moment: no graph, a graph, one that XLA compiles."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util


def current_graph() -> Any:
    """The graph that is being built; None where operations run eagerly."""
    return ops.get_default_graph() if tf.inside_function() else None


def in_xla() -> bool:
    """Whether what is traced now is compiled by XLA."""
    graph = current_graph()
    return graph is not None and bool(control_flow_util.GraphOrParentsInXlaContext(graph))


def cached_in_context(make: Callable[..., Any]) -> Callable[..., Any]:
    """`functools.cache` for what belongs to TensorFlow's context, such as a `tf.function`.

    A context that was reset, as some tests do, takes all of it along.
    """
    known: dict[Any, Any] = {}
    owner: Any = None

    @functools.wraps(make)
    def cached(*key: Any) -> Any:
        nonlocal owner
        now = context.context()
        if owner is not now:
            known.clear()
            owner = now
        if key not in known:
            known[key] = make(*key)
        return known[key]

    return cached


@contextmanager
def unseen() -> Iterator[None]:
    """Keeps what is built or run within it from TensorFlow's own debuggers.

    `tf.debugging.enable_check_numerics` ends a training at any operation whose result is not
    finite, and the sum of squares of large numbers is not.
    """
    listening: list[Any] = context.context().op_callbacks
    hidden = list(listening)
    listening.clear()
    try:
        yield
    finally:
        listening.extend(hidden)
