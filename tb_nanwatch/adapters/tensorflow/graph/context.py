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
    """Whether XLA compiles what is being traced."""
    graph, is_in_xla = current_graph(), private("in_xla_context")
    return graph is not None and is_in_xla is not None and bool(is_in_xla(graph))


def cached_in_context(make: Callable[..., Any]) -> Callable[..., Any]:
    """`functools.cache` for what belongs to TensorFlow's context, such as a `tf.function`.

    It is lost when the context is reset, as some tests do.
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
def without_op_callbacks() -> Iterator[None]:
    """Hides what is built or run within it from `tf.debugging`.

    `tf.debugging.enable_check_numerics` ends a training at any operation whose result is not
    finite, such as our sum of squares of large numbers.
    """
    context = private("context")
    callbacks: list[Any] = [] if context is None else context().op_callbacks
    hidden = list(callbacks)
    callbacks.clear()
    try:
        yield
    finally:
        callbacks.extend(hidden)
