"""From records to a viewport's cells: pure, only NumPy.

- `scales`: where steps stand on an axis that does not count them one by one.
- `edges`: the steps at which a viewport's columns begin.
- `cells`: value and flags of each tensor in each column.
- `norms`: the norms of a whole run, and the instability of each tensor in each column.
- `ratio`: each variable's update relative to the variable, in each column.
- `values`: cells of any statistic that a person can choose.
- `layers`: one line a layer over the whole run.
- `pooling`: which records make up which cells.
- `windows`: the fields of records' windows, in each column.
- `spectrogram`: one tensor's exponent histogram in each column.
"""

from __future__ import annotations

from tb_nanwatch.grid.cells import RecordChunk, cells
from tb_nanwatch.grid.edges import aligned_edges, column_edges
from tb_nanwatch.grid.layers import LayerSummary, layer_summaries
from tb_nanwatch.grid.norms import NormHistory, instability_cells, norm_history, norms_within
from tb_nanwatch.grid.ratio import Pairs, ratio_cells, variable_pairs
from tb_nanwatch.grid.scales import AXES, LogScale, Scale, WallScale
from tb_nanwatch.grid.spectrogram import Spectrogram, spectrogram, totals
from tb_nanwatch.grid.values import WholeRun, statistic_cells
from tb_nanwatch.grid.windows import lowest_loss_scale

__all__ = [
    "AXES",
    "LayerSummary",
    "LogScale",
    "NormHistory",
    "Pairs",
    "RecordChunk",
    "Scale",
    "Spectrogram",
    "WallScale",
    "WholeRun",
    "aligned_edges",
    "cells",
    "column_edges",
    "instability_cells",
    "layer_summaries",
    "lowest_loss_scale",
    "norm_history",
    "norms_within",
    "ratio_cells",
    "spectrogram",
    "statistic_cells",
    "totals",
    "variable_pairs",
]
