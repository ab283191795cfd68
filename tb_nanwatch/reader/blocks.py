"""One tag's events as arrays, and what of them cannot be read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from tensorboard.data.provider import TensorDatum

from tb_nanwatch.format import FormatError, VersionError
from tb_nanwatch.format.manifest import Manifest, unpack_manifest
from tb_nanwatch.format.records import peek, unpack_record
from tb_nanwatch.format.rerun import Rerun, unpack_rerun
from tb_nanwatch.stats.columns import WINDOW_FIELD
from tb_nanwatch.stats.record import Matrix, Record

_LARGEST_STEP = 2**53


@dataclass(frozen=True)
class Unreadable:
    """Why something could not be read.

    Attributes:
      version: the unknown version that it is of; None where that is not the reason.
      no_manifest: whether the manifest that says what it holds is missing. Neither: it is damaged.
    """

    version: int | None = None
    no_manifest: bool = False


@dataclass(frozen=True)
class Part:
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

    def steps(self, field: str) -> npt.NDArray[np.int64]:
        """A field of the windows that holds integers, int64 [records]."""
        return self.windows[:, WINDOW_FIELD[field]].astype(np.int64)


@dataclass(frozen=True)
class Block:
    """All of one tag."""

    parts: tuple[Part, ...]
    unreadable: Counter[Unreadable] = field(default_factory=Counter)

    @property
    def nbytes(self) -> int:
        return sum(part.columns.nbytes + part.windows.nbytes for part in self.parts)


def decode_manifest(datums: Sequence[TensorDatum]) -> Manifest | Unreadable:
    """The manifest that these events of a manifest's tag hold; or why there is none."""
    for datum in datums:
        content = datum.numpy.item() if datum.numpy.size == 1 else None
        if not isinstance(content, bytes):
            continue
        try:
            return unpack_manifest(content)
        except VersionError as error:
            return Unreadable(version=error.got)
        except FormatError:
            continue
    return Unreadable()


def decode_rerun(datums: Sequence[TensorDatum]) -> Rerun | Unreadable:
    """What running a step again has found, by the newest of these events; or why there is none."""
    content = datums[-1].numpy.item() if datums and datums[-1].numpy.size == 1 else None
    if not isinstance(content, bytes):
        return Unreadable()
    try:
        return unpack_rerun(content)
    except VersionError as error:
        return Unreadable(version=error.got)
    except FormatError:
        return Unreadable()


def _check(record: Record) -> Record:
    """The record, if its steps are steps; damaged files may hold any numbers."""
    edges = np.array([record.field("first_step"), record.field("last_step")])
    numbers = np.append(edges, record.field("sequence"))
    if not (
        np.all(np.isfinite(numbers))
        and np.all(np.abs(numbers) < _LARGEST_STEP)
        and np.all(numbers == np.floor(numbers))
        and edges[0] <= edges[1]
        and numbers[2] >= 0
    ):
        raise FormatError(f"Expected steps and a sequence number, got {numbers.tolist()}.")
    return record


def decode_record(
    packed: npt.NDArray[np.float64], manifests: Mapping[int, Manifest | Unreadable]
) -> Record | Unreadable:
    """The record, or why it cannot be read."""
    try:
        _, manifest_hash = peek(packed)
        manifest = manifests.get(manifest_hash)
        if manifest is None:
            # The version comes first: of a newer record the manifest's place may be another's.
            unpack_record(packed, Manifest((), ""))
        elif isinstance(manifest, Manifest):
            return _check(unpack_record(packed, manifest))
        else:
            return manifest
    except VersionError as error:
        return Unreadable(version=error.got)
    except FormatError:
        return Unreadable(no_manifest=manifest is None)
    return Unreadable(no_manifest=True)


def decode_initial(
    datums: Sequence[TensorDatum], manifests: Mapping[int, Manifest | Unreadable]
) -> Record | Unreadable:
    """The newest record of the state before the first step under one tag."""
    return decode_record(datums[-1].numpy, manifests) if datums else Unreadable()


def decode_block(
    datums: Sequence[TensorDatum], manifests: Mapping[int, Manifest | Unreadable]
) -> Block:
    """The records of one tag's events, those of each manifest together."""
    unreadable: Counter[Unreadable] = Counter()
    records: dict[int, list[tuple[float, float, int, Record]]] = defaultdict(list)
    for datum in datums:
        record = decode_record(datum.numpy, manifests)
        if isinstance(record, Unreadable):
            unreadable[record] += 1
        else:
            order = record.field("sequence"), datum.wall_time
            records[int(record.field("manifest"))].append((*order, datum.step, record))
    parts = []
    for manifest, of_manifest in records.items():
        of_manifest.sort(key=lambda entry: entry[:2])
        # [columns, records, tensors] in memory, seen as [records, tensors, columns].
        columns = np.ascontiguousarray(
            np.moveaxis(np.stack([record.columns for *_, record in of_manifest]), -1, 0)
        )
        parts.append(
            Part(
                manifest,
                np.stack([record.window for *_, record in of_manifest]),
                np.array([wall_time for _, wall_time, *_ in of_manifest]),
                np.array([step for *_, step, _ in of_manifest], np.int64),
                np.moveaxis(columns, 0, -1),
            )
        )
    return Block(tuple(parts), unreadable)
