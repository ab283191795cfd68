"""What was read so far of one experiment, and what must be read of it next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from tensorboard.data.provider import DataProvider, TensorDatum

from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.nonfinite_logs import NonfiniteLogs, unpack_nonfinite_logs
from tb_nanwatch.format.rerun import Rerun, unpack_rerun
from tb_nanwatch.format.tags import RECORDS_PER_BLOCK, Stream
from tb_nanwatch.reader.block_summary import BlockSummary, summarize_block
from tb_nanwatch.reader.blocks import (
    Block,
    Unreadable,
    decode_block,
    decode_facts,
    decode_initial,
    decode_manifest,
)
from tb_nanwatch.reader.cache import Cache
from tb_nanwatch.reader.contents import Contents, manifest_hash
from tb_nanwatch.reader.fence import fenced
from tb_nanwatch.reader.fetch import fetch
from tb_nanwatch.reader.listing import Access, Entry
from tb_nanwatch.reader.merged import (
    MergedBlock,
    is_large,
    merge_block,
    merged_bytes,
    record_bytes,
)
from tb_nanwatch.reader.sessions import stream_key
from tb_nanwatch.stats.record import Record

CACHE_BYTES = 128 * 2**20
"""Limit of what is kept of all runs together: of blocks, of merges, and of histograms each. A run
writes 64 MB by default."""

_SMALL = 2**16
"""Estimate of the bytes of a manifest or an initial record."""

_HISTOGRAM_BYTES = 640 * RECORDS_PER_BLOCK
"""Estimate of the bytes of one tensor's exponent histograms in a block: twice the median."""

PackedHistograms = Mapping[int, npt.NDArray[np.uint8]]
"""Step of the event to exponent histograms as they are on disk."""


_UNPACK: Mapping[str, Callable[[bytes], Rerun | NonfiniteLogs]] = {
    "rerun": unpack_rerun,
    "logs": unpack_nonfinite_logs,
}
"""Facts by the kind of their tag."""

_Facts = TypeVar("_Facts", Rerun, NonfiniteLogs)


