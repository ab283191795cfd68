"""A callback after each gradient that a `tf.GradientTape` computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.function_patching import FunctionPatch, patch_functions
from tb_nanwatch.adapters.tensorflow.graph.replicas import replica_label
from tb_nanwatch.adapters.tensorflow.graph.variables import is_variable
from tb_nanwatch.adapters.tensorflow.private_api import private

GradientCallback = Callable[[Any, Any, Any, Any], None]
"""Called with the tape, the target, the sources, and the gradients that the tape returned."""

_ELEMENTWISE = ("jacobian", "batch_jacobian")
"""Methods that compute the gradient of one element after another."""


@contextmanager
def on_tape_gradient(callback: GradientCallback) -> Iterator[None]:
    """Calls `callback` after each gradient that a tape returns, until the block ends.

    In this thread alone; in a replica, of this replica alone. Not for a gradient that another tape
    records: that is part of what will be differentiated, as in a gradient penalty.
    """
    is_elementwise = False
    replica = replica_label()

    def gradient(
        original: Callable[..., Any],
        tape: Any,
        target: Any,
        sources: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        result = original(tape, target, sources, *args, **kwargs)
        is_mine = not replica or replica == replica_label()
        if is_mine and not is_elementwise and not _is_differentiated_again(tape):
            callback(tape, target, sources, result)
        return result

    def without_callback(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        nonlocal is_elementwise
        before, is_elementwise = is_elementwise, True
        try:
            return original(*args, **kwargs)
        finally:
            is_elementwise = before

    with patch_functions(
        FunctionPatch(tf.GradientTape, "gradient", gradient),
        *(FunctionPatch(tf.GradientTape, name, without_callback) for name in _ELEMENTWISE),
    ):
        yield


def is_recorded() -> bool:
    """Whether a tape records what runs now."""
    record = private("record")
    return record is not None and bool(record.could_possibly_record())


def _is_differentiated_again(tape: Any) -> bool:
    """Whether another tape records what this one does."""
    if not getattr(tape, "_recording", False):
        return is_recorded()
    with tape.stop_recording():  # A persistent tape that was asked within its own block.
        return is_recorded()


def float_tensors(target: Any) -> list[tf.Tensor]:
    """The floating-point tensors of what a tape differentiates."""
    leaves = tf.nest.flatten(target)
    return [each for each in leaves if isinstance(each, tf.Tensor) and each.dtype.is_floating]


def variables_among(sources: Any) -> list[Any]:
    """The variables of what a tape differentiates with respect to."""
    return [each for each in tf.nest.flatten(sources) if is_variable(each)]
