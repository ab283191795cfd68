"""How far tensors are from overflow.

    headroom = log10(largest finite number of the dtype) - log10(largest absolute value)

in decades: 0 at the largest number that the dtype has, 1 where ten times as much would still be
finite. A tensor of zeros has infinite headroom. float16 ends at 65,504, so that a value of 1 has a
headroom of 4.8 decades there, of 38.5 in float32 and bfloat16.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tb_nanwatch.stats.floats import COMPONENT, float_format
from tb_nanwatch.stats.record import Matrix


def log_largest(dtypes: Iterable[str]) -> Matrix:
    """log10 of the largest finite number of each dtype, float64 [dtypes]; NaN for an unknown one.

    Of a complex dtype it is that of its real and its imaginary part.
    """
    return np.array(
        [np.log10(float_format(name).largest) if name in COMPONENT else np.nan for name in dtypes]
    )


def headroom(log_magnitudes: npt.NDArray[np.floating], largest: Matrix) -> Matrix:
    """Decades that are left, of the shape of both arguments together.

    Args:
      log_magnitudes: log10 of the largest absolute values: -inf for 0, NaN for nothing.
      largest: from `log_largest`.
    """
    left: Matrix = largest - log_magnitudes
    return left
