"""Which magnitudes are large for a dtype."""

from __future__ import annotations

import numpy as np

from tb_nanwatch.stats.floats import COMPONENT, FORMATS, float_format


def huge(dtype: str) -> float:
    """A magnitude from which on overflow is what is at work; of float32 for an unknown dtype.

    Near to whose square nothing fits; of float16, whose squares overflow at 256 already, a
    hundredth of its largest number.
    """
    layout = float_format(dtype) if dtype in COMPONENT else FORMATS["float32"]
    return (
        layout.largest / 100
        if layout.bits == 16 and layout.exponent_bits == 5
        else (float(np.sqrt(layout.largest)) / 1e3)
    )
