"""Value and flags of the heatmap's cells, for any statistic that a person can choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from tb_nanwatch.grid.cells import Flags, RecordChunk, cells
from tb_nanwatch.grid.norms import Logs, NormHistory, Steps, instability_cells
from tb_nanwatch.grid.ratio import Pairs, ratio_cells
from tb_nanwatch.stats.headroom import headroom
from tb_nanwatch.stats.record import Matrix
from tb_nanwatch.stats.statistics import HEADROOM, INSTABILITY, UPDATE_RATIO, Statistic


@dataclass(frozen=True, eq=False)
class WholeRun:
    """What statistics take of a run beyond the records in sight.

    Attributes:
      history: makes the norms of the whole run, where they are needed.
      pairs: of its tensors.
      log_largest: float64 [tensors], of their dtypes.
    """

    history: Callable[[], NormHistory]
    pairs: Pairs
    log_largest: Matrix


def statistic_cells(
    statistic: Statistic,
    records: Iterable[RecordChunk],
    tensors: Steps,
    edges: Steps,
    run: WholeRun,
) -> tuple[Logs, Flags]:
    """Value, float32 [tensors, columns], and flags, uint8 likewise; arguments as of `cells`."""
    if statistic is INSTABILITY:
        _, flags = cells(records, tensors, edges, "norm")
        return instability_cells(run.history(), tensors, edges), flags
    if statistic is UPDATE_RATIO:
        _, flags = cells(records, tensors, edges, "norm")
        return ratio_cells(run.history(), run.pairs, tensors, edges), flags
    if statistic is HEADROOM:
        magnitudes, flags = cells(records, tensors, edges, "largest_magnitude")
        left = headroom(magnitudes, run.log_largest[tensors][:, np.newaxis])
        # As with every other statistic, larger is worse, and -inf is of zeros.
        return (-left).astype(np.float32), flags
    return cells(records, tensors, edges, statistic.name)
