"""Two runs record by record: the stretches of steps that whole records of both make up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tb_nanwatch.diagnosis.facts.tensor_history import Steps
from tb_nanwatch.format.history import Series
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.record import Matrix


@dataclass(frozen=True)
class Stream:
    """All records of the same tensors, disjoint and ascending.

    Attributes:
      rows: int64 [rows], index in `History.tensors`.
      first: int64 [records].
      last: int64 [records].
      columns: float64 [records, rows, len(COLUMNS)].
    """

    rows: Steps
    first: Steps
    last: Steps
    columns: Matrix


def streams(series: Iterable[Series]) -> Iterator[Stream]:
    """The series, those of the same tensors together."""
    by_rows: dict[bytes, list[Series]] = {}
    for each in series:
        by_rows.setdefault(each.rows.tobytes(), []).append(each)
    for parts in by_rows.values():
        windows = np.concatenate([part.windows for part in parts])
        columns = np.concatenate([part.columns for part in parts])
        first, last = (windows[:, WINDOW_FIELD[name]] for name in ("first_step", "last_step"))
        order = np.argsort(first, kind="stable")
        yield Stream(
            parts[0].rows,
            first[order].astype(np.int64),
            last[order].astype(np.int64),
            columns[order],
        )


class Stretch(NamedTuple):
    """Steps that whole records of both runs make up: from `begin` to `end` - 1 of each."""

    first: int
    last: int
    begin: tuple[int, int]
    end: tuple[int, int]


def common_stretches(one: Stream, other: Stream) -> list[Stretch]:
    """The shortest stretches of steps that both streams cover with whole records."""
    first = one.first.tolist(), other.first.tolist()
    last = one.last.tolist(), other.last.tolist()
    at = [0, 0]
    stretches = []
    while at[0] < len(first[0]) and at[1] < len(first[1]):
        starts = first[0][at[0]], first[1][at[1]]
        if starts[0] != starts[1]:
            at[starts[0] > starts[1]] += 1
            continue
        begin, end = tuple(at), list(at)
        while last[0][end[0]] != last[1][end[1]]:
            side = int(last[0][end[0]] > last[1][end[1]])
            step = last[side][end[side]]
            end[side] += 1
            if end[side] == len(first[side]) or first[side][end[side]] != step + 1:
                break  # A gap before both end together.
        else:
            stretches.append(
                Stretch(starts[0], last[0][end[0]], (begin[0], begin[1]), (end[0] + 1, end[1] + 1))
            )
            end = [end[0] + 1, end[1] + 1]
        at = end
    return stretches


def pooled(
    stream: Stream, rows: Steps, stretches: Sequence[Stretch], side: int
) -> tuple[Matrix, Matrix]:
    """Root of the mean square and largest norm over each stretch, both [stretches, tensors]."""
    begin = np.array([stretch.begin[side] for stretch in stretches])
    end = np.array([stretch.end[side] for stretch in stretches])
    at = np.stack([begin, end], axis=1).reshape(-1)

    def pool(ufunc: np.ufunc, name: str) -> Matrix:
        values = stream.columns[:, rows, COLUMN[name]]
        # Every other result is of a stretch; one record more, so that every end is an index.
        pooled: Matrix = ufunc.reduceat(np.concatenate([values, values[-1:]]), at, axis=0)[::2]
        return pooled

    elements = np.maximum(pool(np.add, "elements"), 1)
    rms = np.sqrt(pool(np.add, "sum_squares") / elements)
    return rms, np.nan_to_num(pool(np.fmax, "largest_norm"))
