"""Bit layout of the floating-point formats whose values are counted by their bits.

By their bits, because arithmetic may not see a subnormal: TensorFlow on CPU flushes 1e-39 to zero
in comparisons as well as in sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class FloatFormat:
    """An IEEE 754 binary interchange format, or bfloat16, which is laid out like one.

    Attributes:
      name: NumPy's name of the dtype.
      bits: width of one element.
      exponent_bits: width of the exponent field.
      mantissa_bits: width of the fraction field.
    """

    name: str
    bits: int
    exponent_bits: int
    mantissa_bits: int

    @property
    def bias(self) -> int:
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def exponent_mask(self) -> int:
        """The exponent field of infinities and NaNs; field 0 is of zeros and subnormals."""
        return (1 << self.exponent_bits) - 1

    @property
    def bins(self) -> int:
        """Number of values that sign and exponent field can take together."""
        return 1 << (1 + self.exponent_bits)

    @property
    def magnitude_mask(self) -> int:
        """All bits but the sign."""
        return (1 << (self.bits - 1)) - 1

    @property
    def infinity(self) -> int:
        """The bits of +Inf; a larger magnitude is a NaN."""
        return self.exponent_mask << self.mantissa_bits

    @property
    def largest_exponent(self) -> int:
        """Binary exponent of the largest finite number."""
        return self.bias

    @property
    def smallest_exponent(self) -> int:
        """Binary exponent of the smallest normal number."""
        return 1 - self.bias

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2.0 - 2.0**-self.mantissa_bits) * 2.0**self.largest_exponent

    @property
    def smallest_normal(self) -> float:
        """The smallest positive number that has all its digits."""
        return 2.0**self.smallest_exponent

    @property
    def smallest_subnormal(self) -> float:
        """The smallest positive number; half of it or less rounds to zero."""
        return 2.0 ** (self.smallest_exponent - self.mantissa_bits)


FORMATS: dict[str, FloatFormat] = {
    format.name: format
    for format in (
        FloatFormat("float16", 16, 5, 10),
        FloatFormat("bfloat16", 16, 8, 7),
        FloatFormat("float32", 32, 8, 23),
        FloatFormat("float64", 64, 11, 52),
    )
}

COMPONENT: dict[str, str] = {
    **{name: name for name in FORMATS},
    "complex64": "float32",
    "complex128": "float64",
}
"""Dtypes that are watched, and the format of their elements: a complex number counts as two, its
real and its imaginary part."""


def holds_nonfinite(dtype: np.dtype[Any]) -> bool:
    """Whether elements of this dtype may be NaN or infinite, and are watched.

    `np.issubdtype(dtype, np.inexact)` does not know bfloat16.
    """
    return dtype.name in COMPONENT


def float_format(dtype_name: str) -> FloatFormat:
    """The format of the elements of this dtype; TypeError naming the known dtypes for any other."""
    if dtype_name not in COMPONENT:
        raise TypeError(
            f"Cannot take statistics of dtype {dtype_name}: expected one of "
            f"{', '.join(COMPONENT)}. Cast the tensor first, or leave it out."
        )
    return FORMATS[COMPONENT[dtype_name]]


def bit_patterns(values: npt.ArrayLike) -> tuple[FloatFormat, npt.NDArray[np.unsignedinteger]]:
    """The elements of `values` as unsigned integers, flat, with their format.

    Complex numbers become twice as many elements. Raises TypeError for other dtypes.
    """
    array = np.ascontiguousarray(values).reshape(-1)
    layout = float_format(array.dtype.name)
    bits = array.view(np.dtype(f"u{layout.bits // 8}"))
    return layout, bits


def decode_extremes(
    layout: FloatFormat, keys: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(minimum, maximum) of finite elements, float64 [tensors], from extremes of their bits.

    Args:
      layout: the format of the elements.
      keys: int64 [tensors, 3] of the elements' bits taken as signed integers: the largest, the
        smallest, and the largest with the sign bit flipped. The keys of no element decode to
        numbers without meaning.

    Non-negative floats order like their bits, negative ones the other way round. So the maximum is
    the largest key, or, where all are negative, the smallest; and the minimum is the negative one
    of the largest magnitude, or, where there is none, the smallest key.
    """
    largest, smallest, flipped = keys.T
    sign_bit = -(1 << (layout.bits - 1))
    high = np.where(largest >= 0, largest, smallest)
    low = np.where(flipped >= 0, flipped | sign_bit, smallest)
    return _decode(layout, low), _decode(layout, high)


def _decode(layout: FloatFormat, bits: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The values of these bit patterns, given as signed integers.

    From sign, exponent and fraction, and not by a cast, which makes a subnormal zero in a thread
    that flushes them, as TensorFlow's are. As float64 those of narrower formats are normal numbers.
    """
    if layout.name == "float64":
        return bits.view(np.float64)
    fraction = bits & ((1 << layout.mantissa_bits) - 1)
    field = (bits & layout.magnitude_mask) >> layout.mantissa_bits
    digits = np.where(field > 0, fraction | (1 << layout.mantissa_bits), fraction)
    exponent = np.maximum(field, 1) - layout.bias - layout.mantissa_bits
    magnitude = np.ldexp(digits.astype(np.float64), exponent)
    signed: npt.NDArray[np.float64] = np.where(bits < 0, -magnitude, magnitude)
    return signed
