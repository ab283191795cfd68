"""A branch as one node of the graph: next to no cost for what is not run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

    In a graph that is one node, whose branches are functions. `tf.cond` would be expanded into the
    graph, with a switch for each tensor that a branch uses: there those cost more in each step in
    which it does not run than looking at the tensors does.
    """
    if not tf.inside_function():
        return then() if predicate else otherwise()
    branches = [_traced(function) for function in (then, otherwise)]
    # Both take what either of them uses.
    used = {id(tensor): tensor for branch in branches for tensor in branch.captured_inputs}
    inputs = list(used.values())
    places = {key: number for number, key in enumerate(used)}
    (output,) = tf.raw_ops.If(
        cond=predicate,
        input=inputs,
        Tout=[tf.bool],
        then_branch=_with_inputs(branches[0], inputs, places),
        else_branch=_with_inputs(branches[1], inputs, places),
        output_shapes=[[]],
    )
    return output


def traced(function: Callable[[], tf.Tensor]) -> Callable[[], tf.Tensor]:
    """A function that may be called in several branches, and is traced once for all of them."""
    return _traced(function) if tf.inside_function() else function


def _traced(function: Callable[[], tf.Tensor]) -> Any:
    return tf.function(function, autograph=False).get_concrete_function()


def _with_inputs(branch: Any, inputs: list[tf.Tensor], places: dict[int, int]) -> Any:
    """The branch as a function of all the inputs, without captures of its own."""
    needed = [places[id(tensor)] for tensor in branch.captured_inputs]
    if needed == list(range(len(inputs))):
        return branch

    def run(*tensors: tf.Tensor) -> tf.Tensor:
        used = [tensors[place] for place in needed]
        (output,) = tf.raw_ops.StatefulPartitionedCall(args=used, Tout=[tf.bool], f=branch)
        return output

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs]
    return tf.function(run, autograph=False, input_signature=specs).get_concrete_function()
