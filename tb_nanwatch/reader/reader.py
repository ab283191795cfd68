"""The way into what was recorded: runs, and the records of a range of steps. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tensorboard.data.provider import DataProvider

from tb_nanwatch.reader.blocks import Block, Part
from tb_nanwatch.reader.cache import CACHE_BYTES
from tb_nanwatch.reader.digest import Digest, digest
from tb_nanwatch.reader.index import RunIndex, Stretch, build
from tb_nanwatch.reader.listing import Access, Entry, Listing
from tb_nanwatch.reader.store import Store
from tb_nanwatch.schema.tags import block_tag
from tb_nanwatch.stats.histogram import Histograms
from tb_nanwatch.stats.history import History, Series
from tb_nanwatch.stats.record import Matrix
from tb_nanwatch.wire import WireError
from tb_nanwatch.wire.histograms import unpack_histogram

Steps = npt.NDArray[np.int64]


class UnknownRunError(LookupError):
    """There is no such run.

    Attributes:
      run: the name that was asked for.
      known: the names of those there are.
    """

    def __init__(self, run: str, known: Sequence[str]):
        super().__init__(run)
        self.run = run
        self.known = tuple(known)


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
    """

    first: Steps
    last: Steps
    until: Steps
    rows: Steps
    windows: Matrix
    columns: Matrix


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


