"""The heatmap as one inline SVG: magnitudes in color, what is non-finite in marks of its own."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from tb_nanwatch.cli.html_report.markup import text
from tb_nanwatch.cli.html_report.palette import COLORS, FIRST_COLOR, MARKS, NOTHING, ZERO, inks
from tb_nanwatch.cli.html_report.png import png
from tb_nanwatch.cli.html_report.rows import Row
from tb_nanwatch.grid.cells import NAN, NEG_INF, POS_INF, SCALE_SKIPPED

MOST_COLUMNS = 210
"""Four pixels each."""

_LEFT, _WIDTH, _RIGHT = 268, 840, 16
_TOP, _GAP, _HEADING, _BOTTOM = 8, 8, 14, 30
_STEPS = 26
"""Room above the rows for the numbers of steps."""

_TALL, _SMALL, _MOST_TALL = 17, 12, 64
"""Heights of a row, and how many rows are tall."""

_NONFINITE = NAN | POS_INF | NEG_INF
_LABEL = 38
_TICKS = 6


@dataclass(frozen=True)
class Cells:
    """What the heatmap shows.

    Attributes:
      rows: its rows.
      edges: int64 [columns + 1], the steps at which columns begin.
      value: float32 [rows, columns], decimal logarithms: -inf for zero, NaN for nothing.
      flags: uint8 [rows, columns], as the grid gives them.
      origin: indices of the rows at which findings began.
      steps: those at which they did.
    """

    rows: Sequence[Row]
    edges: npt.NDArray[np.int64]
    value: npt.NDArray[np.float32]
    flags: npt.NDArray[np.uint8]
    origin: frozenset[int]
    steps: Sequence[int]

    @property
    def row(self) -> int:
        """Height of a row, the line that sets it apart included."""
        return _TALL if len(self.rows) <= _MOST_TALL else _SMALL

    @property
    def tile(self) -> int:
        """Size of a glyph's tile."""
        return self.row - 6 if self.row == _TALL else self.row - 2

    def span(self) -> tuple[int, int]:
        """The logarithms at both ends of the colors: whole decades around all finite values."""
        finite = self.value[np.isfinite(self.value)]
        if not len(finite):
            return -1, 1
        low, high = math.floor(finite.min()), math.ceil(finite.max())
        return (low, high) if low < high else (low - 1, high + 1)


def heatmap(cells: Cells) -> str:
    """The SVG. Textures and glyphs it takes from the page (`document`)."""
    tops = _tops(cells)
    bottom = tops[-1] + cells.row
    height, width = bottom + _BOTTOM, _LEFT + _WIDTH + _RIGHT
    names = [row.label or row.role for row, at in zip(cells.rows, cells.flags, strict=True)
             if (at & _NONFINITE).any()]  # fmt: skip
    described = (
        f"Norms of {len(cells.rows)} rows over the steps {cells.edges[0]} to "
        f"{cells.edges[-1] - 1}. Non-finite: {', '.join(names[:8]) or 'none'}."
    )
    parts = [
        f'<svg class="heatmap" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{text(described)}">',
        *_ground(cells, tops),
        _picture(cells, tops),
        *_marks(cells, tops),
        *_labels(cells, tops),
        *_axis(cells, bottom),
        *_steps(cells, tops[0], bottom),
        "</svg>",
    ]
    return "".join(parts)


def _tops(cells: Cells) -> list[int]:
    """Where each row begins; gaps set roles apart, with room for a heading where it needs one."""
    tops, at, role = [], _TOP + (_STEPS if cells.steps else 0), None
    for row in cells.rows:
        if row.role != role:
            at += (_GAP if role is not None else 0) + (_HEADING if _is_headed(row) else 0)
        tops.append(at)
        at, role = at + cells.row, row.role
    return tops


def _is_headed(row: Row) -> bool:
    """Whether the row's label does not name its role."""
    return row.label not in ("", row.role)


def _x(cells: Cells, column: float) -> float:
    return _LEFT + _WIDTH * column / (len(cells.edges) - 1)


def _place(cells: Cells, step: float) -> float:
    """Where a step begins."""
    return _x(cells, float(np.interp(step, cells.edges, np.arange(len(cells.edges)))))


def _ground(cells: Cells, tops: Sequence[int]) -> Iterator[str]:
    """Hatched: whatever no cell covers was not recorded."""
    for top in tops:
        yield (
            f'<rect class="none" x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{cells.row - 1}"/>'
        )


def _picture(cells: Cells, tops: Sequence[int]) -> str:
    """The magnitudes: one pixel a cell, stretched; lines of nothing where roles are apart."""
    low, high = cells.span()
    with np.errstate(invalid="ignore"):
        share = np.clip((cells.value - low) / (high - low), 0, 1)
        color = FIRST_COLOR + np.round(np.nan_to_num(share) * (COLORS - 1))
    indices = np.where(np.isneginf(cells.value), ZERO, color)
    indices = np.where(np.isnan(cells.value), NOTHING, indices).astype(np.uint8)
    height = tops[-1] + cells.row - tops[0]
    pixels = np.full((height, indices.shape[1]), NOTHING, np.uint8)
    for row, top in zip(indices, tops, strict=True):
        pixels[top - tops[0] : top - tops[0] + cells.row - 1] = row
    data = base64.b64encode(png(pixels, inks())).decode("ascii")
    return (
        f'<image x="{_LEFT}" y="{tops[0]}" width="{_WIDTH}" height="{height}" '
        f'preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'
    )


