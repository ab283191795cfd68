"""The way into what was recorded: runs, and the records of a range of steps. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
from tensorboard.data.provider import DataProvider

from tb_nanwatch.format import FormatError
from tb_nanwatch.format.histograms import unpack_histogram
from tb_nanwatch.format.history import History, Series
from tb_nanwatch.format.tags import block_tag
from tb_nanwatch.reader.blocks import BlockPart
from tb_nanwatch.reader.cache import Cache
from tb_nanwatch.reader.contents import Contents
from tb_nanwatch.reader.index import IndexedRecords, RunIndex, build
from tb_nanwatch.reader.listing import Access, Directories, Entries, Entry, Listing
from tb_nanwatch.reader.merged import MergedRun, find, is_large, is_long_history, merge_run
from tb_nanwatch.reader.nonfinite_summary import NonfiniteSummary, empty, summarize_nonfinite
from tb_nanwatch.reader.records import RecordHistograms, Records, take_records
from tb_nanwatch.reader.runs import directory_of, training_names
from tb_nanwatch.reader.store import CACHE_BYTES, PackedHistograms, Store
from tb_nanwatch.reader.trainings import split_trainings
from tb_nanwatch.stats.histogram import Histograms, total_histogram


@dataclass(frozen=True)
class Listed:
    """A run as far as it is known without reading anything.

    Attributes:
      directory: that it is of, by name. Of a directory that was never read one run is known.
      entries: the directory's tags; the same object as long as nothing changes.
      index: the last one that was made; None where the directory was never read.
      is_current: whether the index is of the run's present data, as far as that is known.
      is_read: whether all of the directory was read. If not, it may have further runs.
    """

    directory: str
    entries: Entries
    index: RunIndex | None
    is_current: bool
    is_read: bool


@dataclass(frozen=True, eq=False)
class _Training:
    """An index, and what it was made from."""

    contents: Contents
    first_runs: tuple[str, ...]
    index: RunIndex

    def is_of(self, contents: Contents, first_runs: tuple[str, ...]) -> bool:
        """Whether it would be made from the same now."""
        before, now = self.contents.summaries, contents.summaries
        return (
            self.first_runs == first_runs
            and self.contents.entries == contents.entries
            and before.keys() == now.keys()
            and all(before[entry] is summary is not None for entry, summary in now.items())
        )


@dataclass(frozen=True, eq=False)
class _Known:
    """The trainings of a directory.

    Attributes:
      entries: the directory's tags.
      trainings: made from them, by name.
      is_complete: whether TensorBoard could read them all; if not it is asked again.
    """

    entries: Entries
    trainings: Mapping[str, _Training]
    is_complete: bool


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


class Reader:
    """Reads what NaNWatch recorded from TensorBoard's DataProvider.

    Blocks, the merges of long runs and packed histograms stay in memory up to a byte limit each,
    over all runs; what the overview of a run needs of its blocks (about 30 bytes a tensor and
    block) stays for as long as the run exists. A request for what is in memory costs no call, the
    first one after a reload a listing and a read of what is new.

    Args:
      provider: TensorBoard's.
      cache_bytes: the limit.
      clock: seconds, for how long a listing is believed.
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
        self._known: dict[tuple[str, str], _Known] = {}
        self._kept: dict[str, Directories] = {}
        self._merged: Cache[MergedRun] = Cache(cache_bytes, lambda merged: merged.nbytes)
        self._lock = threading.RLock()

    def runs(self, access: Access) -> list[RunIndex]:
        """Every run with data of ours, by name. Reads whatever is new of all of them."""
        known = self._refresh(access, self._listing.entries(access))
        return [each.index for of_one in known.values() for each in of_one.trainings.values()]

    def run(self, access: Access, name: str) -> RunIndex:
        """The run of this name; raises UnknownRunError."""
        listed = self._listing.entries(access)
        directory = directory_of(name, listed)
        if directory is not None:
            known = self._refresh(access, {directory: listed[directory]})[directory]
            if name in known.trainings:
                return known.trainings[name].index
        raise UnknownRunError(name, list(self.listed(access)))

    def listed(self, access: Access) -> dict[str, Listed]:
        """Every run with data of ours, by name, without reading any."""
        found = {}
        for directory, entries in self._listing.entries(access).items():
            known = self._known.get((access.experiment, directory))
            if known is None:
                found[directory] = Listed(directory, entries, None, False, False)
                continue
            is_read = known.entries is entries
            # A training that has grown leaves the others as they are.
            present = frozenset() if is_read else frozenset(entries)
            for name, training in known.trainings.items():
                is_current = is_read or present.issuperset(training.contents.entries)
                found[name] = Listed(directory, entries, training.index, is_current, is_read)
        return found

    def read(self, access: Access, directories: Iterable[str]) -> None:
        """Reads what is new of some directories; those that are not listed any more do nothing."""
        listed = self._listing.entries(access)
        self._refresh(access, {name: listed[name] for name in directories if name in listed})

    def is_large(self, index: RunIndex, first: int, last: int) -> bool:
        """Whether the closed range has more records than are drawn one by one."""
        return is_large(
            (int(np.count_nonzero(each.overlaps(first, last))), len(each.tensors))
            for each in index.records
        )

    def records(
        self, access: Access, index: RunIndex, first: int, last: int, *, merged: bool = False
    ) -> Iterator[Records]:
        """The records that are valid for a step of the closed range, block by block.

        Args:
          merged: give merges of 16 records where they lie within the range and exist. They contain
            exactly what the single records do.
        """
        chosen = [each.take(each.overlaps(first, last)) for each in index.records]
        if merged:
            chunks, chosen = self._merged_run(access, index).choose(index.records, first, last)
            yield from chunks
        yield from self._read(access, [each for each in chosen if len(each.first)])

    def _read(self, access: Access, chosen: Iterable[IndexedRecords]) -> Iterator[Records]:
        """Records that the index knows, block by block."""
        for each, part in self._parts(access, chosen):
            position, found = find(each.wall_times, part.wall_times)
            if found.any():
                each, position = each.take(found), position[found]
                yield Records(
                    each.first,
                    each.last,
                    each.valid_until,
                    each.tensors,
                    part.windows[position],
                    take_records(part.columns, _slice(position)),
                )

    def history(self, access: Access, index: RunIndex) -> History:
        """All that the run recorded, for a diagnosis.

        Of a very long run (`merged.is_long_history`) the records are merges of 16, except around
        the first non-finite step of each tensor: first steps are exact, and memory is bounded.
        """
        steps = index.first_step or 0, index.last_step or 0
        if is_long_history((len(each.first), len(each.tensors)) for each in index.records):
            first = np.unique(index.nonfinite.first)
            single = first[~np.isnan(first)].astype(np.int64)
            chunks, others = self._merged_run(access, index).choose(index.records, *steps, single)
            everything = chain(chunks, self._read(access, others))
        else:
            everything = chain(self.records(access, index, *steps))
        return History(
            tensors=tuple(tensor.info for tensor in index.tensors),
            workers=tuple(tensor.worker for tensor in index.tensors),
            series=[Series(part.rows, part.windows, part.columns) for part in everything],
            initial=index.initials,
            is_complete=index.read == index.written,
            reruns=self._store(access).reruns(index.entries),
            nonfinite_logs=self._store(access).nonfinite_logs(index.entries),
            model=index.model,
            histogram=lambda *wanted: total_histogram(
                [each.histograms for each in self.histograms(access, index, *wanted)]
            ),
        )

    def histograms(
        self, access: Access, index: RunIndex, tensor: int, first: int, last: int
    ) -> Iterator[RecordHistograms]:
        """One tensor's exponent histograms of the records that are valid for a step of the range.

        Records without histograms, or with unreadable ones, are left out.
        """
        chosen = [each.take(each.overlaps(first, last)) for each in index.records]
        needed = [each for each in chosen if len(each.first) and tensor in each.tensors]
        tags = {_histogram_key(each.entry): each.entry for each in needed}
        packed = {
            tags[entry.key]: of_block
            for entry, of_block in self._store(access).packed_histograms(
                access, [entry for entry in index.entries if entry.key in tags]
            )
        }
        for each in needed:
            row = int(np.flatnonzero(each.tensors == tensor)[0])
            found = _histograms(each, packed.get(each.entry, {}), row)
            if len(found.first):
                yield found

    def _merged_run(self, access: Access, index: RunIndex) -> MergedRun:
        def merge() -> MergedRun:
            entries = {each.entry for each in index.records}
            return merge_run(index.records, self._store(access).merged(access, entries))

        return self._merged.get_or_compute((access.experiment, index.run), index, merge)

    def _store(self, access: Access) -> Store:
        if access.experiment not in self._stores:
            new = Store(self._provider, self._cache_bytes)
            self._stores.setdefault(access.experiment, new)
        return self._stores[access.experiment]

    def _refresh(self, access: Access, wanted: Directories) -> dict[str, _Known]:
        """What is known of each wanted directory, made anew where its tags changed."""
        with self._lock:
            known = {name: self._known.get((access.experiment, name)) for name in wanted}
            stale = [
                name
                for name, each in known.items()
                if each is None or not each.is_complete or each.entries is not wanted[name]
            ]
            if stale:
                self._store(access).update(
                    access, [entry for name in stale for entry in wanted[name]]
                )
                self._forget_others(access, wanted)
            fresh = {name: each for name, each in known.items() if each is not None}
            for name in stale:
                fresh[name] = self._build(access, name, wanted[name])
                self._known[access.experiment, name] = fresh[name]
            return {name: fresh[name] for name in wanted}

    def _forget_others(self, access: Access, wanted: Directories) -> None:
        """Drops what is known of deleted directories and of past states."""
        listed = self._listing.entries(access)
        if self._kept.get(access.experiment) is listed:
            return
        self._kept[access.experiment] = listed
        for experiment, name in list(self._known):
            if experiment == access.experiment and name not in listed:
                del self._known[experiment, name]
        self._store(access).forget_others(
            entry for entries in (*listed.values(), *wanted.values()) for entry in entries
        )

    def _build(self, access: Access, directory: str, entries: Entries) -> _Known:
        """The trainings of a directory whose tags were read; those that are as before are kept."""
        contents = self._store(access).contents(entries)
        before = self._known.get((access.experiment, directory))
        split = [contents.of(training) for training in split_trainings(contents)]
        names = training_names(directory, self._listing.entries(access))
        trainings: dict[str, _Training] = {}
        named = list(zip(names, split, strict=False))
        first_runs = tuple(name for name, _ in named[:2])
        for name, of_training in named:
            training = before.trainings.get(name) if before is not None else None
            if training is None or not training.is_of(of_training, first_runs):
                index = build(
                    name, of_training, lambda part: self._summarize(access, part), first_runs
                )
                training = _Training(of_training, first_runs, index)
            trainings[name] = training
        return _Known(entries, trainings, None not in contents.summaries.values())

    def _parts(
        self, access: Access, records: Iterable[IndexedRecords]
    ) -> Iterator[tuple[IndexedRecords, BlockPart]]:
        """Records with their part of their block."""
        by_entry: dict[Entry, list[IndexedRecords]] = {}
        for each in records:
            by_entry.setdefault(each.entry, []).append(each)
        for entry, block in self._store(access).blocks(access, by_entry):
            for each in by_entry[entry]:
                part = block.part(each.manifest)
                if part is not None:
                    yield each, part

    def _summarize(self, access: Access, records: IndexedRecords) -> NonfiniteSummary:
        for each, part in self._parts(access, [records]):
            position, found = find(each.wall_times, part.wall_times)
            columns = take_records(part.columns, _slice(position[found]))
            return summarize_nonfinite(each.first[found], columns)
        return empty(len(records.tensors))


