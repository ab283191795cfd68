"""One call of `fit`, which Keras ends without a notice where anything in it raises."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from tb_nanwatch.adapters.keras_common.framework import loaded_frameworks

_MOST_FRAMES = 16
"""Between Keras' call and ours: `on_train_begin` of subclasses."""


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


def _caller(frame: FrameType | None) -> Any:
    """The list whose method has called us; None for a loop that calls its callbacks itself."""
    kinds = tuple(each.keras.callbacks.CallbackList for each in loaded_frameworks())
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return None
        owner = frame.f_locals.get("self")
        if isinstance(owner, kinds):
            return owner
        frame = frame.f_back
    return None
