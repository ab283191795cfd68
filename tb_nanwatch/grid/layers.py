"""The run by layers: one line a layer, each number over the whole run.

- parameters: elements of the layer's variables, counted by their shapes.
- gradient RMS, in the gradient's unit, for each column of steps:
  sqrt(sum of n**2 / sum of elements) over the layer's gradients, n the largest L2 norm of each in
  the column.
- update ratio, without a unit: the median over records of
  sqrt(sum of u**2) / sqrt(sum of w**2) over the layer's variables, u and w the L2 norms of each
  variable's update and of the variable (`grid.ratio`); of gradients where no update is recorded.
- zeros, a share from 0 to 1: zeros / elements of the layer's activations in the steps with a
  histogram; of its gradients where no activation is recorded.
- headroom, in decades: the least of the layer's tensors over all steps with a histogram
  (`stats.headroom`).

Records with a NaN or Inf in a tensor are left out of its gradient RMS and its update ratio: of what
remains finite the norm says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tb_nanwatch.format.facts import ModelFacts
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.grid.cells import RecordChunk
from tb_nanwatch.grid.norms import NormChunk, NormHistory, Steps
from tb_nanwatch.grid.pooling import index_of, pool, rows_of, spans
from tb_nanwatch.grid.ratio import Pairs
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.headroom import headroom, log_largest
from tb_nanwatch.stats.record import Matrix

_VARIABLES = frozenset({"weight", "gradient", "update"})


@dataclass(frozen=True, eq=False)
class LayerSummary:
    """One layer over the whole run. NaN stands for what is not known.

    Attributes:
      path: as in `TensorInfo.layer`.
      class_name: of its class; "" where it is not known.
      tensors: positions of its tensors.
      parameters: elements of its variables.
      gradient_rms: float64 [columns].
      ratio: of its updates, or gradients, to its variables.
      ratio_role: "update" or "gradient"; "" for none.
      zero_share: 0 to 1.
      zero_role: "activation" or "gradient"; "" for none.
      headroom: in decades; inf where all is zero.
    """

    path: str
    class_name: str
    tensors: tuple[int, ...]
    parameters: float
    gradient_rms: Matrix
    ratio: float
    ratio_role: str
    zero_share: float
    zero_role: str
    headroom: float


@dataclass(frozen=True, eq=False)
class _Totals:
    """Of each tensor over all records, float64 [tensors]."""

    zero: Matrix
    elements: Matrix
    log_magnitude: Matrix


def layer_summaries(
    tensors: Sequence[TensorInfo],
    model: ModelFacts,
    chunks: Iterable[RecordChunk],
    history: NormHistory,
    pairs: Pairs,
    edges: Steps,
) -> list[LayerSummary]:
    """Every layer that has a tensor, in the order of execution, then those not in the call graph.

    Args:
      tensors: of the run.
      model: with the call graph and the classes of layers.
      chunks: all records of the run, merged or not.
      history: of the run.
      pairs: of its tensors.
      edges: int64 [columns + 1], of the columns of the gradient RMS.
    """
    known = {layer.path: layer.class_name for layer in model.layers}
    members: dict[str, list[int]] = {path: [] for path in known}
    for position, tensor in enumerate(tensors):
        path = _owner(tensor)
        if path:
            members.setdefault(path, []).append(position)
    totals = _totals(chunks, len(tensors))
    left = headroom(totals.log_magnitude, log_largest(tensor.dtype for tensor in tensors))
    gradients = np.flatnonzero([tensor.role == "gradient" for tensor in tensors])
    norms = _in_columns(history, gradients, edges)
    place = np.zeros(len(tensors), np.int64)
    place[gradients] = np.arange(len(gradients))
    sizes = np.array([_size(tensor.shape) for tensor in tensors])
    summaries = []
    for path, own in members.items():
        if not own:
            continue
        roles = {role: [at for at in own if tensors[at].role == role] for role in _ROLES}
        zeros = "activation" if roles["activation"] else "gradient" if roles["gradient"] else ""
        changes = "update" if roles["update"] else "gradient" if roles["gradient"] else ""
        ratio = _ratio(history, pairs, np.array(roles.get(changes, []), np.int64))
        summaries.append(
            LayerSummary(
                path=path,
                class_name=known.get(path, ""),
                tensors=tuple(own),
                parameters=_parameters([tensors[at] for at in own]),
                gradient_rms=_rms(norms[place[roles["gradient"]]], sizes[roles["gradient"]]),
                ratio=ratio,
                ratio_role="" if np.isnan(ratio) else changes,
                zero_share=_share(totals, roles.get(zeros, [])),
                zero_role=zeros,
                headroom=float(np.fmin.reduce(left[own])),
            )
        )
    return summaries


_ROLES = ("activation", "gradient", "update", "weight")


def _owner(tensor: TensorInfo) -> str:
    """The layer that a tensor is shown with; a variable without one is of its path's."""
    if tensor.layer or tensor.role not in _VARIABLES:
        return tensor.layer
    return tensor.name.rpartition("/")[0]


