"""The norms of a whole run, one a record and tensor, and the instability of cells made of them.

Instability is relative to a tensor's whole history, so that a cell has the same value at every
zoom. And a cell has the value farthest from 0 of all its records, above or below, which merges of
records, that keep the largest norm alone, do not tell. So a run's norms are taken once, from
single records; in 4 bytes each they are a fiftieth of what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tb_nanwatch.grid.cells import RecordChunk
from tb_nanwatch.grid.pooling import index_of, pool, rows_of, spans
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.instability import instability, usual_levels
from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]
Logs = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class NormChunk:
    """The norms of consecutive records of the same tensors.

    Attributes:
      first: int64 [records], first step of each, ascending.
      valid_until: int64 [records], last step for which each is valid.
      rows: int64 [rows], the tensor of each row, none twice.
      log_norms: float32 [records, rows], log10 of the largest norm; -inf for 0, NaN for nothing.
      finite: bool [records, rows], whether all elements were finite.
    """

    first: Steps
    valid_until: Steps
    rows: Steps
    log_norms: Logs
    finite: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class NormHistory:
    """The norms of a run.

    Attributes:
      chunks: disjoint in steps or in rows.
      levels: float64 [tensors], the usual level of each tensor; NaN where it has none.
    """

    chunks: tuple[NormChunk, ...]
    levels: Matrix

    @property
    def nbytes(self) -> int:
        return self.levels.nbytes + sum(
            chunk.log_norms.nbytes + chunk.finite.nbytes + 16 * len(chunk.first)
            for chunk in self.chunks
        )


def norm_history(chunks: Iterable[RecordChunk], tensors: int) -> NormHistory:
    """The norms of a run of so many tensors.

    Args:
      chunks: all of its records, none of them merged.
      tensors: how many tensors the run has.
    """
    joined = tuple(_joined([_norms_of(chunk) for chunk in chunks]))
    levels = np.full(tensors, np.nan)
    often = np.bincount(
        np.concatenate([np.zeros(0, np.int64), *(chunk.rows for chunk in joined)]),
        minlength=tensors,
    )
    for chunk in joined:
        alone = np.flatnonzero(often[chunk.rows] == 1)
        levels[chunk.rows[alone]] = usual_levels(
            chunk.first, chunk.log_norms[:, alone], chunk.finite[:, alone]
        )
    for tensor in np.flatnonzero(often > 1).tolist():
        levels[tensor] = _level_across(joined, tensor)
    return NormHistory(joined, levels)


def instability_cells(history: NormHistory, tensors: Steps, edges: Steps) -> Logs:
    """The instability of each tensor in each column: float32 [tensors wanted, columns].

    Of all records that are valid for a step of a cell it is the value farthest from 0; -inf where
    all of their norms are 0, NaN where there are none.

    Args:
      history: of the run.
      tensors: int64 [tensors wanted], none twice.
      edges: int64 [columns + 1], from `column_edges`.
    """
    shape = len(edges) - 1, len(tensors)
    largest, smallest = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    for chunk in history.chunks:
        inside = np.flatnonzero((chunk.valid_until >= edges[0]) & (chunk.first < edges[-1]))
        if not len(inside) or not len(tensors):
            continue
        records = slice(int(inside[0]), int(inside[-1]) + 1)
        source, target = rows_of(chunk.rows, tensors)
        if not len(source):
            continue
        norms = chunk.log_norms[records]
        if len(source) < norms.shape[1] or np.any(np.diff(source) != 1):
            norms = norms[:, source]
        columns, *span = spans(edges, chunk.first[records], chunk.valid_until[records])
        cell = index_of(columns, target)
        largest[cell] = np.fmax(largest[cell], pool(np.fmax, norms, *span))
        zero = np.isneginf(norms)
        if zero.any():  # Beside other norms it does not count.
            norms = np.where(zero, np.float32(np.nan), norms)
        smallest[cell] = np.fmin(smallest[cell], pool(np.fmin, norms, *span))
    levels = history.levels[tensors]
    above, below = instability(largest, levels), instability(smallest, levels)
    farthest: Logs = np.where(np.abs(below) > np.abs(above), below, above).astype(np.float32)
    return np.ascontiguousarray(farthest.T)


def norms_within(history: NormHistory, tensor: int, first: int, last: int) -> Matrix:
    """The norm of a tensor in each single record that is valid for one of the steps.

    Returns float64 [records], the largest norm of each; NaN for a record without a finite element.
    """
    norms = [
        chunk.log_norms[(chunk.valid_until >= first) & (chunk.first <= last), row]
        for chunk in history.chunks
        for row in np.flatnonzero(chunk.rows == tensor).tolist()
    ]
    return 10.0 ** np.concatenate([np.zeros(0), *norms])


def _norms_of(chunk: RecordChunk) -> NormChunk:
    columns = chunk.columns
    with np.errstate(divide="ignore"):
        log_norms = np.log10(columns[..., COLUMN["largest_norm"]]).astype(np.float32)
    finite = np.ones(log_norms.shape, bool)
    for name in ("nan", "pos_inf", "neg_inf"):
        finite &= columns[..., COLUMN[name]] == 0
    return NormChunk(chunk.first, chunk.valid_until, chunk.rows, log_norms, finite)


def _joined(chunks: Iterable[NormChunk]) -> Iterator[NormChunk]:
    """Chunks of the same rows, one after another in steps, as one."""
    groups: dict[bytes, list[NormChunk]] = {}
    for chunk in chunks:
        if len(chunk.first):
            groups.setdefault(chunk.rows.tobytes(), []).append(chunk)
    for group in groups.values():
        group.sort(key=lambda chunk: int(chunk.first[0]))
        begin = 0
        for end in range(1, len(group) + 1):
            if end == len(group) or group[end].first[0] <= group[end - 1].valid_until[-1]:
                yield _concatenated(group[begin:end])
                begin = end


def _concatenated(chunks: list[NormChunk]) -> NormChunk:
    if len(chunks) == 1:
        return chunks[0]
    return replace(
        chunks[0],
        first=np.concatenate([chunk.first for chunk in chunks]),
        valid_until=np.concatenate([chunk.valid_until for chunk in chunks]),
        log_norms=np.concatenate([chunk.log_norms for chunk in chunks]),
        finite=np.concatenate([chunk.finite for chunk in chunks]),
    )


def _level_across(chunks: Iterable[NormChunk], tensor: int) -> float:
    """The usual level of a tensor that is in several chunks."""
    parts = [
        (chunk.first, chunk.log_norms[:, row], chunk.finite[:, row])
        for chunk in chunks
        for row in np.flatnonzero(chunk.rows == tensor).tolist()
    ]
    first, log_norms, finite = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(first, kind="stable")
    matrix = log_norms[order, np.newaxis], finite[order, np.newaxis]
    return float(usual_levels(first[order], *matrix)[0])
