"""The fields of records' windows, in each column of a viewport."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tb_nanwatch.grid.cells import RecordChunk
from tb_nanwatch.stats.columns import WINDOW_FIELD
from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]


class Windowed(RecordChunk, Protocol):
    """Such records with their windows."""

    @property
    def windows(self) -> Matrix:
        """float64 [records, len(WINDOW_FIELDS)]."""


def lowest_loss_scale(chunks: Iterable[Windowed], edges: Steps) -> Matrix | None:
    """The smallest loss scale of each column: float64 [columns], NaN where none is known.

    Args:
      chunks: the records; those outside of the edges are left out.
      edges: int64 [columns + 1], from `column_edges`.

    Returns:
      None where no record has one, as in a training without loss scaling.
    """
    lowest = np.full(len(edges) - 1, np.nan)
    for chunk in chunks:
        scales = chunk.windows[:, WINDOW_FIELD["loss_scale"]]
        known = ~np.isnan(scales) & (chunk.valid_until >= edges[0]) & (chunk.first < edges[-1])
        begin = np.searchsorted(edges, chunk.first, side="right") - 1
        end = np.searchsorted(edges, chunk.valid_until, side="right")
        for record in np.flatnonzero(known).tolist():
            columns = slice(max(0, int(begin[record])), int(end[record]))
            lowest[columns] = np.fmin(lowest[columns], scales[record])
    return None if np.isnan(lowest).all() else lowest
