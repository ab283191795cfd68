"""What the reader gives: records, and histograms of one tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.reader.cover import records_of
from tb_nanwatch.stats.histogram import Histograms
from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Records:
    """Consecutive records of one stream.

    Attributes:
      first: int64 [records], first step of each, ascending.
      last: int64 [records], last step.
      until: int64 [records], last step that the record stands for, before the next one's first.
      rows: int64 [rows], index in `RunIndex.tensors` of each row, none twice.
      windows: float64 [records, len(WINDOW_FIELDS)].
      columns: float64 [records, rows, len(COLUMNS)].
      level: of the records.
    """

    first: Steps
    last: Steps
    until: Steps
    rows: Steps
    windows: Matrix
    columns: Matrix
    level: int = 0

    @property
    def held(self) -> int:
        """How many records of level 0 each of them holds."""
        return records_of(self.level)


@dataclass(frozen=True)
class RecordHistogram:
    """One tensor's exponent histogram of one record.

    Attributes:
      first: first step of the record.
      until: last step that the record stands for.
      histogram: of one row.
    """

    first: int
    until: int
    histogram: Histograms
