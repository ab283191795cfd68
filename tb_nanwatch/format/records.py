"""A record as one float64 tensor ``[1 + tensors, columns]``: the window first, then the rows.

One tensor, so that a record is read whole or not at all, whatever TensorBoard samples away.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format import LARGEST_INTEGER, LARGEST_VERSION, VERSION, FormatError, VersionError
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.stats.columns import COLUMN, COLUMNS, WINDOW_FIELD, WINDOW_FIELDS, Column
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
    if not is_identity(packed[0, :2]):
        raise FormatError("Expected a record, got numbers without a version.")
    version, manifest = packed[0, :2]
    return int(version), int(manifest)


def is_identity(pair: Matrix) -> bool:
    """Whether two numbers may be the version and the manifest of a record of any version."""
    with np.errstate(invalid="ignore"):
        fits = (pair >= 0) & (pair < [LARGEST_VERSION, LARGEST_INTEGER]) & (pair == np.floor(pair))
    return bool(fits.all())


_STEPS = [WINDOW_FIELD[name] for name in ("first_step", "last_step", "sequence")]
_WINDOW_COUNTS = [
    WINDOW_FIELD[name] for name in ("scale_skipped_steps", "skipped_steps", "lost_records")
]
_COUNTS = [at for at, column in enumerate(COLUMNS) if column.unit in ("steps", "elements")]
_NONFINITE_STEPS = [COLUMN["first_nonfinite_step"], COLUMN["last_nonfinite_step"]]


def sound_windows(windows: Matrix) -> npt.NDArray[np.bool_]:
    """bool [records], which windows can be: damaged files may contain any numbers."""
    steps, counts = windows[:, _STEPS], windows[:, _WINDOW_COUNTS]
    sampled = windows[:, WINDOW_FIELD["sampled_step"]]
    with np.errstate(invalid="ignore"):
        sound = _integers(steps).all(axis=1) & (_integers(counts) & (counts >= 0)).all(axis=1)
        sound &= (steps[:, 0] <= steps[:, 1]) & (steps[:, 2] >= 0)
        sound &= np.isnan(sampled) | _integers(sampled)
    return sound


def sound_columns(columns: Matrix) -> npt.NDArray[np.bool_]:
    """bool [records], whether counts and steps can be: columns [records, tensors, columns]."""
    sound = np.ones(len(columns), bool)
    if not columns.size:
        return sound
    by_column = np.moveaxis(columns, -1, 0)
    with np.errstate(invalid="ignore"):
        # Two passes that allocate nothing; NaN is neither. Records one by one only on a fault.
        for at in _COUNTS:
            each = by_column[at]
            if not (each.min() >= 0 and each.max() < _MOST):
                sound &= ((each >= 0) & (each < _MOST)).all(axis=1)
        for at in _NONFINITE_STEPS:
            each = by_column[at]
            sound &= (np.isnan(each) | _integers(each)).all(axis=1)
    return sound


_MOST = 2.0**62
"""Counts of merged windows may be larger than those of which each is exact."""


def _integers(numbers: Matrix) -> npt.NDArray[np.bool_]:
    fits: npt.NDArray[np.bool_] = np.abs(numbers) < LARGEST_INTEGER
    fits &= numbers == np.floor(numbers)
    return fits


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