class Reader:
    """Reads what NaNWatch recorded from TensorBoard's DataProvider.

    Blocks stay in memory up to a byte limit over all runs; what the overview of a run needs of them
    stays for as long as the run exists. A request for what is in memory costs no call, the first
    one after a reload a listing and a read of what is new.
    """

    def __init__(
        self,
        provider: DataProvider,
        *,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._listing = Listing(provider, clock)
        self._provider, self._cache_bytes = provider, cache_bytes
        self._stores: dict[str, Store] = {}
        self._indexes: dict[tuple[str, str], tuple[tuple[Entry, ...], RunIndex]] = {}
        self._lock = threading.Lock()

    def runs(self, access: Access) -> list[RunIndex]:
        """Every run with data of ours, by name."""
        return list(self._refresh(access, self._listing.entries(access)).values())

    def run(self, access: Access, name: str) -> RunIndex:
        """The run of this name; raises UnknownRunError."""
        listed = self._listing.entries(access)
        if name not in listed:
            raise UnknownRunError(name, list(listed))
        return self._refresh(access, {name: listed[name]})[name]

    def records(self, access: Access, index: RunIndex, first: int, last: int) -> Iterator[Records]:
        """The records that stand for a step of the closed range, block by block."""
        needed = [s for s in index.stretches if s.until[-1] >= first and s.first[0] <= last]
        for stretch, part in self._parts(access, needed):
            chosen = (stretch.until >= first) & (stretch.first <= last)
            position, found = _find(stretch, part)
            chosen &= found
            if chosen.any():
                yield Records(
                    stretch.first[chosen],
                    stretch.last[chosen],
                    stretch.until[chosen],
                    stretch.tensors,
                    part.windows[position[chosen]],
                    _take(part.columns, position[chosen]),
                )

    def history(self, access: Access, index: RunIndex) -> History:
        """All that the run recorded, for a diagnosis."""
        everything = self.records(access, index, index.first_step or 0, index.last_step or 0)
        return History(
            tensors=tuple(tensor.info for tensor in index.tensors),
            workers=tuple(tensor.worker for tensor in index.tensors),
            series=[Series(part.rows, part.windows, part.columns) for part in everything],
            initial=index.initials,
            is_complete=index.read == index.written,
        )

    def histograms(
        self, access: Access, index: RunIndex, tensor: int, first: int, last: int
    ) -> Iterator[RecordHistogram]:
        """One tensor's exponent histograms of the records that stand for a step of the range.

        Records without histograms, or with unreadable ones, are left out.
        """
        needed = [
            s
            for s in index.stretches
            if s.until[-1] >= first and s.first[0] <= last and tensor in s.tensors
        ]
        tags = {_histogram_key(s.entry): s.entry for s in needed}
        listed = self._listing.entries(access).get(index.run, ())
        packed = {
            tags[entry.key]: held
            for entry, held in self._store(access).packed_histograms(
                access, [entry for entry in listed if entry.key in tags]
            )
        }
        for stretch, part in self._parts(access, needed):
            row = int(np.flatnonzero(stretch.tensors == tensor)[0])
            position, found = _find(stretch, part)
            chosen = found & (stretch.until >= first) & (stretch.first <= last)
            held = packed.get(stretch.entry, {})
            for record in np.flatnonzero(chosen):
                histogram = _row(held.get(int(part.event_steps[position[record]])), row)
                if histogram is not None:
                    steps = int(stretch.first[record]), int(stretch.until[record])
                    yield RecordHistogram(*steps, histogram)

    def _store(self, access: Access) -> Store:
        if access.experiment not in self._stores:
            new = Store(self._provider, self._cache_bytes)
            self._stores.setdefault(access.experiment, new)
        return self._stores[access.experiment]

    def _refresh(self, access: Access, wanted: dict[str, tuple[Entry, ...]]) -> dict[str, RunIndex]:
        """The index of each wanted run, made anew where its tags changed."""
        with self._lock:
            known = {name: self._indexes.get((access.experiment, name)) for name in wanted}
            fresh = {
                name: held[1]
                for name, held in known.items()
                if held is not None and held[0] == wanted[name]
            }
            stale = [name for name in wanted if name not in fresh]
            store = self._store(access)
            if stale:
                store.update(access, [entry for name in stale for entry in wanted[name]])
                listed = self._listing.entries(access)
                for experiment, name in list(self._indexes):
                    if experiment == access.experiment and name not in listed:
                        del self._indexes[experiment, name]
                store.forget_others(
                    entry for entries in (*listed.values(), *wanted.values()) for entry in entries
                )
            for name in stale:
                contents = store.contents(wanted[name])
                fresh[name] = build(name, contents, lambda s: self._partial(access, s))
                if None not in contents.heads.values():
                    self._indexes[access.experiment, name] = wanted[name], fresh[name]
            return {name: fresh[name] for name in wanted}

    def _parts(
        self, access: Access, stretches: Iterable[Stretch]
    ) -> Iterator[tuple[Stretch, Part]]:
        """Each stretch with its part of its block."""
        by_entry: dict[Entry, list[Stretch]] = {}
        for stretch in stretches:
            by_entry.setdefault(stretch.entry, []).append(stretch)
        for entry, block in self._store(access).blocks(access, by_entry):
            for stretch in by_entry[entry]:
                part = _part(block, stretch)
                if part is not None:
                    yield stretch, part

    def _partial(self, access: Access, stretch: Stretch) -> Digest:
        for _, part in self._parts(access, [stretch]):
            position, found = _find(stretch, part)
            return digest(stretch.first[found], _take(part.columns, position[found]))
        return digest(stretch.first[:0], np.zeros((0, len(stretch.tensors), 0)))


def _part(block: Block, stretch: Stretch) -> Part | None:
    for part in block.parts:
        if part.manifest == stretch.manifest:
            return part
    return None


def _find(stretch: Stretch, part: Part) -> tuple[Steps, npt.NDArray[np.bool_]]:
    """Row in `part` of each record of `stretch`, and whether it is there at all.

    By the events' wall times: the block may have been read again since, with events more, and with
    others where TensorBoard samples.
    """
    order = np.argsort(part.wall_times, kind="stable")
    place = np.searchsorted(part.wall_times, stretch.wall_times, sorter=order)
    position = order[np.minimum(place, len(order) - 1)]
    return position, part.wall_times[position] == stretch.wall_times


def _take(columns: Matrix, position: Steps) -> Matrix:
    """Rows of the records at `position`, kept column after column in memory."""
    if len(position) == len(columns) and np.array_equal(position, np.arange(len(columns))):
        return columns
    return np.moveaxis(np.moveaxis(columns, -1, 0)[:, position], 0, -1)


def _histogram_key(entry: Entry) -> tuple[str, str]:
    parsed = entry.parsed
    assert parsed.level is not None
    assert parsed.block is not None
    return entry.run, block_tag("hist", parsed.stream, parsed.level, parsed.block)


def _row(packed: npt.NDArray[np.uint8] | None, row: int) -> Histograms | None:
    """The histogram of one row; None where there is none, or it cannot be read."""
    try:
        return None if packed is None else unpack_histogram(packed, row)
    except WireError:
        return None
