"""The reference: every statistic of one tensor at one step, in NumPy, from the elements' bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.floats import COMPONENT, FloatFormat, bit_patterns
from tb_nanwatch.stats.histogram import Histograms, from_dense
from tb_nanwatch.stats.record import Matrix, empty_columns


def dense_histogram(values: npt.ArrayLike) -> tuple[FloatFormat, npt.NDArray[np.int64]]:
    """Counts by sign and exponent field: the format and int64 [format.bins].

    Every element is in one bin, NaN, infinities, zeros and subnormals in those of their fields.
    Raises TypeError for a dtype that is neither floating-point nor complex.
    """
    layout, bits = bit_patterns(values)
    index = (bits >> layout.mantissa_bits).astype(np.int64)
    return layout, np.bincount(index, minlength=layout.bins).astype(np.int64)


def exponent_histogram(values: npt.ArrayLike) -> Histograms:
    """The exponent histogram of one tensor, as `Histograms` of one row."""
    layout, counts = dense_histogram(values)
    return from_dense([layout], counts)[0]


def l2_norm(finite: Matrix) -> float:
    """The L2 norm of finite float64 values, without overflow or underflow on the way."""
    largest = float(np.max(np.abs(finite), initial=0.0))
    if largest == 0.0:
        return 0.0
    # frexp keeps the scale a power of two: dividing by it is exact.
    exponent = np.frexp(largest)[1]
    scaled = np.ldexp(finite, -exponent)
    with np.errstate(over="ignore"):
        return float(np.ldexp(np.sqrt(np.sum(scaled * scaled)), exponent))


def _count(where: npt.NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(where))


def statistics(values: npt.ArrayLike, step: int = 0) -> Matrix:
    """The columns of one tensor at one sampled step: float64 [len(COLUMNS)].

    Args:
      values: float16, bfloat16, float32, float64, complex64 or complex128, any shape. A complex
        number counts as two elements.
      step: the step; goes to the first and last non-finite step.

    NaN and infinities are counted, and left out of `min`, `max`, `sum`, `sum_squares` and
    `largest_norm`. Of no finite element `min` and `max` are NaN, the others 0.
    Raises TypeError for any other dtype.
    """
    layout, bits = bit_patterns(values)
    magnitude = bits & layout.magnitude_mask
    negative = bits > layout.magnitude_mask
    infinite = magnitude == layout.infinity
    is_finite = magnitude < layout.infinity
    smallest_normal = 1 << layout.mantissa_bits

    array = np.ascontiguousarray(values).reshape(-1)
    elements = array.view(COMPONENT[array.dtype.name]) if array.dtype.kind == "c" else array
    finite = elements[is_finite].astype(np.float64)
    norm = l2_norm(finite)
    counts: dict[str, int] = {
        "steps": 1,
        "elements": bits.size,
        "nan": _count(magnitude > layout.infinity),
        "pos_inf": _count(infinite & ~negative),
        "neg_inf": _count(infinite & negative),
        "sampled_steps": 1,
        "sampled_elements": bits.size,
        "sampled_finite": finite.size,
        "zero": _count(magnitude == 0),
        "subnormal": _count((magnitude > 0) & (magnitude < smallest_normal)),
    }
    row: Matrix = empty_columns(1)[0]
    for name, count in counts.items():
        row[COLUMN[name]] = count
    if finite.size < bits.size:
        row[COLUMN["nonfinite_steps"]] = 1
        row[[COLUMN["first_nonfinite_step"], COLUMN["last_nonfinite_step"]]] = step
    with np.errstate(over="ignore"):
        row[COLUMN["sum_squares"]] = np.float64(norm) ** 2
        row[COLUMN["sum"]] = finite.sum()
    row[COLUMN["largest_norm"]] = norm
    if finite.size:
        row[COLUMN["min"]] = finite.min()
        row[COLUMN["max"]] = finite.max()
    return row
