"""A branch as one node of the graph: next to no cost for what is not run."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def run_if(predicate: tf.Tensor, function: Callable[[], object]) -> None:
    """Runs `function` where the bool scalar `predicate` holds; eagerly, in graphs and under XLA."""

    def run() -> tf.Tensor:
        function()
        return tf.constant(True)

    choose(predicate, run, lambda: tf.constant(False))


def choose(
    predicate: tf.Tensor, then: Callable[[], tf.Tensor], otherwise: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """The bool scalar that `then` gives where the bool scalar `predicate` holds, or `otherwise`.

    In a graph that is one node, whose branches are functions. `tf.cond` by itself would be expanded
    into the graph, with a switch for each tensor that a branch uses: there those cost more in each
    step in which it does not run than looking at the tensors does.
    """
    if not tf.inside_function():
        return then() if predicate else otherwise()
    output = tf.cond(predicate, then, otherwise)
    (node,) = {source.op for source in output.op.inputs}
    set_attribute = getattr(node, "_set_attr", None)
    if set_attribute is not None:  # Else it is slower, and no more.
        set_attribute("_lower_using_switch_merge", tf.compat.v1.AttrValue(b=False))
    return output