def _totals(chunks: Iterable[RecordChunk], tensors: int) -> _Totals:
    zero, elements = np.zeros((2, tensors))
    magnitude = np.full(tensors, np.nan)
    for chunk in chunks:
        columns = chunk.columns
        if not len(columns):
            continue
        zero[chunk.rows] += columns[..., COLUMN["zero"]].sum(axis=0)
        elements[chunk.rows] += columns[..., COLUMN["sampled_elements"]].sum(axis=0)
        largest = np.fmax(np.abs(columns[..., COLUMN["min"]]), np.abs(columns[..., COLUMN["max"]]))
        magnitude[chunk.rows] = np.fmax(magnitude[chunk.rows], np.fmax.reduce(largest, axis=0))
    with np.errstate(divide="ignore"):
        return _Totals(zero, elements, np.log10(magnitude))


def _share(totals: _Totals, own: Sequence[int]) -> float:
    elements = float(totals.elements[list(own)].sum())
    return float(totals.zero[list(own)].sum()) / elements if elements > 0 else np.nan


def _parameters(own: Iterable[TensorInfo]) -> float:
    """Elements of the distinct variables; NaN where there is none, or one of an unknown size."""
    shapes = {tensor.name: tensor.shape for tensor in own if tensor.role in _VARIABLES}
    if not shapes:
        return np.nan
    return float(sum(_size(shape) for shape in shapes.values()))


def _size(shape: tuple[int, ...] | None) -> float:
    return np.nan if shape is None or min(shape, default=0) < 0 else float(prod(shape))


def _rms(norms: Matrix, sizes: Matrix) -> Matrix:
    """Root of the mean square of some gradients in each column, float64 [columns].

    Args:
      norms: float64 [gradients, columns], from `_in_columns`.
      sizes: float64 [gradients], their elements; NaN where that is not known.
    """
    seen = np.isfinite(norms) & (sizes[:, np.newaxis] > 0)
    elements = np.where(seen, sizes[:, np.newaxis], 0.0).sum(axis=0)
    rms: Matrix = np.full(norms.shape[1], np.nan)
    # Not by squares, which overflow where norms do not.
    norm = np.hypot.reduce(np.where(seen, norms, 0.0), axis=0)
    np.divide(norm, np.sqrt(elements), out=rms, where=elements > 0)
    return rms


def _in_columns(history: NormHistory, tensors: Steps, edges: Steps) -> Matrix:
    """The largest norm of tensors in each column, float64 [tensors, columns]; NaN for nothing."""
    largest: Matrix = np.full((len(edges) - 1, len(tensors)), np.nan)
    for chunk in history.chunks:
        if not len(tensors):
            break
        source, target = rows_of(chunk.rows, tensors)
        if len(source):
            columns, *span = spans(edges, chunk.first, chunk.valid_until)
            cell = index_of(columns, target)
            norms = pool(np.fmax, _finite_norms(chunk, source), *span)
            largest[cell] = np.fmax(largest[cell], norms)
    by_tensor: Matrix = largest.T
    return by_tensor


def _finite_norms(chunk: NormChunk, rows: Steps) -> Matrix:
    """float64 [records, rows]; NaN for nothing, and where some element was not finite."""
    norms: Matrix = 10.0 ** chunk.log_norms[:, rows].astype(np.float64)
    return np.where(chunk.finite[:, rows], norms, np.nan)


def _ratio(history: NormHistory, pairs: Pairs, own: Steps) -> float:
    """The median of the layer's ratio over records; NaN for none."""
    own = own[pairs.weight[own] >= 0] if len(own) else own
    ratios = [np.zeros(0)]
    row = np.full(len(pairs.weight), -1, np.int64)
    for chunk in history.chunks:
        row[:] = -1
        row[chunk.rows] = np.arange(len(chunk.rows))
        above, below = row[own], row[pairs.weight[own]]
        both = (above >= 0) & (below >= 0)
        if not both.any():
            continue
        change, weight = (
            np.hypot.reduce(_finite_norms(chunk, rows[both]), axis=1) for rows in (above, below)
        )
        ratios.append(change[weight > 0] / weight[weight > 0])
    found = np.concatenate(ratios)
    found = found[np.isfinite(found)]
    return float(np.median(found)) if len(found) else np.nan
