"""Warnings that cannot end the training they are about."""

from __future__ import annotations

import logging
import warnings

logger = logging.getLogger("tb_nanwatch")


def warn(message: str) -> None:
    """Issues a RuntimeWarning; where warnings are errors, logs it instead of raising."""
    try:
        warnings.warn(f"NaNWatch: {message}", RuntimeWarning, stacklevel=3)
    except RuntimeWarning:
        logger.warning(message)
