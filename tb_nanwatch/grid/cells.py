"""Value and flags of each tensor in each column of a viewport: the merge of what a cell covers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tb_nanwatch.grid.pooling import column_of, index_of, pool, rows_of, spans
from tb_nanwatch.stats.columns import COLUMN, COLUMNS, Merge
from tb_nanwatch.stats.derived import STATISTIC_COLUMNS, statistic
from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]
Flags = npt.NDArray[np.uint8]

NAN, POS_INF, NEG_INF, RECORDED, SCALE_SKIPPED = 1, 2, 4, 8, 16
"""The flags of a cell, as `http/http_api.md` gives them."""

_UFUNC: dict[Merge, np.ufunc] = {"sum": np.add, "min": np.fmin, "max": np.fmax}

_NONFINITE = ((NAN, "nan"), (POS_INF, "pos_inf"), (NEG_INF, "neg_inf"))


class RecordChunk(Protocol):
    """Consecutive records of one stream, disjoint and ascending."""

    @property
    def first(self) -> Steps:
        """First step of each record, int64 [records]."""

    @property
    def last(self) -> Steps:
        """Last step of each record, int64 [records]."""

    @property
    def valid_until(self) -> Steps:
        """int64 [records], last step for which each record is valid: `last`, or up to the next."""

    @property
    def rows(self) -> Steps:
        """Tensor of each row, int64 [rows], none twice."""

    @property
    def columns(self) -> Matrix:
        """float64 [records, rows, len(COLUMNS)]."""


def cells(
    chunks: Iterable[RecordChunk], tensors: Steps, edges: Steps, name: str
) -> tuple[npt.NDArray[np.float32], Flags]:
    """Pools records into cells.

    Args:
      chunks: the records; those outside of the edges are left out.
      tensors: int64 [cells' rows], the tensors wanted, in the order wanted, none twice.
      edges: int64 [columns + 1], from `column_edges`.
      name: the statistic, of `stats.statistics`.

    Returns:
      value, float32 [rows, columns]: the statistic of the merge of all records that are valid for
      a step of the cell, NaN where there is none; of a sampled statistic, where none of those
      records was sampled, that of the nearest cell before which was, or else after; and flags,
      uint8 [rows, columns], a sum of the constants above. A record's NaN and infinities are
      flagged between its first and its last non-finite step; a record that is valid beyond
      its last step, and is non-finite there, is so further on.

    Merges of records that lie within one cell give the same as those records do.
    """
    # By columns of the viewport, as records are by steps: then merging them is adding up rows.
    shape = len(edges) - 1, len(tensors)
    # Columns of which none is read take no memory, as nothing ever touches their pages.
    planes = np.empty((len(COLUMNS), *shape))
    for needed in STATISTIC_COLUMNS[name]:
        planes[COLUMN[needed]] = COLUMNS[COLUMN[needed]].empty
    flags = np.zeros(shape, np.uint8)
    for chunk in chunks:
        inside = np.flatnonzero((chunk.valid_until >= edges[0]) & (chunk.first < edges[-1]))
        if len(inside) and len(tensors):
            records = slice(int(inside[0]), int(inside[-1]) + 1)
            _add(chunk, records, tensors, edges, STATISTIC_COLUMNS[name], planes, flags)
    with np.errstate(over="ignore"):  # Only a damaged file has counts beyond float32.
        value = statistic(name, np.moveaxis(planes, 0, -1)).astype(np.float32).T
    flags = flags.T
    if "sampled_steps" in STATISTIC_COLUMNS[name]:
        value = _filled(value, planes[COLUMN["sampled_steps"]].T > 0, (flags & RECORDED) > 0)
    return value, flags


def _filled(
    value: npt.NDArray[np.float32], sampled: npt.NDArray[np.bool_], recorded: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """The values with those that were sampled in place of those that were only recorded."""
    columns = value.shape[1]
    across = np.arange(columns)
    before = np.maximum.accumulate(np.where(sampled, across, -1), axis=1)
    after = np.minimum.accumulate(np.where(sampled, across, columns)[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(before >= 0, before, np.minimum(after, columns - 1))
    taken: npt.NDArray[np.float32] = np.take_along_axis(value, nearest, axis=1)
    return np.where(recorded & ~sampled, taken, value)


def _add(
    chunk: RecordChunk,
    records: slice,
    tensors: Steps,
    edges: Steps,
    names: Sequence[str],
    planes: Matrix,
    flags: Flags,
) -> None:
    """Merges some consecutive records of a chunk into `planes` and `flags`.

    Args:
      planes: float64 [len(COLUMNS), columns, tensors].
      flags: uint8 [columns, tensors].
    """
    source, target = rows_of(chunk.rows, tensors)
    if not len(source):
        return
    first, last = chunk.first[records], chunk.last[records]
    valid_until = chunk.valid_until[records]
    columns = chunk.columns[records]
    if len(source) < columns.shape[1] or np.any(np.diff(source) != 1):
        columns = np.moveaxis(np.moveaxis(columns, -1, 0)[:, :, source], 0, -1)

    covered, *span = spans(edges, first, valid_until)
    cell = index_of(covered, target)
    for name in names:
        ufunc, values = _UFUNC[COLUMNS[COLUMN[name]].merge], columns[..., COLUMN[name]]
        if ufunc is not np.add or values.any():  # Most counts of most records are 0.
            plane = planes[COLUMN[name]]
            plane[cell] = ufunc(plane[cell], pool(ufunc, values, *span))

    skipped = columns[..., COLUMN["scale_skipped_steps"]] > 0
    raised = (columns[..., COLUMN["steps"]] > 0) * np.uint8(RECORDED)
    if skipped.any():
        raised |= skipped * np.uint8(SCALE_SKIPPED)
    flags[cell] |= pool(np.bitwise_or, raised, *span)
    if (columns[..., COLUMN["nonfinite_steps"]] > 0).any():
        left, right = covered[0], covered[-1] + 1
        cell = index_of(np.arange(left, right), target)
        flags[cell] |= _nonfinite(columns, first, last, valid_until, edges[left : right + 1]).T


def _nonfinite(
    columns: Matrix, first: Steps, last: Steps, valid_until: Steps, edges: Steps
) -> Flags:
    """NAN, POS_INF and NEG_INF between each record's first and last non-finite step.

    Returns flags uint8 [rows, len(edges) - 1].
    """
    rows, width = columns.shape[1], len(edges)
    flags = np.zeros((rows, width - 1), np.uint8)
    at = np.flatnonzero(columns[..., COLUMN["nonfinite_steps"]] > 0)
    if not len(at):
        return flags
    record, row = np.divmod(at, rows)
    starts, ends = first[record], last[record]

    def of(name: str) -> Matrix:
        return columns[..., COLUMN[name]].reshape(-1)[at]

    # Where a record does not say which of its steps, it is all of them.
    begin, end = of("first_nonfinite_step"), of("last_nonfinite_step")
    begin = np.where(np.isnan(begin), starts, np.clip(begin, starts, ends))
    end = np.where(np.isnan(end), ends, np.clip(end, begin, ends))
    end = np.where(end == ends, valid_until[record], end)
    inside = (end >= edges[0]) & (begin < edges[-1])
    from_cell = row * width + column_of(edges, begin)
    after_cell = row * width + column_of(edges, end) + 1

    # Each range as +1 where it begins and -1 after its end: their running sum counts the ranges.
    for flag, name in _NONFINITE:
        has_some = inside & (of(name) > 0)
        change = np.bincount(from_cell[has_some], minlength=rows * width)
        change -= np.bincount(after_cell[has_some], minlength=rows * width)
        ranges = np.cumsum(change.reshape(rows, width), axis=1)[:, :-1]
        flags |= (ranges > 0) * np.uint8(flag)
    return flags
