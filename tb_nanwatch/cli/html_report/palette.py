"""The colors of the page's pictures: those of the tab."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tb_nanwatch.cli.html_report.png import Ink
from tb_nanwatch.grid.cells import NAN, NEG_INF, POS_INF

_CIVIDIS = (
    "#002051", "#0a326a", "#2b446e", "#4d566d", "#696970",
    "#7f7c75", "#948f78", "#ada476", "#caba6a", "#ead156", "#fdea45",
)  # fmt: skip
"""Cividis at eleven places (Nuñez, Anderton and Renslow, 2018): perceptually even, and the same to
eyes with and without color deficiency."""

_ZERO: Ink = (140, 150, 165, 70)
"""Of an exact zero: grey, and so translucent that it fits a light and a dark ground."""


class Mark(NamedTuple):
    """How a non-finite value looks: reserved colors, and a texture and a glyph besides.

    Attributes:
      flag: of a cell of the grid.
      name: of its CSS class and glyph.
      label: what a person reads.
    """

    flag: int
    name: str
    label: str


MARKS = (Mark(NAN, "nan", "NaN"), Mark(POS_INF, "pos", "+Inf"), Mark(NEG_INF, "neg", "−Inf"))
"""Worst first."""

NOTHING, ZERO, FIRST_COLOR = 0, 1, 2
"""Indices in the palette: transparent, an exact zero, and the first of the magnitudes' colors."""

COLORS = 254


def color_at(share: float) -> str:
    """The magnitudes' color, from 0 (low) to 1 (high)."""
    place = np.linspace(0, 1, len(_CIVIDIS))
    channels = np.array([[int(hue[i : i + 2], 16) for i in (1, 3, 5)] for hue in _CIVIDIS])
    red, green, blue = (round(float(np.interp(share, place, each))) for each in channels.T)
    return f"#{red:02x}{green:02x}{blue:02x}"


def inks() -> list[Ink]:
    """The palette of the picture."""
    hues = [color_at(index / (COLORS - 1)) for index in range(COLORS)]
    opaque = [(int(h[1:3], 16), int(h[3:5], 16), int(h[5:7], 16), 255) for h in hues]
    return [(0, 0, 0, 0), _ZERO, *opaque]
