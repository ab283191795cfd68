"""What TensorFlow builds at this moment: no graph, a graph, one that XLA compiles."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.private_api import private


def current_graph() -> Any:
    """The graph that is being built; None where operations run eagerly."""
    return tf.compat.v1.get_default_graph() if tf.inside_function() else None


def in_xla() -> bool:
    """Whether what is traced now is compiled by XLA."""
    graph, is_in_xla = current_graph(), private("in_xla_context")
    return graph is not None and is_in_xla is not None and bool(is_in_xla(graph))


def cached_in_context(make: Callable[..., Any]) -> Callable[..., Any]:
    """`functools.cache` for what belongs to TensorFlow's context, such as a `tf.function`.

    A context that was reset, as some tests do, takes all of it along.
    """
    known: dict[Any, Any] = {}
    owner: Any = None

    @functools.wraps(make)
    def cached(*key: Any) -> Any:
        nonlocal owner
        context = private("context")
        now = None if context is None else context()
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
    context = private("context")
    listening: list[Any] = [] if context is None else context().op_callbacks
    hidden = list(listening)
    listening.clear()
    try:
        yield
    finally:
        listening.extend(hidden)