def _slice(position: npt.NDArray[np.int64]) -> slice | npt.NDArray[np.int64]:
    """The positions, as a slice where they are consecutive: that copies no MB."""
    first = int(position[0]) if len(position) else 0
    if np.array_equal(position, np.arange(first, first + len(position))):
        return slice(first, first + len(position))
    return position


def _histogram_key(entry: Entry) -> tuple[str, str]:
    assert entry.parsed.block is not None
    return entry.run, block_tag("hist", entry.parsed.stream, entry.parsed.block)


def _histograms(records: IndexedRecords, packed: PackedHistograms, row: int) -> RecordHistograms:
    """The histograms of one row, of those records that have one.

    Args:
      records: of one block.
      packed: of the block.
      row: of the tensor.
    """
    found = [_unpack(packed.get(step), row) for step in records.event_steps.tolist()]
    at = [number for number, each in enumerate(found) if each is not None]
    rows = [each for each in found if each is not None]
    nothing = np.zeros(0, np.int64)
    return RecordHistograms(
        records.first[at],
        records.valid_until[at],
        Histograms(
            np.concatenate([nothing, *(each.lengths for each in rows)]),
            np.concatenate([nothing, *(each.codes for each in rows)]),
            np.concatenate([nothing, *(each.counts for each in rows)]),
        ),
    )


def _unpack(packed: npt.NDArray[np.uint8] | None, row: int) -> Histograms | None:
    """The histogram of one row; None where there is none, or it cannot be read."""
    try:
        return None if packed is None else unpack_histogram(packed, row)
    except FormatError:
        return None
