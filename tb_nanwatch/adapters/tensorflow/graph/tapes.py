"""Hears what `tf.GradientTape` is asked to differentiate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.function_patching import Exchange, exchanged
from tb_nanwatch.adapters.tensorflow.tensors import is_variable
from tb_nanwatch.adapters.tensorflow.tracing.operations import is_recorded

Hear = Callable[[Any, Any, Any, Any], None]
"""Called with the tape, target, sources, and what the tape has given."""

_QUIET = ("jacobian", "batch_jacobian")
"""Methods that ask for the gradient of one element after another."""


@contextmanager
def differentiated_by_tapes(hear: Hear) -> Iterator[None]:
    """Until the block ends `hear` is told, in this thread, of each gradient that a tape has given.

    Not of one that another tape records: that is part of what is to be differentiated, as in a
    gradient penalty.
    """
    is_quiet = False

    def gradient(
        original: Callable[..., Any],
        tape: Any,
        target: Any,
        sources: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        result = original(tape, target, sources, *args, **kwargs)
        if not is_quiet and not _is_differentiated_again(tape):
            hear(tape, target, sources, result)
        return result

    def quiet(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        nonlocal is_quiet
        before, is_quiet = is_quiet, True
        try:
            return original(*args, **kwargs)
        finally:
            is_quiet = before

    with exchanged(
        Exchange(tf.GradientTape, "gradient", gradient),
        *(Exchange(tf.GradientTape, name, quiet) for name in _QUIET),
    ):
        yield


def _is_differentiated_again(tape: Any) -> bool:
    """Whether another tape records what this one does."""
    if not getattr(tape, "_recording", False):
        return is_recorded()
    with tape.stop_recording():  # A persistent one that was asked in its own block.
        return is_recorded()


def scalars(target: Any) -> list[tf.Tensor]:
    """The scalars of what a tape was asked to differentiate."""
    leaves = tf.nest.flatten(target)
    return [
        each
        for each in leaves
        if isinstance(each, tf.Tensor) and each.shape.rank == 0 and each.dtype.is_floating
    ]


def variables(sources: Any) -> list[Any]:
    """The variables of what a tape was asked to differentiate by."""
    return [each for each in tf.nest.flatten(sources) if is_variable(each)]
