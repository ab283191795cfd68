"""The steps at which a viewport's columns begin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def column_edges(first: int, last: int, columns: int) -> npt.NDArray[np.int64]:
    """Cuts the closed range of steps into columns: int64 [columns + 1], ascending.

    Column j covers the steps ``edges[j]`` to ``edges[j + 1] - 1``. Widths differ by one step at
    most. A range of fewer steps than `columns` gives one column a step.
    """
    steps = last - first + 1
    columns = min(columns, steps)
    # Python's integers: the product may leave 64 bits.
    return np.array([first + j * steps // columns for j in range(columns + 1)], np.int64)
