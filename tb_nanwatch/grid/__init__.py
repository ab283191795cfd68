"""From records to a viewport's cells: pure, only NumPy.

- `scales`: where steps stand on an axis that does not count them one by one.
- `edges`: the steps at which a viewport's columns begin.
- `cells`: value and flags of each tensor in each column.
- `norms`: the norms of a whole run, and the instability of each tensor in each column.
- `pooling`: which records make up which cells.
- `windows`: the fields of records' windows, in each column.
- `spectrogram`: one tensor's exponent histogram in each column.
"""

from __future__ import annotations

from tb_nanwatch.grid.cells import RecordChunk, cells
from tb_nanwatch.grid.edges import aligned_edges, column_edges
from tb_nanwatch.grid.norms import NormHistory, instability_cells, norm_history
from tb_nanwatch.grid.scales import AXES, LogScale, Scale, WallScale
from tb_nanwatch.grid.spectrogram import Spectrogram, spectrogram, totals
from tb_nanwatch.grid.windows import lowest_loss_scale

__all__ = [
    "AXES",
    "LogScale",
    "NormHistory",
    "RecordChunk",
    "Scale",
    "Spectrogram",
    "WallScale",
    "aligned_edges",
    "cells",
    "column_edges",
    "instability_cells",
    "lowest_loss_scale",
    "norm_history",
    "spectrogram",
    "totals",
]
