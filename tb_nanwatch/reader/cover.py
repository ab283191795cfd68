"""Which records of which levels are read: few that together hold everything of a range.

A record of level k with the number n holds what those of level 0 with the numbers ``16**k * n`` to
``16**k * (n + 1) - 1`` hold. Ranges of such numbers are int64 [begin, end, begin, end, ...], each
end exclusive, ascending.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.tags import RECORDS_PER_BLOCK, RECORDS_PER_LEVEL
from tb_nanwatch.reader.heads import Head, PartHead
from tb_nanwatch.reader.listing import Entry
from tb_nanwatch.stats.columns import COLUMNS

Steps = npt.NDArray[np.int64]

MOST_RECORDS = 4096
"""So many records are read for one answer at the most, where there are levels to choose from."""

MOST_BYTES = 64 * 2**20
"""And so many bytes of them."""

EVERYTHING: Steps = np.array([0, 2**62], np.int64)

Blocks = Mapping[int, Mapping[int, Entry]]
"""The blocks of one stream by level and number."""


@dataclass(frozen=True)
class Piece:
    """Some records of a block.

    Attributes:
      entry: the block's tag.
      part: what is kept of those of its records that are of one manifest.
      positions: int64 [records], which of them.
    """

    entry: Entry
    part: PartHead
    positions: Steps

    @property
    def level(self) -> int:
        return level_of(self.entry)

    @property
    def begins(self) -> Steps:
        """int64 [records], number of the first record of level 0 that each holds."""
        return records_of(self.level) * self.part.steps("sequence")[self.positions]


def level_of(entry: Entry) -> int:
    """The level of a block."""
    assert entry.parsed.level is not None
    return entry.parsed.level


def records_of(level: int) -> int:
    """How many records of level 0 one of this level holds."""
    return int(RECORDS_PER_LEVEL**level)


def record_bytes(tensors: int) -> int:
    """Bytes of one record, without its histograms."""
    return 8 * len(COLUMNS) * (1 + tensors)


def by_level(entries: Iterable[Entry]) -> dict[int, dict[int, Entry]]:
    """The blocks of one stream by level and number."""
    blocks: dict[int, dict[int, Entry]] = {}
    for entry in entries:
        assert entry.parsed.block is not None
        blocks.setdefault(level_of(entry), {})[entry.parsed.block] = entry
    return blocks


def choose_level(highest: int, cost: Callable[[int], tuple[int, int]]) -> int:
    """The finest level from 0 to `highest` whose `cost`, records and bytes, is within bounds."""
    for level in range(highest):
        records, size = cost(level)
        if records <= MOST_RECORDS and size <= MOST_BYTES:
            return level
    return highest


def is_complete(blocks: Blocks, heads: Mapping[Entry, Head | None], wanted: set[Entry]) -> bool:
    """Whether TensorBoard seems to hold every record of a stream of several blocks.

    Where it samples, the first block lacks some; then only reading everything tells how many. Adds
    that block to `wanted` where it was not read yet.
    """
    first = blocks.get(0, {}).get(0)
    if first is None:
        return False
    if first not in heads:
        wanted.add(first)
        return True
    parts = (heads[first] or Head()).parts
    return sum(len(part.wall_times) for part in parts) == RECORDS_PER_BLOCK


def cover(
    blocks: Blocks,
    heads: Mapping[Entry, Head | None],
    level: int,
    wanted: set[Entry],
    *,
    ranges: Steps = EVERYTHING,
    cuts: Sequence[int] = (),
) -> list[Piece]:
    """Records of `level`, and of lower levels for what it does not hold.

    Args:
      blocks: of the stream.
      heads: of the blocks that were read; None of one that cannot be read.
      level: the highest to take records of.
      wanted: blocks that are needed, and were not read yet, are added to it. Where there are any,
        the answer is not complete, and more may be needed once they are read.
      ranges: numbers of the records of level 0 that are to be held.
      cuts: steps. A record that begins before one of them and does not end before it is taken from
        level 0 alone.
    """
    pieces: list[Piece] = []
    for of_level in range(level, -1, -1):
        size = records_of(of_level)
        span = size * RECORDS_PER_BLOCK
        needed = [
            entry
            for number, entry in sorted(blocks.get(of_level, {}).items())
            if _meets(ranges, number * span, (number + 1) * span)
        ]
        unread = [entry for entry in needed if entry not in heads]
        if unread:  # What they hold is not needed of the levels below.
            wanted.update(unread)
            break
        for entry in needed:
            for part in (heads[entry] or Head()).parts:
                begins = size * part.steps("sequence")
                chosen = _contains(ranges, begins)
                if of_level:
                    chosen &= ~_straddles(part, cuts)
                if chosen.any():
                    pieces.append(Piece(entry, part, np.flatnonzero(chosen)))
        taken = [(piece.begins, of_level) for piece in pieces if piece.level == of_level]
        ranges = _toggle(ranges, ranges_of(taken)) if of_level else ranges
    return pieces


def ranges_of(records: Iterable[tuple[Steps, int]]) -> Steps:
    """What records hold, no two of them the same, from the first number of each and its level."""
    edges = [np.zeros(0, np.int64)]
    for begins, level in records:
        edges += [begins, begins + records_of(level)]
    return _toggle(*edges)


def _contains(ranges: Steps, numbers: Steps) -> npt.NDArray[np.bool_]:
    inside: npt.NDArray[np.bool_] = np.searchsorted(ranges, numbers, side="right") % 2 == 1
    return inside


def _meets(ranges: Steps, begin: int, end: int) -> bool:
    place = int(np.searchsorted(ranges, begin, side="right"))
    return place % 2 == 1 or (place < len(ranges) and int(ranges[place]) < end)


def _toggle(*edges: Steps) -> Steps:
    """The numbers that are in an odd number of these ranges."""
    numbers, times = np.unique(np.concatenate(edges), return_counts=True)
    kept: Steps = numbers[times % 2 == 1]
    return kept


def _straddles(part: PartHead, cuts: Sequence[int]) -> npt.NDArray[np.bool_]:
    at = np.sort(np.asarray(cuts, np.int64))
    before_first = np.searchsorted(at, part.steps("first_step"), side="right")
    straddles: npt.NDArray[np.bool_] = before_first != np.searchsorted(
        at, part.steps("last_step"), side="right"
    )
    return straddles
