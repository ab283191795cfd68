"""What the reader gives: records, and one tensor's histograms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tb_nanwatch.stats.histogram import Histograms
from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Records:
    """Consecutive records of one stream.

    Attributes:
      first: int64 [records], first step of each, ascending.
      last: int64 [records], last step.
      valid_until: int64 [records], last step for which the record is valid, before the next one's
        first.
      rows: int64 [rows], index in `RunIndex.tensors` of each row, none twice.
      windows: float64 [records, len(WINDOW_FIELDS)].
      columns: float64 [records, rows, len(COLUMNS)], in memory column after column.
      windows_merged: how many recorded windows each is the merge of; 1 for a single record.
    """

    first: Steps
    last: Steps
    valid_until: Steps
    rows: Steps
    windows: Matrix
    columns: Matrix
    windows_merged: int = 1

    def take(self, which: slice | npt.NDArray[np.bool_]) -> Records:
        """Some of the records; a slice makes no copy."""
        return replace(
            self,
            first=self.first[which],
            last=self.last[which],
            valid_until=self.valid_until[which],
            windows=self.windows[which],
            columns=take_records(self.columns, which),
        )


def take_records(columns: Matrix, which: slice | Steps | npt.NDArray[np.bool_]) -> Matrix:
    """Some of the records of `columns`, which stay column after column in memory."""
    return np.moveaxis(np.moveaxis(columns, -1, 0)[:, which], 0, -1)


@dataclass(frozen=True, eq=False)
class RecordHistograms:
    """One tensor's exponent histograms of consecutive records of one stream.

    Attributes:
      first: int64 [records], first step of each.
      valid_until: int64 [records], last step for which it is valid.
      histograms: one a record; `Histograms.lengths` is [records].
    """

    first: Steps
    valid_until: Steps
    histograms: Histograms

    def take(self, which: npt.NDArray[np.bool_]) -> RecordHistograms:
        """Some of the records."""
        part, entries = self.histograms, np.repeat(which, self.histograms.lengths)
        taken = Histograms(part.lengths[which], part.codes[entries], part.counts[entries])
        return RecordHistograms(self.first[which], self.valid_until[which], taken)
