"""How large a variable's updates are relative to the variable itself.

    ratio = L2 norm of the update / L2 norm of the variable

of the same record, each norm the largest in a step of that record. Around 1e-3 is usual; above 0.1
the variable is rewritten within a few steps, below 1e-6 it hardly learns. Where updates are not
recorded, the gradient takes the place of the update; then the learning rate is not in the ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.grid.norms import Logs, NormChunk, NormHistory, Steps
from tb_nanwatch.grid.pooling import index_of, pool, spans

_CHANGES = ("update", "gradient")


@dataclass(frozen=True, eq=False)
class Pairs:
    """What is divided by what, for the tensors of each variable.

    Attributes:
      change: int64 [tensors], the variable's update, or else its gradient; -1 for none.
      weight: int64 [tensors], the variable; -1 for none. Both are -1 or neither is.
    """

    change: Steps
    weight: Steps


def variable_pairs(tensors: Sequence[TensorInfo], workers: Sequence[str]) -> Pairs:
    """The pair of each tensor that is a variable, its update or its gradient.

    Args:
      tensors: of the run.
      workers: of each, which worker or replica it is of. A variable that replicas share is of none
        of them.
    """
    at = {
        (tensor.role, tensor.name, worker): position
        for position, (tensor, worker) in enumerate(zip(tensors, workers, strict=True))
    }
    change, weight = np.full((2, len(tensors)), -1, np.int64)
    for position, (tensor, worker) in enumerate(zip(tensors, workers, strict=True)):
        if tensor.role not in (*_CHANGES, "weight"):
            continue
        changes = [
            at[role, tensor.name, worker] for role in _CHANGES if (role, tensor.name, worker) in at
        ]
        variable = at.get(("weight", tensor.name, worker), at.get(("weight", tensor.name, "")))
        if changes and variable is not None:
            change[position], weight[position] = changes[0], variable
    return Pairs(change, weight)


def record_ratios(chunk: NormChunk, pairs: Pairs, tensors: Steps) -> tuple[Steps, Logs]:
    """log10 of the ratio in each record of a chunk, for the tensors that have one in it.

    Args:
      chunk: of the run.
      pairs: of all of the run's tensors.
      tensors: int64 [tensors wanted].

    Returns:
      positions in `tensors`, int64 [found], and float32 [records, found]: -inf for a change of 0,
      NaN where one of the norms is not recorded or the variable is 0.
    """
    row = np.full(len(pairs.change) + 1, -1, np.int64)  # The last one is for none.
    row[chunk.rows] = np.arange(len(chunk.rows))
    above, below = row[pairs.change[tensors]], row[pairs.weight[tensors]]
    found = np.flatnonzero((above >= 0) & (below >= 0))
    with np.errstate(invalid="ignore"):
        ratios = chunk.log_norms[:, above[found]] - chunk.log_norms[:, below[found]]
    ratios[np.isposinf(ratios)] = np.nan
    return found, ratios


def ratio_cells(history: NormHistory, pairs: Pairs, tensors: Steps, edges: Steps) -> Logs:
    """log10 of the largest ratio of each cell: float32 [tensors wanted, columns].

    Of all records that are valid for a step of a cell it is the largest; -inf where no update
    changed anything, NaN where there is no ratio.

    Args:
      history: of the run.
      pairs: of its tensors.
      tensors: int64 [tensors wanted], none twice.
      edges: int64 [columns + 1], from `column_edges`.
    """
    largest: npt.NDArray[np.float32] = np.full((len(edges) - 1, len(tensors)), np.nan, np.float32)
    for chunk in history.chunks:
        inside = np.flatnonzero((chunk.valid_until >= edges[0]) & (chunk.first < edges[-1]))
        if not len(inside):
            continue
        target, ratios = record_ratios(chunk, pairs, tensors)
        if not len(target):
            continue
        records = slice(int(inside[0]), int(inside[-1]) + 1)
        columns, *span = spans(edges, chunk.first[records], chunk.valid_until[records])
        cell = index_of(columns, target)
        largest[cell] = np.fmax(largest[cell], pool(np.fmax, ratios[records], *span))
    return np.ascontiguousarray(largest.T)
