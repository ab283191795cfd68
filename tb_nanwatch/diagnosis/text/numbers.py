"""Numbers as people read them."""

from __future__ import annotations

import math

_LARGEST_PLAIN, _SMALLEST_PLAIN = 1e5, 1e-2
_LONGEST_ELEMENT = 7
_LARGEST_FACTOR = 6
"""Decades up to which a factor is written out."""


def number(value: float) -> str:
    """ "1,040", "13.6", "0.04", "6.1e-5", "2.6e5", "NaN", "-Inf".

    Whole numbers below 100,000 are exact; others have three digits, or two and an exponent.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < _LARGEST_PLAIN:
        return f"{int(value):,}"
    if _SMALLEST_PLAIN <= abs(value) < _LARGEST_PLAIN:
        rounded = float(f"{value:.3g}")
        return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


def element(value: str) -> str:
    """An element of a tensor, given as text: "NaN", "-Inf", "0.0"; at most four digits."""
    known = {"nan": "NaN", "-nan": "NaN", "inf": "Inf", "+inf": "Inf", "-inf": "-Inf"}
    if value.lower() in known:
        return known[value.lower()]
    try:
        return f"{float(value):.4g}" if len(value) > _LONGEST_ELEMENT else value
    except ValueError:  # A complex number.
        return value


def is_finite(value: str) -> bool:
    """Whether an element, given as text, is a finite real number."""
    try:
        return math.isfinite(float(value))
    except ValueError:  # A complex number.
        return False


def magnitude(value: str) -> str:
    """How large an element is that is given as text: "8.6e13"; "NaN", "-Inf"."""
    return number(abs(float(value))) if is_finite(value) else element(value)


def growth(decades: float) -> str:
    """How far something grew: "44,000x"; "10^38-fold" where no one reads the digits."""
    if decades >= _LARGEST_FACTOR:
        return f"10^{decades:.0f}-fold"
    factor = float(f"{10**decades:.2g}")
    return f"{factor:,.0f}x" if factor >= 10 else f"{factor:g}x"


def plural(count: float, noun: str) -> str:
    """ "1 record", "2,000 records", "3 losses"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,.0f} {noun}{'es' if noun.endswith('s') else 's'}"


def listed(words: list[str] | tuple[str, ...], most: int = 3) -> str:
    """ "a", "a and b", "a, b and c"; of many the first ones, and how many more."""
    if len(words) > most + 1:
        return f"{', '.join(words[:most])} and {len(words) - most:,} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
