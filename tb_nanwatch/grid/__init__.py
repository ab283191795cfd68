"""From records to a viewport's cells: pure, NumPy alone.

- `edges`: the steps at which a viewport's columns begin.
- `cells`: value and flags of each tensor in each column.
- `spectrogram`: one tensor's exponent histogram in each column.
"""

from __future__ import annotations

from tb_nanwatch.grid.cells import Slab, cells
from tb_nanwatch.grid.edges import aligned_edges, column_edges
from tb_nanwatch.grid.spectrogram import Spectrogram, spectrogram, totals

__all__ = ["Slab", "Spectrogram", "aligned_edges", "cells", "column_edges", "spectrogram", "totals"]
