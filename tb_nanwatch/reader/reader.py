"""The way into what was recorded: runs, and the records of a range of steps. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from tensorboard.data.provider import DataProvider

from tb_nanwatch.format import FormatError
from tb_nanwatch.format.histograms import unpack_histogram
from tb_nanwatch.format.history import History, Series
from tb_nanwatch.format.tags import block_tag
from tb_nanwatch.reader.blocks import Block, Part
from tb_nanwatch.reader.cache import CACHE_BYTES
from tb_nanwatch.reader.cover import (
    Piece,
    by_level,
    choose_level,
    cover,
    ranges_of,
    record_bytes,
    records_of,
)
from tb_nanwatch.reader.digest import COUNTS, Digest, digest
from tb_nanwatch.reader.index import RunIndex, Stretch, build
from tb_nanwatch.reader.listing import Access, Entry, Listing
from tb_nanwatch.reader.records import RecordHistogram, Records
from tb_nanwatch.reader.sessions import StreamKey, stream_key
from tb_nanwatch.reader.store import Store
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.histogram import Histograms
from tb_nanwatch.stats.record import Matrix

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


class Reader:
    """Reads what NaNWatch recorded from TensorBoard's DataProvider.

    Blocks stay in memory up to a byte limit over all runs, and packed histograms up to a quarter of
    it; what the overview of a run needs of them (about 50 bytes a tensor and block) stays for as
    long as the run exists. Where a range has more records than are read for one answer, higher
    levels are read (`cover`). A request for what is in memory costs no call, the first one after a
    reload a listing and a read of what is new.
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
        self._lock = threading.RLock()

    def runs(self, access: Access) -> list[RunIndex]:
        """Every run with data of ours, by name."""
        return list(self._refresh(access, self._listing.entries(access)).values())

    def run(self, access: Access, name: str) -> RunIndex:
        """The run of this name; raises UnknownRunError."""
        listed = self._listing.entries(access)
        if name not in listed:
            raise UnknownRunError(name, list(listed))
        return self._refresh(access, {name: listed[name]})[name]

    def level(self, index: RunIndex, first: int, last: int) -> int:
        """The finest level of which `records` has so few to read that an answer is quick."""
        chosen = [s.take(s.overlap(first, last)) for s in index.stretches]

        def cost(level: int) -> tuple[int, int]:
            records = size = 0
            for stretch in chosen:
                finer = max(0, stretch.level - level)
                of_stretch = len(stretch.first) * records_of(finer)
                records += of_stretch
                size += of_stretch * record_bytes(len(stretch.tensors))
            return records, size

        return choose_level(index.level, cost)

    def records(
        self, access: Access, index: RunIndex, first: int, last: int, level: int = 0
    ) -> Iterator[Records]:
        """The records that stand for a step of the closed range, block by block.

        Args:
          level: take records of this level, and of finer ones where it has none, or where one of
            it reaches beyond the range. So they hold just what those of level 0 hold.
        """
        for stretch, part in self._parts(access, self._chosen(access, index, first, last, level)):
            position, found = _find(stretch, part)
            if found.any():
                stretch, position = stretch.take(found), position[found]
                yield Records(
                    stretch.first,
                    stretch.last,
                    stretch.until,
                    stretch.tensors,
                    part.windows[position],
                    _take(part.columns, position),
                    stretch.level,
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
            reruns=self._store(access).reruns(index.entries),
        )

    def histograms(
        self, access: Access, index: RunIndex, tensor: int, first: int, last: int, level: int = 0
    ) -> Iterator[RecordHistogram]:
        """One tensor's exponent histograms of the records that stand for a step of the range.

        Records without histograms, or with unreadable ones, are left out.

        Args:
          level: as in `records`.
        """
        chosen = self._chosen(access, index, first, last, level)
        yield from self._histograms(access, index, tensor, chosen)

    def _histograms(
        self, access: Access, index: RunIndex, tensor: int, stretches: Iterable[Stretch]
    ) -> Iterator[RecordHistogram]:
        needed = [stretch for stretch in stretches if tensor in stretch.tensors]
        tags = {_histogram_key(s.entry): s.entry for s in needed}
        packed = {
            tags[entry.key]: held
            for entry, held in self._store(access).packed_histograms(
                access, [entry for entry in index.entries if entry.key in tags]
            )
        }
        finer: list[Stretch] = []
        for stretch, part in self._parts(access, needed):
            row = int(np.flatnonzero(stretch.tensors == tensor)[0])
            position, found = _find(stretch, part)
            held = packed.get(stretch.entry, {})
            for record in np.flatnonzero(found):
                histogram = _row(held.get(int(part.event_steps[position[record]])), row)
                if histogram is not None:
                    steps = int(stretch.first[record]), int(stretch.until[record])
                    yield RecordHistogram(*steps, histogram)
                elif stretch.level:  # Left out to save bytes.
                    finer += self._refine(
                        access, index, [stretch.take(np.array([record]))], stretch.level - 1
                    )
        if finer:
            yield from self._histograms(access, index, tensor, finer)

    def _chosen(
        self, access: Access, index: RunIndex, first: int, last: int, level: int
    ) -> list[Stretch]:
        """The records that stand for a step of the range, of `level` or finer ones."""
        chosen: list[Stretch] = []
        coarse: list[Stretch] = []
        for stretch in index.stretches:
            overlap = stretch.overlap(first, last)
            beyond = (stretch.first < first) | (stretch.until > last)
            too_coarse = beyond & (stretch.level > 0) | (stretch.level > level)
            for into, which in ((chosen, overlap & ~too_coarse), (coarse, overlap & too_coarse)):
                if which.any():
                    into.append(stretch.take(which))
        for stretch in self._refine(access, index, coarse, level, (first, last + 1)):
            overlap = stretch.overlap(first, last)
            if overlap.any():
                chosen.append(stretch.take(overlap))
        return chosen

    def _refine(
        self,
        access: Access,
        index: RunIndex,
        coarse: Sequence[Stretch],
        level: int,
        cuts: Sequence[int] = (),
    ) -> list[Stretch]:
        """What records of higher levels hold, in records of `level` or below (`cover.cover`)."""
        by_stream: dict[StreamKey, list[Stretch]] = {}
        for stretch in coarse:
            by_stream.setdefault(stream_key(stretch.entry), []).append(stretch)
        if not by_stream:
            return []
        blocks = {
            key: by_level(
                entry
                for entry in index.entries
                if entry.parsed.kind == "stats" and stream_key(entry) == key
            )
            for key in by_stream
        }
        store = self._store(access)
        pieces: dict[StreamKey, list[Piece]] = {}

        def need(wanted: set[Entry]) -> None:
            for key, stretches in by_stream.items():
                ranges = ranges_of([(s.begins, s.level) for s in stretches])
                pieces[key] = cover(
                    blocks[key], store.heads, level, wanted, ranges=ranges, cuts=cuts
                )

        with self._lock:
            store.read_heads(access, need)
        return [
            _stretch(piece, tensors[piece.part.manifest])
            for key, stretches in by_stream.items()
            for tensors in ({stretch.manifest: stretch.tensors for stretch in stretches},)
            for piece in pieces[key]
            if piece.part.manifest in tensors
        ]

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
                store.update(access, [wanted[name] for name in stale])
                listed = self._listing.entries(access)
                for experiment, name in list(self._indexes):
                    if experiment == access.experiment and name not in listed:
                        del self._indexes[experiment, name]
                store.forget_others(
                    entry for entries in (*listed.values(), *wanted.values()) for entry in entries
                )
            for name in stale:
                contents = store.contents(wanted[name])
                index = build(name, contents, lambda s: self._partial(access, s))
                fresh[name] = self._with_exact_counts(access, index)
                if None not in contents.heads.values():
                    self._indexes[access.experiment, name] = wanted[name], fresh[name]
            return {name: fresh[name] for name in wanted}

    def _with_exact_counts(self, access: Access, index: RunIndex) -> RunIndex:
        """The index with the counts of the run's first non-finite step as level 0 has them."""
        found = index.nonfinite
        if not index.level or np.isnan(found.first).all():
            return index
        step = int(np.nanmin(found.first))
        counts = found.counts.copy()
        for records in self.records(access, index, step, step):
            of_step = records.columns[..., COLUMN["first_nonfinite_step"]] == step
            for record, row in np.argwhere(of_step):
                tensor = records.rows[row]
                if found.first[tensor] == step and not index.initial[tensor]:
                    counts[tensor] = records.columns[record, row, COUNTS]
        return replace(index, nonfinite=replace(found, counts=counts))

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


def _stretch(piece: Piece, tensors: Steps) -> Stretch:
    """The records of a piece that a watcher wrote."""
    part, at = piece.part, piece.positions
    first, last = part.steps("first_step")[at], part.steps("last_step")[at]
    return Stretch(
        piece.entry,
        part.manifest,
        piece.begins,
        part.wall_times[at],
        first,
        last,
        last,
        tensors,
    )


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
    first = int(position[0]) if len(position) else 0
    if np.array_equal(position, np.arange(first, first + len(position))):
        return columns[first : first + len(position)]  # No copy of MB.
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
    except FormatError:
        return None
