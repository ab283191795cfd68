"""What TensorFlow builds at this moment: no graph, a graph, one that XLA compiles."""

from __future__ import annotations

from collections.abc import Iterator
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
