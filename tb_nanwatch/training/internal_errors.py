"""Keeps NaNWatch's own errors out of the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tb_nanwatch.training.warnings import warn

_DEFAULT = "Training continues, but is not recorded from here on."


class InternalErrorGuard:
    """Turns an error of NaNWatch's own into one warning.

    Args:
      consequence: what no longer works from then on, in sentences.

    Attributes:
      has_failed: whether there was such an error.
    """

    def __init__(self, consequence: str = _DEFAULT) -> None:
        self.has_failed = False
        self._consequence = consequence

    @contextmanager
    def __call__(self, action: str) -> Iterator[None]:
        """Runs a block that performs `action`; an Exception in it becomes the warning."""
        try:
            yield
        except Exception as error:
            self.fail(action, error)

    def fail(self, action: str, error: Exception) -> None:
        """Warns, the first time, that NaNWatch could not perform `action`."""
        if not self.has_failed:
            self.has_failed = True
            warn(
                f"could not {action} ({_summary(error)}). {self._consequence} "
                "This is a bug in NaNWatch: please report it with the model that triggers it."
            )


def _summary(error: Exception) -> str:
    """The error's type and the first line of its message, which TensorFlow's traceback follows."""
    first, *_ = [*str(error).splitlines(), ""]
    return f"{type(error).__name__}: {first}"
