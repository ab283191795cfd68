"""The steps at which a viewport's columns begin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tb_nanwatch.grid.cells import RecordChunk
from tb_nanwatch.grid.scales import Scale


def column_edges(
    first: int, last: int, columns: int, scale: Scale | None = None
) -> npt.NDArray[np.int64]:
    """Cuts the closed range of steps into columns: int64 [columns + 1], ascending.

    Column j covers the steps ``edges[j]`` to ``edges[j + 1] - 1``. Widths differ by one step at
    most. A range of fewer steps than `columns` gives one column a step.

    Args:
      first: first step.
      last: last step.
      columns: the most columns wanted.
      scale: columns are equally wide on it, to one step; where they are narrower than a step there
        are fewer. None for the steps as they count.
    """
    if scale is not None:
        begin, end = scale.place(np.array([first, last + 1], np.int64)).tolist()
        inner = np.rint(scale.step(np.linspace(begin, end, columns + 1)[1:-1]))
        within = np.clip(inner, first, last + 1).astype(np.int64)
        return np.unique(np.concatenate([[first], within, [last + 1]]).astype(np.int64))
    steps = last - first + 1
    columns = min(columns, steps)
    # Python's integers: the product may leave 64 bits.
    return np.array([first + j * steps // columns for j in range(columns + 1)], np.int64)


def aligned_edges(
    edges: npt.NDArray[np.int64], chunks: Sequence[RecordChunk]
) -> npt.NDArray[np.int64]:
    """The edges, each that divides a record moved on to the next one that begins undivided.

    So each record lies within one column, and merged records give the same cells as those that
    they were made of. Columns become wider where records are; where those of several streams
    rarely begin together the edges stay as they are, and a record counts in each column it meets.

    Args:
      edges: int64 [columns + 1], from `column_edges`.
      chunks: the records.
    """
    if not chunks or len(edges) < 3:
        return edges
    begins = np.unique(np.concatenate([chunk.first for chunk in chunks]))
    places = np.append(begins[~_divides(begins, chunks)], edges[-1])
    inner = edges[1:-1]
    moved = places[np.searchsorted(places[:-1], inner)]
    inner = np.minimum(np.where(_divides(inner, chunks), moved, inner), edges[-1])
    aligned = np.unique(np.concatenate([edges[[0, -1]], inner]))
    widest = max(int((chunk.valid_until - chunk.first).max()) + 1 for chunk in chunks)
    bound = 2 * max(widest, int(np.diff(edges).max()))
    return aligned if np.diff(aligned).max() <= bound else edges


def _divides(steps: npt.NDArray[np.int64], chunks: Sequence[RecordChunk]) -> npt.NDArray[np.bool_]:
    """bool [steps], whether some record begins before the step and does not end before it."""
    divides = np.zeros(len(steps), bool)
    for chunk in chunks:
        before = np.searchsorted(chunk.first, steps) - 1
        divides |= (before >= 0) & (chunk.valid_until[before] >= steps)
    return divides
