"""Warnings, and trouble of our own, that cannot end the training that is watched."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_logger = logging.getLogger("tb_nanwatch")


def warn(message: str) -> None:
    """Issues a RuntimeWarning; where warnings are errors, logs it instead of raising."""
    try:
        warnings.warn(f"NaNWatch: {message}", RuntimeWarning, stacklevel=3)
    except RuntimeWarning:
        _logger.warning(message)


class Guard:
    """Has trouble of our own end what it guards, with one warning, and not the training.

    Args:
      consequence: what is so from then on, in sentences.

    Attributes:
      tripped: whether that has happened.
    """

    def __init__(self, consequence: str = "Training goes on, unrecorded from here.") -> None:
        self.tripped = False
        self._consequence = consequence

    @contextmanager
    def __call__(self, act: str) -> Iterator[None]:
        """Runs a block of ours that is to `act`; an Exception in it becomes the warning."""
        try:
            yield
        except Exception as error:
            self.trip(act, error)

    def trip(self, act: str, error: Exception) -> None:
        """What a block does that could not `act`."""
        if not self.tripped:
            self.tripped = True
            warn(
                f"could not {act} ({_summary(error)}). {self._consequence} "
                "Please report this with the model that shows it."
            )


def _summary(error: Exception) -> str:
    """The error's type and the first line of its text, which TensorFlow's tracebacks follow."""
    first, *_ = [*str(error).splitlines(), ""]
    return f"{type(error).__name__}: {first}"
