"""A record's exponent histograms as one uint8 tensor.

========== ================= =====================================================
bytes      type              what
========== ================= =====================================================
4          "NWEH"            magic
4          uint32            version, 1
4          uint32            tensors
4          uint32            entries, over all tensors
2 a tensor uint16            entries of the tensor
2 an entry int16             code of its bin (`stats.histogram`)
4 an entry uint32            elements in it
========== ================= =====================================================

A bin with more elements than fit in a uint32 is several entries of the same code: a reader adds up.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format import VERSION, FormatError, VersionError
from tb_nanwatch.stats.floats import FORMATS
from tb_nanwatch.stats.histogram import Histograms, bin_code, merge_histograms

_MAGIC = b"NWEH"
_HEAD = struct.Struct("<4sIII")
_ENTRY_MAX = 2**32 - 1
_WIDEST = FORMATS["float64"]
_LOWEST_CODE = bin_code(1, _WIDEST.smallest_exponent)
_HIGHEST_CODE = bin_code(-1, _WIDEST.largest_exponent)


def pack_histograms(histograms: Histograms) -> npt.NDArray[np.uint8]:
    """The histograms as uint8 [bytes]."""
    lengths, codes, counts = histograms.lengths, histograms.codes, histograms.counts
    if np.any(counts > _ENTRY_MAX):
        repeats = -(-counts // _ENTRY_MAX)
        rows = np.repeat(np.arange(len(lengths)), lengths)
        lengths = np.bincount(rows, weights=repeats, minlength=len(lengths)).astype(np.int64)
        rest = counts - (repeats - 1) * _ENTRY_MAX
        last = np.cumsum(repeats) - 1
        codes, counts = np.repeat(codes, repeats), np.full(int(repeats.sum()), _ENTRY_MAX)
        counts[last] = rest
    return np.frombuffer(
        _HEAD.pack(_MAGIC, VERSION, len(lengths), len(codes))
        + lengths.astype("<u2").tobytes()
        + codes.astype("<i2").tobytes()
        + counts.astype("<u4").tobytes(),
        np.uint8,
    )


def unpack_histograms(packed: npt.NDArray[np.uint8]) -> Histograms:
    """The histograms of these bytes.

    Raises VersionError for another version, FormatError for bytes that are damaged or not ours.
    """
    lengths, codes, counts = _entries(packed)
    return merge_histograms([Histograms(lengths, codes.astype(np.int64), counts.astype(np.int64))])


def unpack_histogram(packed: npt.NDArray[np.uint8], tensor: int) -> Histograms | None:
    """The histogram of only one tensor, as `Histograms` of one; None where there are fewer.

    Raises as `unpack_histograms` does, and leaves the other tensors' entries as they are.
    """
    lengths, codes, counts = _entries(packed)
    if tensor >= len(lengths):
        return None
    end = int(lengths[: tensor + 1].sum())
    entries = slice(end - int(lengths[tensor]), end)
    own = codes[entries].astype(np.int64), counts[entries].astype(np.int64)
    histogram = Histograms(lengths[tensor : tensor + 1], *own)
    is_split = bool(np.any(own[0][1:] <= own[0][:-1]))
    return merge_histograms([histogram]) if is_split else histogram


def _entries(
    packed: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int16], npt.NDArray[np.uint32]]:
    """Entries of each tensor, and the codes and counts of all entries."""
    data = packed.tobytes()
    if len(data) < _HEAD.size or data[:4] != _MAGIC:
        raise FormatError(f"Expected exponent histograms, got {len(data)} other bytes.")
    _, version, tensors, entries = _HEAD.unpack_from(data)
    if version != VERSION:
        raise VersionError("exponent histograms", version, VERSION)
    expected = _HEAD.size + 2 * tensors + 6 * entries
    if len(data) != expected:
        raise FormatError(f"Expected exponent histograms of {expected} bytes, got {len(data)}.")
    lengths = np.frombuffer(data, "<u2", tensors, _HEAD.size).astype(np.int64)
    codes = np.frombuffer(data, "<i2", entries, _HEAD.size + 2 * tensors)
    counts = np.frombuffer(data, "<u4", entries, _HEAD.size + 2 * tensors + 2 * entries)
    if int(lengths.sum()) != entries:
        raise FormatError(f"Expected {entries} histogram entries, got {int(lengths.sum())}.")
    if entries and not (codes.min() >= _LOWEST_CODE and codes.max() <= _HIGHEST_CODE):
        raise FormatError("Expected bins of floating-point numbers, got larger exponents.")
    return lengths, codes, counts
