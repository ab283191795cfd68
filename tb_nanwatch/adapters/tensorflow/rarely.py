"""What is done in few steps only, at next to no cost in the others."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def rarely(predicate: tf.Tensor, function: Callable[[], None]) -> None:
    """Runs `function` where the bool scalar `predicate` holds; eagerly, in graphs and under XLA.

    In a graph that is one node, whose branches are functions. `tf.cond` would be expanded into the
    graph, with a switch for each tensor that `function` uses: there those cost more in each step in
    which it does not run than looking at the tensors does.
    """
    if not tf.inside_function():
        if predicate:
            function()
        return

    def run() -> tf.Tensor:
        function()
        return tf.zeros([], tf.int32)

    branch = tf.function(run, autograph=False).get_concrete_function()
    captured = branch.captured_inputs
    skip = tf.function(
        lambda *unused: tf.zeros([], tf.int32),
        autograph=False,
        input_signature=[tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in captured],
    )
    tf.raw_ops.If(
        cond=predicate,
        input=captured,
        Tout=[tf.int32],
        then_branch=branch,
        else_branch=skip.get_concrete_function(),
        output_shapes=[[]],
    )
