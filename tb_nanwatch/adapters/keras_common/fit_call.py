"""One call of `fit`: what it was given, and its end, which Keras does not tell where it raises."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from tb_nanwatch.adapters.keras_common.framework import loaded_frameworks

_MOST_FRAMES = 24
"""Between Keras' `fit` and us: its wrappers, its list of callbacks, and methods of subclasses."""


class FitCall:
    """Follows one call of `fit`, to be made in `on_train_begin`.

    `fit` has a CallbackList of its own, which lives no longer than the call: where that ends by an
    exception, in another callback, in the data or by Ctrl-C, it is freed with the frames of `fit`.

    Args:
      on_abandoned: called then, if the call has not ended before.
    """

    def __init__(self, on_abandoned: Callable[[], object]):
        self._on_abandoned: Callable[[], object] | None = on_abandoned
        callers = _caller(sys._getframe(1))
        if callers is not None:
            weakref.finalize(callers, self._abandon).atexit = False

    def end(self) -> None:
        """The call has ended as it should."""
        self._on_abandoned = None

    def _abandon(self) -> None:
        on_abandoned, self._on_abandoned = self._on_abandoned, None
        if on_abandoned is not None:
            on_abandoned()


def argument_of_fit(model: Any, name: str) -> Any:
    """What the running `fit` of this model has for an argument; None where none is running."""
    for frame in _frames(sys._getframe(1)):
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return frame.f_locals.get(name)
    return None


def _caller(frame: FrameType) -> Any:
    """The list whose method has called us; None for a loop that calls its callbacks itself."""
    kinds = tuple(each.keras.callbacks.CallbackList for each in loaded_frameworks())
    owners = (each.f_locals.get("self") for each in _frames(frame))
    return next((each for each in owners if isinstance(each, kinds)), None)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The frame and those that called it, as far as Keras' own may be among them."""
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return
        yield frame
        frame = frame.f_back