class Store:
    """Manifests, initial records, facts and summaries of blocks as long as their tags exist;
    blocks, their merges and their histograms while they fit.

    `update` and `contents` are for one thread at a time, the others for any.
    """

    def __init__(self, provider: DataProvider, cache_bytes: int):
        self._provider = provider
        self._blocks: Cache[Block] = Cache(cache_bytes, lambda block: block.nbytes)
        self._merged: Cache[MergedBlock] = Cache(cache_bytes, merged_bytes)
        self._packed: Cache[PackedHistograms] = Cache(
            cache_bytes, lambda packed: sum(array.nbytes for array in packed.values())
        )
        self._manifests: dict[Entry, Manifest | Unreadable] = {}
        self._initials: dict[Entry, Record | Unreadable] = {}
        self._facts: dict[Entry, Rerun | NonfiniteLogs | Unreadable] = {}
        self._summaries: dict[Entry, BlockSummary | None] = {}
        self._orphans: set[Entry] = set()
        self._by_hash: dict[int, Manifest | Unreadable] = {}
        self._rows: dict[Stream, int] = {}

    def update(self, access: Access, entries: Collection[Entry]) -> None:
        """Reads what is new of these entries."""
        fresh = {
            entry: _SMALL
            for entry in entries
            if (entry.parsed.kind == "manifest" and entry not in self._manifests)
            or (entry.parsed.kind == "initial" and entry not in self._initials)
            or (entry.parsed.kind in _UNPACK and entry not in self._facts)
        }
        read = dict(fetch(self._provider, access, fresh))
        for entry, datums in read.items():
            if entry.parsed.kind == "manifest":
                self._add(entry, datums or ())
        for entry, datums in read.items():
            given = entry, Unreadable()
            if entry.parsed.kind == "initial":
                decoded = fenced(*given, decode_initial, datums or (), self._by_hash)
                self._initials[entry] = decoded
            elif entry.parsed.kind in _UNPACK:
                unpack = _UNPACK[entry.parsed.kind]
                self._facts[entry] = fenced(*given, decode_facts, unpack, datums or ())
        # What TensorBoard could not read is tried again.
        every_block = [entry for entry in entries if entry.parsed.kind == "stats"]
        blocks = [entry for entry in every_block if self._summaries.get(entry) is None]
        of_session = Counter(map(stream_key, every_block))
        for entry, block in self._read(access, blocks):
            summary = None if block is None else summarize_block(block)
            self._summaries[entry] = summary
            if summary is not None and summary.has_orphans:
                self._orphans.add(entry)
            records = RECORDS_PER_BLOCK * of_session[stream_key(entry)]
            if block is not None and is_large([(records, self._rows.get(entry.parsed.stream, 0))]):
                # Now, while it is in memory: it may not be when the picture is asked for.
                self._merged.put(entry.key, entry.state, merge_block(block))

    def _add(self, entry: Entry, datums: Sequence[TensorDatum]) -> None:
        """Takes in the events of a manifest's tag."""
        named, stream = manifest_hash(entry), entry.parsed.stream
        known = self._by_hash.get(named)
        # Most sessions of a model have the same one.
        is_known = isinstance(known, Manifest)
        manifest = (
            known if is_known else fenced(entry, Unreadable(), decode_manifest, datums, named)
        )
        assert manifest is not None
        self._manifests[entry] = self._by_hash[named] = manifest
        if isinstance(manifest, Manifest):
            self._rows[stream] = max(self._rows.get(stream, 0), len(manifest.tensors))
        if not is_known and isinstance(manifest, Manifest):
            # What could not be read without a manifest may have been waiting for this one.
            for waiting in self._orphans:
                del self._summaries[waiting]
            self._orphans.clear()

    def forget_others(self, entries: Iterable[Entry]) -> None:
        """Drops what is known of all entries but these: of deleted runs and of past states."""
        known = set(entries)
        for of_kind in (self._manifests, self._initials, self._facts, self._summaries):
            for entry in of_kind.keys() - known:
                del of_kind[entry]
        self._orphans &= known

    def contents(self, entries: Sequence[Entry]) -> Contents:
        """What is known of these entries, which must have been updated."""
        everything = Contents(entries, self._summaries, self._by_hash, self._initials)
        return everything.of(entries)

    def reruns(self, entries: Iterable[Entry]) -> tuple[Rerun, ...]:
        """What re-running steps found, by step; of one step what the newest session found.

        The entries must have been updated, oldest session first.
        """
        by_step = {each.step: each for each in self._known(entries, Rerun)}
        return tuple(by_step[step] for step in sorted(by_step))

    def nonfinite_logs(self, entries: Iterable[Entry]) -> tuple[NonfiniteLogs, ...]:
        """Logs of epochs, likewise."""
        by_step = {each.step: each for each in self._known(entries, NonfiniteLogs)}
        return tuple(by_step[step] for step in sorted(by_step))

    def _known(self, entries: Iterable[Entry], kind: type[_Facts]) -> Iterator[_Facts]:
        for entry in entries:
            facts = self._facts.get(entry)
            if isinstance(facts, kind):
                yield facts

    def blocks(self, access: Access, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Block]]:
        """Each entry's block in the order of the tags, without those that cannot be read."""
        ordered = sorted(entries, key=lambda entry: entry.tag)
        known = {entry: self._blocks.get(entry.key, entry.state) for entry in ordered}
        read = self._read(access, [entry for entry in ordered if known[entry] is None])
        for entry in ordered:
            block = known.pop(entry) or next(read)[1]
            if block is not None:
                yield entry, block

    def merged(self, access: Access, entries: Collection[Entry]) -> dict[Entry, MergedBlock]:
        """The merges of each entry's block, without those that cannot be read."""
        found = {entry: self._merged.get(entry.key, entry.state) for entry in entries}
        absent = [entry for entry, merged in found.items() if merged is None]
        for entry, block in self.blocks(access, absent):
            found[entry] = merged = merge_block(block)
            self._merged.put(entry.key, entry.state, merged)
        return {entry: merged for entry, merged in found.items() if merged is not None}

    def packed_histograms(
        self, access: Access, entries: Iterable[Entry]
    ) -> Iterator[tuple[Entry, PackedHistograms]]:
        """Each entry's histograms as they are on disk, by the step of their event."""
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
            self._packed.put(entry.key, entry.state, packed)
            yield entry, packed

    def _read(
        self, access: Access, entries: Iterable[Entry]
    ) -> Iterator[tuple[Entry, Block | None]]:
        wanted = {entry: self._estimate(entry) for entry in entries}
        for entry, datums in fetch(self._provider, access, wanted):
            if datums is None:
                yield entry, None
            else:
                damaged = Block((), Counter({Unreadable(): len(datums)}))
                block = fenced(entry, damaged, decode_block, datums, self._by_hash)
                self._blocks.put(entry.key, entry.state, block)
                yield entry, block

    def _estimate(self, entry: Entry) -> int:
        """Bytes of a full block of this entry's stream; 0 before its manifest is known."""
        rows = self._rows.get(entry.parsed.stream, 0)
        return RECORDS_PER_BLOCK * record_bytes(rows) if rows else 0
