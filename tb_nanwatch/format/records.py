"""A record as one float64 tensor ``[1 + tensors, columns]``: the window first, then the rows.

One tensor, so that a record is read whole or not at all, whatever TensorBoard samples away.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format import VERSION, FormatError, VersionError
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.stats.columns import COLUMNS, WINDOW_FIELD, WINDOW_FIELDS, Column
from tb_nanwatch.stats.record import Matrix, Record, empty_window


def pack_record(record: Record) -> Matrix:
    """The record's window and columns as float64 [1 + tensors, len(COLUMNS)]."""
    head = np.zeros((1, len(COLUMNS)))
    head[0, : len(WINDOW_FIELDS)] = record.window
    head[0, WINDOW_FIELD["version"]] = VERSION
    return np.concatenate([head, record.columns])


def is_record(packed: npt.NDArray[np.generic]) -> bool:
    """Whether an array may be a packed record, of any version."""
    return (
        packed.ndim == 2 and packed.dtype == np.float64 and len(packed) > 0 and packed.shape[1] > 1
    )


def peek(packed: npt.NDArray[np.float64]) -> tuple[int, int]:
    """(version, hash of the manifest) of a packed record of any version.

    These two fields stay first in every version. FormatError for anything but a packed record.
    """
    if not is_record(packed):
        raise FormatError(
            "Expected a record, float64 [1 + tensors, columns], "
            f"got {packed.dtype} {list(packed.shape)}."
        )
    version, manifest = packed[0, :2]
    if not (np.isfinite(version) and np.isfinite(manifest)):
        raise FormatError("Expected a record, got numbers without a version.")
    return int(version), int(manifest)


def unpack_windows(rows: Matrix, manifest: Manifest) -> Matrix:
    """The windows [records, len(WINDOW_FIELDS)] of the first rows of packed records.

    Fields that `manifest` does not name are empty.

    Args:
      rows: float64 [records, columns].
      manifest: of all of them.
    """
    return _take(rows, manifest.window_fields, WINDOW_FIELDS)


def _take(packed: Matrix, names: tuple[str, ...], known: tuple[Column, ...]) -> Matrix:
    """Reorders columns from how they were written to how this code knows them."""
    taken = np.tile([column.empty for column in known], (len(packed), 1))
    for index, column in enumerate(known):
        if column.name in names:
            taken[:, index] = packed[:, names.index(column.name)]
    return taken


def unpack_record(packed: npt.NDArray[np.float64], manifest: Manifest) -> Record:
    """The record, with the columns that `manifest` names; columns it lacks are empty.

    Raises VersionError for another version, FormatError where the tensor is not a record of this
    manifest.
    """
    version, _ = peek(packed)
    if version != VERSION:
        raise VersionError("a record", version, VERSION)
    if len(packed) != 1 + len(manifest.tensors) or packed.shape[1] != len(manifest.columns):
        raise FormatError(
            f"Expected a record of {len(manifest.tensors)} tensors and {len(manifest.columns)} "
            f"columns, got {len(packed) - 1} and {packed.shape[1]}."
        )
    window = unpack_windows(packed[:1], manifest)[0]
    return Record(window, _take(packed[1:], manifest.columns, COLUMNS))


def new_window(manifest: int, sequence: int, first_step: int, last_step: int) -> Matrix:
    """A window over these steps; the other fields say that nothing was seen."""
    window = empty_window()
    window[WINDOW_FIELD["version"]] = VERSION
    window[WINDOW_FIELD["manifest"]] = manifest
    window[WINDOW_FIELD["sequence"]] = sequence
    window[WINDOW_FIELD["first_step"]] = first_step
    window[WINDOW_FIELD["last_step"]] = last_step
    return window
