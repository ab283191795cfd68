"""The exponent histogram of a tensor as an inline SVG: how its magnitudes are spread."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tb_nanwatch.cli.html_report.markup import text
from tb_nanwatch.cli.html_report.palette import MARKS
from tb_nanwatch.stats.floats import COMPONENT, float_format

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 440, 168, 10, 10, 12, 26
_PLOT = _HEIGHT - _TOP - _BOTTOM
_LOG2_10 = math.log2(10)
_FEWEST_BINADES = 12
_NARROWEST_TICKS = 56


@dataclass(frozen=True)
class Snapshot:
    """A tensor at one step.

    Attributes:
      caption: which step, and what of it.
      bins: (sign, exponent, count): elements x with 2**exponent <= |x| < 2**(exponent + 1).
      counts: of what is no bin: keys nan, pos_inf, neg_inf, zero, subnormal.
    """

    caption: str
    bins: Sequence[tuple[int, int, int]]
    counts: dict[str, int]


def histograms(snapshots: Sequence[Snapshot], dtype: str) -> str:
    """The snapshots side by side, on one scale."""
    exponents = [exponent for each in snapshots for _, exponent, _ in each.bins]
    low, high = min(exponents, default=0), max(exponents, default=0)
    spare = max(0, _FEWEST_BINADES - (high - low + 1))
    low, high = low - spare // 2 - 1, high + (spare + 1) // 2 + 1
    largest = max((count for each in snapshots for *_, count in each.bins), default=1)
    figures = [
        f"<figure>{_figure(each, (low, high), largest, dtype)}"
        f"<figcaption>{text(each.caption)}{_counts(each.counts)}</figcaption></figure>"
        for each in snapshots
    ]
    return f'<div class="histograms">{"".join(figures)}</div>'


def _figure(snapshot: Snapshot, span: tuple[int, int], largest: int, dtype: str) -> str:
    low, high = span
    binade = (_WIDTH - _LEFT - _RIGHT) / (high - low + 1)

    def x(exponent: float) -> float:
        return _LEFT + (exponent - low) * binade

    # Both signs only where there are both: one alone has the whole height.
    signs = {sign for sign, *_ in snapshot.bins} or {1}
    reach = _PLOT if len(signs) == 1 else _PLOT / 2
    middle = _TOP + (reach if 1 in signs else 0)
    bars: dict[int, list[str]] = {1: [], -1: []}
    for sign, exponent, count in snapshot.bins:
        end = middle - sign * max(2.0, reach * math.log1p(count) / math.log1p(largest))
        left, right = x(exponent) + 0.4, x(exponent + 1) - 0.4
        bars[sign].append(f"M{left:.1f} {middle:.1f}V{end:.1f}H{right:.1f}V{middle:.1f}z")
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{text(_described(snapshot))}">',
        *_limits(dtype, x),
    ]
    for sign, kind in ((1, "positive"), (-1, "negative")):
        if bars[sign]:
            parts.append(f'<path class="{kind}" d="{"".join(bars[sign])}"/>')
    parts.append(f'<path class="base" d="M{_LEFT} {middle:.1f}H{_WIDTH - _RIGHT}"/>')
    if -1 in signs:
        parts.append(f'<text class="sign" x="{_LEFT}" y="{_TOP + _PLOT}">−</text>')
    if len(signs) == 2:
        parts.append(f'<text class="sign" x="{_LEFT}" y="{_TOP + 6}">+</text>')
    return "".join([*parts, *_decades(low, high, x), "</svg>"])


def _limits(dtype: str, x: Callable[[float], float]) -> Iterator[str]:
    """Lines where the dtype's normal numbers begin and end, as far as they are in the picture."""
    if dtype not in COMPONENT:
        return
    layout = float_format(dtype)
    ends = (
        (layout.smallest_exponent, "smallest normal"),
        (layout.largest_exponent + 1, "largest"),
    )
    for exponent, label in ends:
        place = x(exponent)
        if _LEFT <= place <= _WIDTH - _RIGHT:
            anchor, shift = ("start", 4) if place < _WIDTH / 2 else ("end", -4)
            yield f'<path class="limit" d="M{place:.1f} {_TOP}v{_PLOT}"/>'
            yield (
                f'<text class="limit" x="{place + shift:.1f}" y="{_TOP + 8}" '
                f'text-anchor="{anchor}">{label} {text(dtype)}</text>'
            )


def _decades(low: int, high: int, x: Callable[[float], float]) -> Iterator[str]:
    """Powers of ten along the foot."""
    room = _NARROWEST_TICKS / (_WIDTH - _LEFT - _RIGHT) * (high - low + 1) / _LOG2_10
    distance = max(1, math.ceil(room))
    first = math.ceil(low / _LOG2_10 / distance) * distance
    for power in range(first, math.floor((high + 1) / _LOG2_10) + 1, distance):
        place = x(power * _LOG2_10)
        if _LEFT + 14 <= place <= _WIDTH - _RIGHT - 14:
            yield f'<path class="tick" d="M{place:.1f} {_HEIGHT - _BOTTOM}v4"/>'
            yield (
                f'<text class="tick" x="{place:.1f}" y="{_HEIGHT - 8}">10'
                f'<tspan dy="-5" class="power">{str(power).replace("-", "−")}</tspan></text>'
            )


def _described(snapshot: Snapshot) -> str:
    elements = sum(count for *_, count in snapshot.bins)
    return f"{snapshot.caption}: exponents of {elements:,} normal elements."


def _counts(counts: dict[str, int]) -> str:
    keys = {"nan": "nan", "pos": "pos_inf", "neg": "neg_inf"}
    parts = [
        f'<span class="count {mark.name}"><svg viewBox="0 0 11 11" aria-hidden="true">'
        f'<use href="#tile-{mark.name}"/></svg>{counts[keys[mark.name]]:,} {mark.label}</span>'
        for mark in MARKS
        if counts.get(keys[mark.name])
    ]
    parts += [
        f'<span class="count">{counts[key]:,} {label}</span>'
        for key, label in (("zero", "zero"), ("subnormal", "subnormal"))
        if counts.get(key)
    ]
    return f'<span class="counts">{"".join(parts)}</span>' if parts else ""
