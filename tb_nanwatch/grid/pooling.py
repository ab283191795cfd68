"""Which records and rows make up which cells, and their reduction."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]


def rows_of(rows: Steps, tensors: Steps) -> tuple[Steps, Steps]:
    """(rows of the chunk, rows of the cells) of the tensors that are wanted."""
    order = np.argsort(tensors, kind="stable")
    place = np.minimum(np.searchsorted(tensors, rows, sorter=order), len(tensors) - 1)
    target = order[place]
    wanted = np.flatnonzero(tensors[target] == rows)
    return wanted, target[wanted]


def index_of(columns: Steps, rows: Steps) -> tuple[slice | Steps, slice | Steps]:
    """Index of cells; by slices, which are quick, where both are consecutive."""
    if len(columns) and all(
        np.array_equal(at, np.arange(at[0], at[-1] + 1)) for at in (columns, rows)
    ):
        return slice(columns[0], columns[-1] + 1), slice(rows[0], rows[-1] + 1)
    by_column, by_row = np.ix_(columns, rows)
    return by_column, by_row


def column_of(edges: Steps, steps: npt.NDArray[np.signedinteger] | Matrix) -> Steps:
    """The column of each step; that of the nearest edge for steps outside."""
    return np.clip(np.searchsorted(edges, steps, side="right") - 1, 0, len(edges) - 2)


def spans(edges: Steps, first: Steps, valid_until: Steps) -> tuple[Steps, Steps, Steps]:
    """(columns, the first record of each, the one after its last) where records are valid.

    Args:
      edges: int64 [columns + 1].
      first: int64 [records], of disjoint and ascending records: those of one column are
        consecutive.
      valid_until: int64 [records].
    """
    begin, end = column_of(edges, first), column_of(edges, valid_until)
    across = np.arange(int(begin[0]), int(end[-1]) + 1)
    from_record = np.searchsorted(end, across)
    to_record = np.searchsorted(begin, across, side="right")
    covered = from_record < to_record
    return across[covered], from_record[covered], to_record[covered]


def pool(ufunc: np.ufunc, values: npt.NDArray[Any], begin: Steps, end: Steps) -> npt.NDArray[Any]:
    """Reduces values [records, rows] over records begin to end - 1: [len(begin), rows]."""
    if np.all(end - begin == 1):
        return values[begin]
    if np.array_equal(begin[1:], end[:-1]):
        return ufunc.reduceat(values[: end[-1]], begin, axis=0)
    # reduceat reduces from each index to the next: every other result is what is wanted. The
    # last index may not be the end of the array, so one record is added and never used.
    padded = np.concatenate([values, values[-1:]])
    return ufunc.reduceat(padded, np.stack([begin, end], axis=1).reshape(-1), axis=0)[::2]
