"""Value and flags of the heatmap's cells, for any statistic that a person can choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.grid.cells import Flags, RecordChunk, cells
from tb_nanwatch.grid.norms import Logs, NormHistory, Steps, instability_cells
from tb_nanwatch.grid.ratio import Pairs, ratio_cells, variable_pairs
from tb_nanwatch.stats.headroom import headroom, log_largest
from tb_nanwatch.stats.record import Matrix
from tb_nanwatch.stats.statistics import HEADROOM, INSTABILITY, UPDATE_RATIO, Statistic


@dataclass(frozen=True, eq=False)
class WholeRun:
    """What statistics take of a run beyond the records in sight; each made when first needed.

    Attributes:
      tensors: of the run.
      workers: of each tensor, which worker or replica it is of.
      history: makes the norms of the whole run.
    """

    tensors: Sequence[TensorInfo]
    workers: Sequence[str]
    history: Callable[[], NormHistory]

    @cached_property
    def pairs(self) -> Pairs:
        """What is divided by what."""
        return variable_pairs(self.tensors, self.workers)

    @cached_property
    def log_largest(self) -> Matrix:
        """log10 of the largest finite number of each tensor's dtype, float64 [tensors]."""
        return log_largest(tensor.dtype for tensor in self.tensors)


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
