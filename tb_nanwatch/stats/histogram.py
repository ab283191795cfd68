"""Exponent histograms: counts of normal elements by sign and binary exponent.

A bin's *code* is ``2 * exponent + (1 if negative else 0)``: any integer exponent, so the bins of
every dtype lie on one scale. Zeros, subnormals, NaN and infinities are no bins: they are columns
of the record, and together with the bins they add up to the sampled elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.stats.floats import FloatFormat


def bin_code(sign: int, exponent: int) -> int:
    """The code of the bin of this sign (1 or -1) and binary exponent."""
    return 2 * exponent + (sign < 0)


@dataclass(frozen=True)
class Histograms:
    """The exponent histograms of a record's tensors, non-empty bins alone.

    Attributes:
      lengths: int64 [tensors], how many bins each tensor has.
      codes: int64 [bins], the tensors' bins one after another, ascending within a tensor.
      counts: int64 [bins], exact, positive.
    """

    lengths: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    def tensor(self, row: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(codes, counts) of one tensor."""
        end = int(self.lengths[: row + 1].sum())
        bins = slice(end - int(self.lengths[row]), end)
        return self.codes[bins], self.counts[bins]


def from_dense(dense: Sequence[tuple[FloatFormat, npt.NDArray[np.integer]]]) -> Histograms:
    """Histograms from counts by sign and exponent field, one ``[format.bins]`` array a tensor.

    Index ``sign << exponent_bits | field``, as one shift of the bits gives it. The fields of zeros,
    subnormals, infinities and NaNs are left out.
    """
    lengths = np.zeros(len(dense), np.int64)
    all_codes: list[npt.NDArray[np.int64]] = []
    all_counts: list[npt.NDArray[np.int64]] = []
    for row, (layout, counts) in enumerate(dense):
        index = np.flatnonzero(counts)
        field = index & layout.exponent_mask
        index = index[(field != 0) & (field != layout.exponent_mask)]
        field = index & layout.exponent_mask
        negative = index >> layout.exponent_bits
        codes = 2 * (field - layout.bias) + negative
        order = np.argsort(codes)
        lengths[row] = len(codes)
        all_codes.append(codes[order].astype(np.int64))
        all_counts.append(counts[index][order].astype(np.int64))
    empty = np.zeros(0, np.int64)
    return Histograms(
        lengths, np.concatenate([empty, *all_codes]), np.concatenate([empty, *all_counts])
    )


def merge_histograms(parts: Sequence[Histograms]) -> Histograms:
    """Adds up histograms of the same tensors; ValueError where their numbers differ."""
    sizes = {len(part) for part in parts}
    if len(sizes) != 1:
        raise ValueError(f"Expected histograms of the same tensors, got {sorted(sizes)} tensors.")
    rows = np.concatenate([np.repeat(np.arange(len(part)), part.lengths) for part in parts])
    codes = np.concatenate([part.codes for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    # One sortable key per (tensor, code): codes of float64 lie within +-2**12.
    keys, inverse = np.unique((rows << 16) + codes + (1 << 15), return_inverse=True)
    total = np.zeros(len(keys), np.int64)
    np.add.at(total, inverse, counts)
    lengths = np.bincount(keys >> 16, minlength=sizes.pop()).astype(np.int64)
    return Histograms(lengths, (keys & 0xFFFF) - (1 << 15), total)
