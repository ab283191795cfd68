"""Merges of records, which make the picture of a long run quick to draw.

A run of ten thousand records has a picture of some hundred columns: it is drawn from merges of 16
records each, which are made once, while the records are read, and kept in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.reader.blocks import Block, BlockPart
from tb_nanwatch.reader.index import IndexedRecords
from tb_nanwatch.reader.listing import Entry
from tb_nanwatch.reader.records import Records, take_records
from tb_nanwatch.reader.sessions import StreamKey, stream_key
from tb_nanwatch.stats.columns import COLUMNS
from tb_nanwatch.stats.record import Matrix, merge_columns, merge_windows

Steps = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MERGED = 16
"""So many records of a block, one after another, become one."""

MOST_RECORDS = 4096
"""Up to so many records are read as they were recorded."""

MOST_BYTES = 64 * 2**20
"""And up to so many bytes of them."""

MOST_HISTORY_BYTES = 256 * 2**20
"""Up to so many bytes of records are diagnosed as they were recorded. That is four times what a run
writes by default, and a diagnosis takes two to three times as much memory."""


_NO_STEPS = np.zeros(0, np.int64)


def record_bytes(tensors: int) -> int:
    """Bytes of one record, without its histograms."""
    return 8 * len(COLUMNS) * (1 + tensors)


def is_large(sizes: Iterable[tuple[int, int]]) -> bool:
    """Whether records, given as (how many, of how many tensors), are drawn from their merges."""
    sizes = list(sizes)
    return sum(count for count, _ in sizes) > MOST_RECORDS or _bytes(sizes) > MOST_BYTES


def is_long_history(sizes: Iterable[tuple[int, int]]) -> bool:
    """Whether records, given likewise, are diagnosed from their merges."""
    return _bytes(sizes) > MOST_HISTORY_BYTES


def _bytes(sizes: Iterable[tuple[int, int]]) -> int:
    return sum(count * record_bytes(tensors) for count, tensors in sizes)


@dataclass(frozen=True, eq=False)
class MergedPart:
    """The merges of a `blocks.BlockPart`: merge n is of its records 16 n to 16 n + 15.

    Attributes:
      wall_times: float64 [merges, 16], of the records; they tell records apart.
      windows: float64 [merges, len(WINDOW_FIELDS)].
      columns: float64 [merges, tensors, len(COLUMNS)], in memory column after column.
    """

    wall_times: Matrix
    windows: Matrix
    columns: Matrix


MergedBlock = dict[int, MergedPart]
"""Hash of the manifest to the merges of a block's records."""


def merge_block(block: Block) -> MergedBlock:
    """The merges of a block's records."""
    return {part.manifest: _merge_part(part) for part in block.parts}


def merged_bytes(block: MergedBlock) -> int:
    """Bytes of a block's merges."""
    return sum(part.columns.nbytes + part.windows.nbytes for part in block.values())


def _merge_part(part: BlockPart) -> MergedPart:
    count = len(part.windows) // MERGED
    whole = slice(0, count * MERGED)

    def grouped(array: Matrix) -> Matrix:
        """[16, merges, ...] of [records, ...]."""
        return np.swapaxes(array[whole].reshape(count, MERGED, *array.shape[1:]), 0, 1)

    columns = np.moveaxis(part.columns, -1, 0)[:, whole]
    columns = columns.reshape(len(columns), count, MERGED, columns.shape[-1])  # No copy.
    return MergedPart(
        part.wall_times[whole].reshape(count, MERGED),
        merge_windows(grouped(part.windows)),
        merge_columns(np.moveaxis(columns, (2, 0), (0, -1))),
    )


@dataclass(frozen=True, eq=False)
class MergedRun:
    """The merges of a run's records, in few arrays.

    Attributes:
      chunks: the merges of each stream and manifest.
      places: of each of `RunIndex.records`: index in `chunks`, and int64 [records], the index there
        of the merge that contains each record; -1 for a record that is in none.
    """

    chunks: tuple[Records, ...]
    places: tuple[tuple[int, Steps], ...]

    @property
    def nbytes(self) -> int:
        return sum(chunk.columns.nbytes for chunk in self.chunks)

    def choose(
        self,
        records: Sequence[IndexedRecords],
        first: int,
        last: int,
        single: Steps = _NO_STEPS,
    ) -> tuple[list[Records], list[IndexedRecords]]:
        """What is read of the closed range: merges that lie within it, and the other records.

        Args:
          records: of the index that this was made of.
          first: first step.
          last: last step.
          single: int64, ascending; steps whose records, and those before them, are not merged.
        """
        inside = [
            (c.first >= first) & (c.valid_until <= last) & ~_contain(c, single) for c in self.chunks
        ]
        chosen = [c.take(_compact(which)) for c, which in zip(self.chunks, inside, strict=True)]
        others = []
        for each, (chunk, places) in zip(records, self.places, strict=True):
            needed = each.overlaps(first, last)
            if chunk >= 0:
                needed &= ~(inside[chunk][places] & (places >= 0))
            if needed.any():
                others.append(each.take(needed))
        return [chunk for chunk in chosen if len(chunk.first)], others


