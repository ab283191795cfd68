"""Levels of detail: which record of level 1, 2, ... a record of level 0 completes."""

from __future__ import annotations

from dataclasses import dataclass

from tb_nanwatch.format.tags import RECORDS_PER_LEVEL
from tb_nanwatch.stats.columns import WINDOW_FIELD
from tb_nanwatch.stats.record import Record, merge


@dataclass(frozen=True)
class Levels:
    """What was written and waits to be merged.

    Attributes:
      waiting: of each level from 0 on, the records of the one of the next level that is not yet
        complete, in order.
    """

    waiting: tuple[tuple[Record, ...], ...] = ()

    def add(self, record: Record) -> tuple[Levels, list[Record]]:
        """Takes in the next record of level 0, and does not change `self`.

        Returns:
          What waits then; and the records of level 1, 2, ... that it completes, in this order.

        Record n of a level is records 16 n to 16 n + 15 of the level below, all of one manifest.
        Where one of those is missing there is no record n, and its steps are those of the levels
        below alone; so, too, at the end, where less than 16 are left.
        """
        waiting = list(self.waiting)
        completed: list[Record] = []
        while True:
            level = len(completed)
            if level == len(waiting):
                waiting.append(())
            number, place = divmod(_sequence(record), RECORDS_PER_LEVEL)
            group = [
                *(r for r in waiting[level] if _sequence(r) // RECORDS_PER_LEVEL == number),
                record,
            ]
            is_last = place == RECORDS_PER_LEVEL - 1
            waiting[level] = () if is_last else tuple(group)
            manifests = {r.field("manifest") for r in group}
            if not is_last or len(group) < RECORDS_PER_LEVEL or len(manifests) > 1:
                return Levels(tuple(waiting)), completed
            record = merge(group)
            record.window[WINDOW_FIELD["sequence"]] = number
            completed.append(record)


def _sequence(record: Record) -> int:
    return int(record.field("sequence"))
