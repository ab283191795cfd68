"""One tag's events as arrays, and what of them cannot be read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from tensorboard.data.provider import TensorDatum

from tb_nanwatch.format import VERSION, FormatError, VersionError
from tb_nanwatch.format.manifest import Manifest, hash_of, unpack_manifest
from tb_nanwatch.format.records import (
    is_identity,
    is_record,
    peek,
    sound_columns,
    sound_windows,
    unpack_record,
    unpack_windows,
)
from tb_nanwatch.format.roles import FLOW
from tb_nanwatch.reader.listing import usable_time
from tb_nanwatch.reader.records import take_records
from tb_nanwatch.stats.columns import COLUMNS, WINDOW_FIELD
from tb_nanwatch.stats.floats import COMPONENT
from tb_nanwatch.stats.record import Matrix, Record

_Facts = TypeVar("_Facts")


@dataclass(frozen=True)
class Unreadable:
    """Why something could not be read.

    Attributes:
      version: the unknown version that it is of; None where that is not the reason.
      no_manifest: whether the manifest that names its tensors is missing. Neither: it is damaged.
    """

    version: int | None = None
    no_manifest: bool = False


@dataclass(frozen=True)
class BlockPart:
    """The records of a block that refer to one manifest, in the order of writing.

    Attributes:
      manifest: its hash.
      windows: float64 [records, len(WINDOW_FIELDS)].
      wall_times: float64 [records], of the events; they tell records apart.
      event_steps: int64 [records], the steps of the events.
      columns: float64 [records, tensors, len(COLUMNS)]; in memory column after column, so that a
        statistic reads what it needs and no more.
    """

    manifest: int
    windows: Matrix
    wall_times: Matrix
    event_steps: npt.NDArray[np.int64]
    columns: Matrix

    def steps(self, name: str) -> npt.NDArray[np.int64]:
        """An integer field of the windows, int64 [records]."""
        return self.windows[:, WINDOW_FIELD[name]].astype(np.int64)


@dataclass(frozen=True)
class Block:
    """All of one tag."""

    parts: tuple[BlockPart, ...]
    unreadable: Counter[Unreadable] = field(default_factory=Counter)

    def part(self, manifest: int) -> BlockPart | None:
        """The records of the manifest with this hash; None for none."""
        return next((part for part in self.parts if part.manifest == manifest), None)

    @property
    def nbytes(self) -> int:
        return sum(part.columns.nbytes + part.windows.nbytes for part in self.parts)


def decode_manifest(datums: Sequence[TensorDatum], named: int) -> Manifest | Unreadable:
    """The manifest in these events of a manifest's tag; or why there is none.

    Args:
      named: the hash that the tag names. Runs of one model share manifests by it, so that a
        damaged one must not pass for another's.
    """
    for datum in datums:
        content = datum.numpy.item() if datum.numpy.size == 1 else None
        if not isinstance(content, bytes):
            continue
        try:
            manifest = unpack_manifest(content)
        except VersionError as error:
            return Unreadable(version=error.got)
        except FormatError:
            continue
        if hash_of(content) == named and _is_sound(manifest):
            return manifest
    return Unreadable()


def _is_sound(manifest: Manifest) -> bool:
    """Whether a manifest can be: bytes that are damaged may still be protobuf."""
    return len(manifest.window_fields) <= len(manifest.columns) and all(
        tensor.role in FLOW
        and tensor.dtype in COMPONENT
        and all(size >= -1 for size in tensor.shape or ())
        for tensor in manifest.tensors
    )


def decode_facts(
    unpack: Callable[[bytes], _Facts], datums: Sequence[TensorDatum]
) -> _Facts | Unreadable:
    """What the newest of these events says, as `unpack` reads it; or why there is nothing."""
    content = datums[-1].numpy.item() if datums and datums[-1].numpy.size == 1 else None
    if not isinstance(content, bytes):
        return Unreadable()
    try:
        return unpack(content)
    except VersionError as error:
        return Unreadable(version=error.got)
    except FormatError:
        return Unreadable()


def decode_initial(
    datums: Sequence[TensorDatum], manifests: Mapping[int, Manifest | Unreadable]
) -> Record | Unreadable:
    """The newest record of the state before the first step under one tag."""
    packed = datums[-1].numpy if datums else np.zeros(0)
    if not is_record(packed):
        return Unreadable()
    try:
        version, manifest_hash = peek(packed)
        manifest = _manifest(version, manifest_hash, manifests)
        if isinstance(manifest, Unreadable):
            return manifest
        record = unpack_record(packed, manifest)
    except FormatError:
        return Unreadable()
    # Its place in the window is what the manifest says, which may be damaged.
    record.window[WINDOW_FIELD["manifest"]] = manifest_hash
    is_sound = sound_windows(record.window[np.newaxis]) & sound_columns(record.columns[np.newaxis])
    return record if is_sound[0] else Unreadable()


def decode_block(
    datums: Sequence[TensorDatum], manifests: Mapping[int, Manifest | Unreadable]
) -> Block:
    """The records of one tag's events, those of each manifest together."""
    unreadable: Counter[Unreadable] = Counter()
    parts = []
    for version, manifest_hash, alike in _alike(datums, unreadable):
        manifest = _manifest(version, manifest_hash, manifests)
        if isinstance(manifest, Unreadable):
            unreadable[manifest] += len(alike)
            continue
        if alike[0].numpy.shape != (1 + len(manifest.tensors), len(manifest.columns)):
            unreadable[Unreadable()] += len(alike)
            continue
        windows = unpack_windows(np.stack([datum.numpy[0] for datum in alike]), manifest)
        usable = sound_windows(windows)
        columns = _columns([datum.numpy for datum in alike], manifest)
        usable &= sound_columns(columns)
        if not usable.all():
            unreadable[Unreadable()] += int(np.count_nonzero(~usable))
        wall_times = np.array([usable_time(datum.wall_time) for datum in alike])
        order = np.lexsort((wall_times, windows[:, WINDOW_FIELD["sequence"]]))
        order = order[usable[order]]
        if len(order):
            in_order = np.array_equal(order, np.arange(len(alike)))
            parts.append(
                BlockPart(
                    manifest_hash,
                    windows[order],
                    wall_times[order],
                    np.array([alike[at].step for at in order], np.int64),
                    columns if in_order else take_records(columns, order),
                )
            )
    return Block(tuple(parts), unreadable)