def _contain(chunk: Records, steps: Steps) -> Flags:
    """bool [merges], whether a merge, or the one after it, is valid for one of the steps."""
    contains = np.searchsorted(steps, chunk.first) < np.searchsorted(
        steps, chunk.valid_until, side="right"
    )
    contains[:-1] |= contains[1:].copy()
    return contains


def _compact(which: Flags) -> slice | Flags:
    """The flags, as a slice where the True ones are one after another: that copies no MB."""
    at = np.flatnonzero(which)
    if len(at) and at[-1] - at[0] + 1 > len(at):
        return which
    return slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, 0)


def merge_run(records: Sequence[IndexedRecords], blocks: Mapping[Entry, MergedBlock]) -> MergedRun:
    """The merges of a run.

    Args:
      records: of the run's index.
      blocks: the merges of their blocks, as far as these can be read.
    """
    numbers: dict[tuple[StreamKey, int], int] = {}
    members: list[list[Records]] = []
    places: list[tuple[int, Steps]] = []
    for each in records:
        part = blocks.get(each.entry, {}).get(each.manifest)
        merges, place = _merges_of(each, part) if part is not None else (None, _nowhere(each))
        number = -1
        if merges is not None:
            number = numbers.setdefault((stream_key(each.entry), each.manifest), len(members))
            if number == len(members):
                members.append([])
            place[place >= 0] += sum(len(before.first) for before in members[number])
            members[number].append(merges)
        places.append((number, place))
    return MergedRun(tuple(_concatenate(of_chunk) for of_chunk in members), tuple(places))


def _nowhere(records: IndexedRecords) -> Steps:
    return np.full(len(records.first), -1, np.int64)


def _merges_of(records: IndexedRecords, part: MergedPart) -> tuple[Records | None, Steps]:
    """The merges whose records are all of the run, and the index of each record's merge, or -1."""
    if not len(part.windows):
        return None, _nowhere(records)
    position, found = find(records.wall_times, part.wall_times.reshape(-1))
    merge = np.where(found, position // MERGED, -1)
    usable = np.bincount(merge[found], minlength=len(part.windows)) == MERGED
    usable[usable] = _is_gapless(records, np.flatnonzero(found & usable[merge]))
    which = np.flatnonzero(usable)
    inside = np.flatnonzero(found & usable[merge]).reshape(-1, MERGED)
    place = _nowhere(records)
    place[inside] = np.arange(len(inside))[:, np.newaxis]
    if not len(which):
        return None, place
    merges = Records(
        records.first[inside[:, 0]],
        records.last[inside[:, -1]],
        records.valid_until[inside[:, -1]],
        records.tensors,
        part.windows[which],
        take_records(part.columns, which),
        MERGED,
    )
    return merges, place


def _is_gapless(records: IndexedRecords, at: Steps) -> Flags:
    """bool [merges], whether no gap between the records of a merge is longer than most of them.

    Args:
      records: of the run.
      at: int64 [16 * merges], those of each merge in order.
    """
    inside = at.reshape(-1, MERGED)
    gaps = records.first[inside[:, 1:]] - records.last[inside[:, :-1]]
    gapless: Flags = (gaps <= 2 * np.median(gaps, axis=1, keepdims=True)).all(axis=1)
    return gapless


def find(wanted: Matrix, wall_times: Matrix) -> tuple[Steps, Flags]:
    """Where records are among others, int64 [records], and whether they are there at all.

    By the events' wall times: a block may have been read again since, with events more, and with
    others where TensorBoard samples.
    """
    if not len(wall_times):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    order = np.argsort(wall_times, kind="stable")
    place = np.searchsorted(wall_times, wanted, sorter=order)
    position: Steps = order[np.minimum(place, len(order) - 1)]
    return position, wall_times[position] == wanted


def _concatenate(parts: Sequence[Records]) -> Records:
    """The records of one stream and manifest, given in order, in one array each."""
    columns = np.concatenate([np.moveaxis(part.columns, -1, 0) for part in parts], axis=1)
    return Records(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.last for part in parts]),
        np.concatenate([part.valid_until for part in parts]),
        parts[0].rows,
        np.concatenate([part.windows for part in parts]),
        np.moveaxis(columns, 0, -1),
        MERGED,
    )
