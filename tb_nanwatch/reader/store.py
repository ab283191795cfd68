"""What was read so far of one experiment, and what must be read of it next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from tensorboard.data.provider import DataProvider

from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.tags import RECORDS_PER_BLOCK, Stream
from tb_nanwatch.reader.blocks import (
    Block,
    Unreadable,
    decode_block,
    decode_initial,
    decode_manifest,
    decode_rerun,
)
from tb_nanwatch.reader.cache import ByteLimitedCache
from tb_nanwatch.reader.cover import by_level, choose_level, record_bytes
from tb_nanwatch.reader.fetch import fetch
from tb_nanwatch.reader.heads import Head, head_of
from tb_nanwatch.reader.index import Contents
from tb_nanwatch.reader.listing import Access, Entry
from tb_nanwatch.reader.sessions import StreamKey, sessions_by_writer, spans, stream_key
from tb_nanwatch.stats.record import Record

_SMALL = 2**16
"""Estimate of the bytes of a manifest or an initial record."""

_HISTOGRAM_BYTES = 640 * RECORDS_PER_BLOCK
"""Estimate of the bytes of one tensor's exponent histograms in a block: twice the median."""

PackedHistograms = Mapping[int, npt.NDArray[np.uint8]]
"""Step of the event to exponent histograms as they travel."""


