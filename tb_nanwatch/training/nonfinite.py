"""Whether a value that a framework reports is NaN or infinite."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_nonfinite(value: Any) -> bool:
    """Whether any of it is; False for what is no number, as logs of a person's own may be."""
    try:
        return not np.all(np.isfinite(value))
    except (TypeError, ValueError):
        return False