def _alike(
    datums: Sequence[TensorDatum], unreadable: Counter[Unreadable]
) -> Iterator[tuple[int, int, list[TensorDatum]]]:
    """(version, manifest's hash, events) of those with the same shape and of the same manifest.

    What is no record is added to `unreadable`.
    """
    by_shape: dict[tuple[int, ...], list[TensorDatum]] = defaultdict(list)
    for datum in datums:
        if is_record(datum.numpy):
            by_shape[datum.numpy.shape].append(datum)
        else:
            unreadable[Unreadable()] += 1
    for of_shape in by_shape.values():
        # Version and manifest stay the first two fields in every version.
        identities = np.stack([datum.numpy[0, :2] for datum in of_shape])
        unique, which = np.unique(identities, axis=0, return_inverse=True)
        which = which.reshape(-1)
        for number, identity in enumerate(unique):
            alike = [of_shape[at] for at in np.flatnonzero(which == number)]
            if is_identity(identity):
                yield int(identity[0]), int(identity[1]), alike
            else:
                unreadable[Unreadable()] += len(alike)


def _manifest(
    version: int, manifest_hash: int, manifests: Mapping[int, Manifest | Unreadable]
) -> Manifest | Unreadable:
    """The manifest of a record, or why the record cannot be read."""
    # The version comes first: of a newer record the manifest's place may be another's.
    if version != VERSION:
        return Unreadable(version=version)
    return manifests.get(manifest_hash, Unreadable(no_manifest=True))


def _columns(packed: Sequence[Matrix], manifest: Manifest) -> Matrix:
    """The columns of records of one manifest, [records, tensors, len(COLUMNS)], those it lacks
    empty."""
    places = {name: place for place, name in enumerate(manifest.columns)}
    shape = len(packed), len(packed[0]) - 1
    columns = np.empty((len(COLUMNS), *shape))
    known = [(at, places[c.name]) for at, c in enumerate(COLUMNS) if c.name in places]
    if known == [(at, at) for at in range(len(COLUMNS))]:
        # One pass over the data: a long run is limited by the memory's speed.
        for record, rows in enumerate(packed):
            columns[:, record] = rows[1:, : len(COLUMNS)].T
    else:
        for at, column in enumerate(COLUMNS):
            columns[at] = column.empty
        into, out_of = (list(each) for each in zip(*known, strict=True)) if known else ([], [])
        for record, rows in enumerate(packed):
            columns[into, record] = rows[1:, out_of].T
    return np.moveaxis(columns, 0, -1)
