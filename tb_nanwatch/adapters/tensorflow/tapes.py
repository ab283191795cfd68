"""Hears what `tf.GradientTape` is asked to differentiate."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.python.autograph.impl.api import autograph_artifact
from tensorflow.python.eager import record

from tb_nanwatch.adapters.tensorflow.tensors import is_variable

Hear = Callable[[Any, Any], None]
"""Called with target and sources."""

_QUIET = ("jacobian", "batch_jacobian")
"""Methods that ask for the gradient of one element after another."""


class _Heard:
    """The exchange of a tape's methods: the first who hears puts it in, the last takes it out.

    Replicas run a step each in a thread of its own: each hears of its own thread alone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._originals: dict[str, Any] = {}
        self._local = threading.local()

    @contextmanager
    def by(self, hearers: tuple[Hear, ...]) -> Iterator[None]:
        """Until the block ends these and nobody else hear, in this thread."""
        before, self._local.hearers = self._hearers(), hearers
        try:
            yield
        finally:
            self._local.hearers = before

    def also_by(self, hear: Hear) -> Any:
        """Until the block ends `hear` hears, too, in this thread."""
        return self.by((*self._hearers(), hear))

    @contextmanager
    def put_in(self) -> Iterator[None]:
        """Has the methods exchanged until the block ends."""
        with self._lock:
            self._count += 1
            if self._count == 1:
                self._exchange()
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
                if self._count == 0:
                    self._put_back()

    def _hearers(self) -> tuple[Hear, ...]:
        return getattr(self._local, "hearers", ())

    def _exchange(self) -> None:
        for name, make in [
            ("gradient", self._gradient),
            *((each, self._silent) for each in _QUIET),
        ]:
            original = vars(tf.GradientTape)[name]
            self._originals[name] = original
            method = autograph_artifact(functools.wraps(original)(make(original)))
            setattr(tf.GradientTape, name, method)

    def _put_back(self) -> None:
        for name, original in self._originals.items():
            setattr(tf.GradientTape, name, original)

    def _gradient(self, original: Any) -> Any:
        def gradient(tape: Any, target: Any, sources: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(tape, target, sources, *args, **kwargs)
            hearers = self._hearers()
            if hearers and not _is_differentiated_again(tape):
                for hear in hearers:
                    hear(target, sources)
            return result

        return gradient

    def _silent(self, original: Any) -> Any:
        def method(*args: Any, **kwargs: Any) -> Any:
            with self.by(()):
                return original(*args, **kwargs)

        return method


_heard = _Heard()


@contextmanager
def differentiated_by_tapes(hear: Hear) -> Iterator[None]:
    """Until the block ends `hear` is told, in this thread, of each gradient that a tape has given.

    Not of one that another tape records: that is part of what is to be differentiated, as in a
    gradient penalty.
    """
    with _heard.put_in(), _heard.also_by(hear):
        yield


def _is_differentiated_again(tape: Any) -> bool:
    """Whether another tape records what this one does."""
    if not tape._recording:
        return bool(record.could_possibly_record())
    with tape.stop_recording():  # A persistent one that was asked in its own block.
        return bool(record.could_possibly_record())


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
