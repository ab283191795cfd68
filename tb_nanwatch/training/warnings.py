"""Warnings that never end the training they are about."""

from __future__ import annotations

import warnings

from tb_nanwatch.training.console import logger


class NaNWatchWarning(UserWarning):
    """Something about the recording, not about the training itself, that the user should know."""


def warn(message: str) -> None:
    """Issues a NaNWatchWarning; where warnings are errors, logs it instead of raising."""
    try:
        warnings.warn(f"NaNWatch: {message}", NaNWatchWarning, stacklevel=3)
    except NaNWatchWarning:
        logger.warning(message)


class WarningCollector:
    """Collects what a step cannot record, and warns of it once, together.

    Collected while a step is traced or run, where a warning in the middle would be one a tensor.
    """

    def __init__(self) -> None:
        self._messages: dict[str, None] = {}
        self._skipped: dict[str, None] = {}
        self._missing: dict[str, str] = {}
        self._issued: set[str] = set()

    def add(self, message: str) -> None:
        """Adds a warning: a sentence or several."""
        if message not in self._issued:
            self._messages[message] = None

    def add_skipped(self, name: str, dtype: str) -> None:
        """Adds a tensor that cannot hold NaN or Inf, and so is not recorded."""
        entry = f"{name} ({dtype})"
        if entry not in self._issued:
            self._skipped[entry] = None

    def add_missing(self, role: str, remedy: str) -> None:
        """Adds a role of which a step computed nothing visible, and how to make it visible."""
        if role not in self._issued:
            self._missing[role] = remedy

    def flush(self) -> None:
        """Warns of what was added since the last time."""
        for message in self._messages:
            warn(message)
        self._issued |= {*self._messages, *self._skipped, *self._missing}
        if self._skipped:
            warn(
                "these tensors are not recorded, because their dtype cannot hold NaN or Inf: "
                f"{', '.join(self._skipped)}."
            )
        if self._missing:
            roles = list(self._missing)
            listed = " or ".join(filter(None, [", ".join(roles[:-1]), roles[-1]]))
            warn(
                f"no {listed} found in this train_step, so none is recorded. "
                f"{' '.join(self._missing.values())} "
                "Do this in train_step itself, not inside a nested tf.function, loop or branch."
            )
        for collected in (self._messages, self._skipped, self._missing):
            collected.clear()
