"""The norms of whole runs, which instability is relative to, kept in memory for all routes."""

from __future__ import annotations

from tb_nanwatch.grid import NormHistory, WholeRun, norm_history
from tb_nanwatch.reader import Access, Reader, RunIndex
from tb_nanwatch.reader.cache import Cache

NORM_BYTES = 128 * 2**20
"""Limit over all runs. A run that fills its own limit on disk takes 5 MB of it."""


class Norms:
    """The `NormHistory` of each run, made once for each state of its data. Thread-safe."""

    def __init__(self, reader: Reader):
        self._reader = reader
        self._histories: Cache[NormHistory] = Cache(NORM_BYTES, lambda history: history.nbytes)

    def of(self, access: Access, index: RunIndex) -> NormHistory:
        """Reads all of the run's records where it is not known yet."""

        def read() -> NormHistory:
            steps = index.first_step or 0, index.last_step or 0
            records = self._reader.records(access, index, *steps)
            return norm_history(records, len(index.tensors))

        return self._histories.get_or_compute((access.experiment, index.run), index, read)

    def whole_run(self, access: Access, index: RunIndex) -> WholeRun:
        """What the statistics of cells take of the run."""
        return WholeRun(
            [tensor.info for tensor in index.tensors],
            [tensor.worker for tensor in index.tensors],
            lambda: self.of(access, index),
        )
