"""A conditional as one node of the graph: next to no cost for the branch that does not run."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def run_if(predicate: tf.Tensor, function: Callable[[], object]) -> None:
    """Runs `function` where the bool scalar is True; eagerly, in graphs and under XLA."""

    def run() -> tf.Tensor:
        function()
        return tf.constant(True)

    cond_without_lowering(predicate, run, lambda: tf.constant(False))


def cond_without_lowering(
    predicate: tf.Tensor, true_fn: Callable[[], tf.Tensor], false_fn: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """`tf.cond` of branches that return a bool scalar, kept as one node of the graph.

    TensorFlow lowers `tf.cond` into the graph, with a switch for each tensor that a branch uses.
    Even in steps that do not take the branch these cost more than checking the tensors does.
    """
    if not tf.inside_function():
        return true_fn() if predicate else false_fn()
    output = tf.cond(predicate, true_fn, false_fn)
    (node,) = {source.op for source in output.op.inputs}
    set_attribute = getattr(node, "_set_attr", None)
    if set_attribute is not None:  # Otherwise it is slower, and no more.
        set_attribute("_lower_using_switch_merge", tf.compat.v1.AttrValue(b=False))
    return output
