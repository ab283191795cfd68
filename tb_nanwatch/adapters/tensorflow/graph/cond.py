"""A conditional as one node of the graph: next to no cost for the branch that does not run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def run_if(predicate: tf.Tensor, function: Callable[[], object]) -> tf.Tensor:
    """Runs `function` where the bool scalar is True; eagerly, in graphs and under XLA.

    Returns:
      Bool scalar, whether it has run: what depends on it comes after.
    """

    def run() -> tf.Tensor:
        function()
        return tf.constant(True)

    return cond_without_lowering(predicate, run, lambda: tf.constant(False))


def cond_without_lowering(
    predicate: tf.Tensor, true_fn: Callable[[], tf.Tensor], false_fn: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """`tf.cond` of branches that return a bool scalar, kept as one node of the graph.

    TensorFlow lowers `tf.cond` into the graph, with a switch for each tensor that a branch uses.
    Even in steps that do not take the branch these cost more than checking the tensors does. One
    node runs on one device, though: where the branches use variables of several, it is lowered.
    """
    if not tf.inside_function():
        return true_fn() if predicate else false_fn()
    # No device of the step's own: TensorFlow runs each operation where its variable is.
    with tf.device(None):
        output = tf.cond(predicate, true_fn, false_fn)
    (node,) = {source.op for source in output.op.inputs}
    set_attribute = getattr(node, "_set_attr", None)
    # Without the attribute it is slower, and no more.
    if set_attribute is not None and not _uses_several_devices(node):
        set_attribute("_lower_using_switch_merge", tf.compat.v1.AttrValue(b=False))
    return output


def _uses_several_devices(node: Any) -> bool:
    outside = {id(inner): outer for outer, inner in node.graph.captures}
    handles = [outside.get(id(each), each) for each in node.inputs if each.dtype == tf.resource]
    return len({each.device for each in handles}) > 1