def _stretches(flags: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int, int]]:
    """(flags, first column, column after the last) of neighbours that are equal."""
    at = 0
    for value, group in groupby(flags.tolist()):
        begin, at = at, at + len(list(group))
        yield value, begin, at


def _marks(cells: Cells, tops: Sequence[int]) -> Iterator[str]:
    """Bands over what is non-finite, and a glyph where a stretch begins."""
    bands: dict[str, list[str]] = {mark.name: [] for mark in MARKS}
    skipped: list[str] = []
    glyphs: list[str] = []
    for flags, top in zip(cells.flags, tops, strict=True):
        for value, begin, end in _stretches(flags & _NONFINITE):
            if value:
                marks = [mark for mark in MARKS if value & mark.flag]
                left, right = _x(cells, begin), _x(cells, end)
                # Never thinner than can be seen.
                right = max(right, left + 3)
                height = (cells.row - 1) / len(marks)
                for number, mark in enumerate(marks):
                    bands[mark.name].append(
                        f"M{left:.1f} {top + number * height:.1f}"
                        f"H{right:.1f}v{height:.1f}H{left:.1f}z"
                    )
        glyphs.extend(_glyphs(cells, flags & _NONFINITE, top))
        for value, begin, end in _stretches(flags & SCALE_SKIPPED):
            if value:
                y = top + cells.row - 3
                skipped.append(f"M{_x(cells, begin):.1f} {y}H{_x(cells, end):.1f}")
    for name, paths in bands.items():
        if paths:
            yield f'<path class="band {name}" d="{"".join(paths)}"/>'
            yield f'<path fill="url(#texture-{name})" d="{"".join(paths)}"/>'
    if skipped:
        yield f'<path class="skipped" d="{"".join(skipped)}"/>'
    yield from glyphs


def _glyphs(cells: Cells, flags: npt.NDArray[np.uint8], top: int) -> Iterator[str]:
    """Tiles beside the first bad cell, over what came before it: what is bad stays in sight."""
    busy = 0.0
    for value, group in groupby(_stretches(flags), key=lambda stretch: stretch[0] > 0):
        if not value:
            continue
        stretches = list(group)
        left, right = _x(cells, stretches[0][1]), _x(cells, stretches[-1][2])
        marks = [mark for mark in MARKS if any(s[0] & mark.flag for s in stretches)]
        room = len(marks) * (cells.tile + 1) + 3
        x = left - room if left - room >= max(busy, _LEFT) else max(left, busy) + 3
        if x > right + 3 and right - left > room:
            continue
        if x + room > _LEFT + _WIDTH:
            continue
        busy = max(right, x + room)
        for number, mark in enumerate(marks):
            yield (
                f'<use href="#tile-{mark.name}" x="{x + number * (cells.tile + 1):.1f}" '
                f'y="{top + (cells.row - 1 - cells.tile) / 2:.1f}" '
                f'width="{cells.tile}" height="{cells.tile}"/>'
            )


def _labels(cells: Cells, tops: Sequence[int]) -> Iterator[str]:
    role = None
    for index, (row, top) in enumerate(zip(cells.rows, tops, strict=True)):
        baseline = top + cells.row / 2 + 3.5
        origin = " origin" if index in cells.origin else ""
        begins, role = row.role != role, row.role
        called = text(row.role.replace("_", " "))
        if not _is_headed(row):
            yield f'<text class="role{origin}" x="4" y="{baseline}">{called}</text>'
        else:
            if begins:
                yield f'<text class="role" x="4" y="{top - 5}">{called}</text>'
            yield (
                f'<text class="label{origin}" x="{_LEFT - 12}" y="{baseline}" text-anchor="end">'
                f"<title>{text(row.label, 400)}</title>{text(row.label, _LABEL)}</text>"
            )
        if origin:
            yield f'<path class="arrow" d="M{_LEFT - 9} {top + cells.row / 2 - 4.5}l6 4l-6 4z"/>'


def _axis(cells: Cells, bottom: int) -> Iterator[str]:
    first, last = int(cells.edges[0]), int(cells.edges[-1]) - 1
    for step in ticks(first, last):
        x = (_place(cells, step) + _place(cells, step + 1)) / 2
        yield f'<path class="tick" d="M{x:.1f} {bottom}v5"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{bottom + 18}">{step:,}</text>'
    yield f'<text class="axis" x="{_LEFT - 12}" y="{bottom + 18}" text-anchor="end">step</text>'


def ticks(first: int, last: int) -> list[int]:
    """A few round steps of the closed range, `first` among them."""
    wanted = max(1, math.ceil((last - first) / _TICKS))
    scale = 10 ** (len(str(wanted)) - 1)
    distance = next(scale * each for each in (1, 2, 5, 10) if scale * each >= wanted)
    rest = range((first // distance + 1) * distance, last + 1, distance)
    # Labels of neighbours would run into each other.
    return [first, *(step for step in rest if step - first > distance / 2)]


def _steps(cells: Cells, top: int, bottom: int) -> Iterator[str]:
    """A line down from each step at which a finding begins, with its number where there is room."""
    taken = float("-inf")
    for step in cells.steps:
        if not cells.edges[0] <= step < cells.edges[-1]:
            continue
        x = _place(cells, step)
        yield f'<path class="when" d="M{x:.1f} {top - 6}V{bottom}"/>'
        label = f"step {step:,}"
        width = 7 * len(label)
        left = min(max(x - width / 2, _LEFT), _LEFT + _WIDTH - width)
        if left > taken:
            yield f'<text class="when" x="{left:.1f}" y="{top - 12}">{label}</text>'
            taken = left + width + 8