class Store:
    """Manifests, initial records, reruns and heads as long as their tags exist; blocks while they
    fit.

    `update`, `contents` and `read_heads` are for one thread at a time, `blocks` for any.
    """

    def __init__(self, provider: DataProvider, cache_bytes: int):
        self._provider = provider
        self._blocks: ByteLimitedCache[Block] = ByteLimitedCache(cache_bytes)
        self._packed: ByteLimitedCache[PackedHistograms] = ByteLimitedCache(cache_bytes // 4)
        self._manifests: dict[Entry, Manifest | Unreadable] = {}
        self._initials: dict[Entry, Record | Unreadable] = {}
        self._reruns: dict[Entry, Rerun | Unreadable] = {}
        self._heads: dict[Entry, Head | None] = {}
        self._by_hash: dict[int, Manifest | Unreadable] = {}
        self._rows: dict[Stream, int] = {}

    def update(self, access: Access, runs: Iterable[Sequence[Entry]]) -> None:
        """Reads what is new of these runs, each given by all of its entries."""
        runs = tuple(runs)
        entries = [entry for run in runs for entry in run]
        fresh = {
            entry: _SMALL
            for entry in entries
            if (entry.parsed.kind == "manifest" and entry not in self._manifests)
            or (entry.parsed.kind == "initial" and entry not in self._initials)
            or (entry.parsed.kind == "rerun" and entry not in self._reruns)
        }
        read = dict(fetch(self._provider, access, fresh))
        for entry, datums in read.items():
            if entry.parsed.kind == "manifest":
                self._add(entry, decode_manifest(datums or ()))
        for entry, datums in read.items():
            if entry.parsed.kind == "initial":
                self._initials[entry] = decode_initial(datums or (), self._by_hash)
            elif entry.parsed.kind == "rerun":
                self._reruns[entry] = decode_rerun(datums or ())
        for failed in [e for e in entries if e in self._heads and self._heads[e] is None]:
            del self._heads[failed]  # It is tried again.

        def need(wanted: set[Entry]) -> None:
            for run in runs:
                blocks = [entry for entry in run if entry.parsed.kind == "stats"]
                sessions_by_writer(blocks, self._heads, spans(run), self._level(run), wanted)

        self.read_heads(access, need)

    def read_heads(self, access: Access, need: Callable[[set[Entry]], None]) -> None:
        """Reads the heads of the blocks that `need` adds to a set, until it adds none."""
        while True:
            wanted: set[Entry] = set()
            need(wanted)
            if not wanted:
                return
            for entry, block in self._read(access, wanted):
                self._heads[entry] = None if block is None else head_of(block)

    def _level(self, entries: Iterable[Entry]) -> int:
        """The level at which the overview of a run with these entries is read."""
        streams: dict[StreamKey, list[Entry]] = {}
        for entry in entries:
            if entry.parsed.kind == "stats":
                streams.setdefault(stream_key(entry), []).append(entry)
        blocks = [(stream, by_level(of_stream)) for (_, stream), of_stream in streams.items()]

        def cost(level: int) -> tuple[int, int]:
            records = size = 0
            for stream, levels in blocks:
                of_stream = RECORDS_PER_BLOCK * len(levels.get(min(level, max(levels)), ()))
                records += of_stream
                size += of_stream * record_bytes(self._rows.get(stream, 0))
            return records, size

        return choose_level(max((max(levels) for _, levels in blocks), default=0), cost)

    @property
    def heads(self) -> Mapping[Entry, Head | None]:
        """Of the blocks that were read so far; None where TensorBoard could not read one."""
        return self._heads

    def _add(self, entry: Entry, manifest: Manifest | Unreadable) -> None:
        self._manifests[entry] = manifest
        named, stream = manifest_hash(entry), entry.parsed.stream
        if isinstance(self._by_hash.get(named), Manifest):
            return
        self._by_hash[named] = manifest
        if isinstance(manifest, Manifest):
            self._rows[stream] = max(self._rows.get(stream, 0), len(manifest.tensors))
            # What could not be read for want of a manifest may have been waiting for this one.
            for waiting in [e for e, head in self._heads.items() if head and head.has_orphans]:
                del self._heads[waiting]

    def forget_others(self, entries: Iterable[Entry]) -> None:
        """Drops what is known of all entries but these: of deleted runs and of past states."""
        known = set(entries)
        for of_kind in (self._manifests, self._initials, self._reruns, self._heads):
            for entry in of_kind.keys() - known:
                del of_kind[entry]

    def contents(self, entries: Iterable[Entry]) -> Contents:
        """What is known of one run; its entries must have been updated."""
        entries = tuple(entries)
        manifests = sorted(
            (entry for entry in entries if entry.parsed.kind == "manifest"),
            key=lambda entry: (entry.parsed.stream.session, entry.state[1]),
        )
        hashes = dict.fromkeys(manifest_hash(entry) for entry in manifests)
        return Contents(
            entries=entries,
            level=self._level(entries),
            heads={entry: self._heads[entry] for entry in entries if entry in self._heads},
            manifests={hash: self._by_hash[hash] for hash in [*hashes, *self._by_hash]},
            initials={entry: self._initials[entry] for entry in entries if entry in self._initials},
        )

    def reruns(self, entries: Iterable[Entry]) -> tuple[Rerun, ...]:
        """What running steps again has found, by step; of one step what the newest session says.

        The entries must have been updated, oldest session first.
        """
        held = (self._reruns.get(entry) for entry in entries if entry.parsed.kind == "rerun")
        by_step = {rerun.step: rerun for rerun in held if isinstance(rerun, Rerun)}
        return tuple(by_step[step] for step in sorted(by_step))

    def blocks(self, access: Access, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Block]]:
        """Each entry's block in the order of the tags, without those that cannot be read."""
        ordered = sorted(entries, key=lambda entry: entry.tag)
        held = {entry: self._blocks.get(entry.key, entry.state) for entry in ordered}
        read = self._read(access, [entry for entry in ordered if held[entry] is None])
        for entry in ordered:
            block = held[entry] or next(read)[1]
            if block is not None:
                yield entry, block

    def packed_histograms(
        self, access: Access, entries: Iterable[Entry]
    ) -> Iterator[tuple[Entry, PackedHistograms]]:
        """Each entry's histograms as they travel, by the step of their event."""
        absent = []
        for entry in entries:
            packed = self._packed.get(entry.key, entry.state)
            if packed is None:
                absent.append(entry)
            else:
                yield entry, packed
        wanted = {e: _HISTOGRAM_BYTES * self._rows.get(e.parsed.stream, 1) for e in absent}
        for entry, datums in fetch(self._provider, access, wanted):
            # Of one step the last: a record of the same step replaces those before it.
            packed = {datum.step: datum.numpy for datum in datums or ()}
            size = sum(array.nbytes for array in packed.values())
            self._packed.put(entry.key, entry.state, packed, size)
            yield entry, packed

    def _read(
        self, access: Access, entries: Iterable[Entry]
    ) -> Iterator[tuple[Entry, Block | None]]:
        wanted = {entry: self._estimate(entry) for entry in entries}
        for entry, datums in fetch(self._provider, access, wanted):
            if datums is None:
                yield entry, None
            else:
                block = decode_block(datums, self._by_hash)
                self._blocks.put(entry.key, entry.state, block, block.nbytes)
                yield entry, block

    def _estimate(self, entry: Entry) -> int:
        """Bytes of a full block of this entry's stream."""
        return RECORDS_PER_BLOCK * record_bytes(self._rows.get(entry.parsed.stream, 0))


def manifest_hash(entry: Entry) -> int:
    """The hash in the tag of a manifest."""
    return int(entry.parsed.manifest or "", 16)
