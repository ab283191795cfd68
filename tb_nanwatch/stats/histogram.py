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


def from_dense(
    formats: Sequence[FloatFormat], dense: npt.NDArray[np.integer]
) -> tuple[Histograms, npt.NDArray[np.int64]]:
    """Histograms from counts by sign and exponent field, as one shift of the bits gives it.

    Args:
      formats: of the tensors' elements.
      dense: integers [sum of the formats' bins], one tensor's counts after another's. The count at
        ``sign << exponent_bits | field`` of a tensor is of its elements with that sign and field.

    Returns:
      The histograms; and int64 [tensors, 3]: how many elements have field 0 (zeros and
      subnormals), how many the last one (NaNs and infinities), and how many there are in all.
    """
    bins = np.array([layout.bins for layout in formats], np.int64)
    fields = bins // 2
    bias = np.array([layout.bias for layout in formats], np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(bins)])
    at = np.flatnonzero(dense)
    rows = np.searchsorted(starts, at, side="right") - 1
    counts = dense[at].astype(np.int64)
    negative, field = np.divmod(at - starts[rows], fields[rows])
    apart = np.where(field == 0, 0, np.where(field == fields[rows] - 1, 1, -1))

    totals = np.zeros((len(formats), 3), np.int64)
    np.add.at(totals[:, 2], rows, counts)
    for kind in (0, 1):
        np.add.at(totals[:, kind], rows[apart == kind], counts[apart == kind])

    normal = apart < 0
    rows, counts = rows[normal], counts[normal]
    codes = 2 * (field[normal] - bias[rows]) + negative[normal]
    order = np.lexsort((codes, rows))
    lengths = np.bincount(rows, minlength=len(formats)).astype(np.int64)
    return Histograms(lengths, codes[order], counts[order]), totals


def spread_histograms(part: Histograms, rows: Sequence[int], tensors: int) -> Histograms:
    """The histograms among more tensors: i becomes `rows[i]` of `tensors`, the others are empty."""
    target = np.repeat(np.asarray(rows, np.int64), part.lengths)
    order = np.argsort(target, kind="stable")
    lengths = np.bincount(target, minlength=tensors).astype(np.int64)
    return Histograms(lengths, part.codes[order], part.counts[order])


def merge_histograms(parts: Sequence[Histograms]) -> Histograms:
    """Adds up histograms of the same tensors; ValueError where their numbers differ."""
    sizes = {len(part) for part in parts}
    if len(sizes) != 1:
        raise ValueError(f"Expected histograms of the same tensors, got {sorted(sizes)} tensors.")
    rows = np.concatenate([np.repeat(np.arange(len(part)), part.lengths) for part in parts])
    codes = np.concatenate([part.codes for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    # One sortable key per (tensor, code): codes of float64 lie within +-2**12.
    keys = (rows << 16) + codes + (1 << 15)
    order = np.argsort(keys, kind="stable")  # Each part is sorted already: this merges them.
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    keys, total = keys[starts], np.add.reduceat(counts, starts)
    lengths = np.bincount(keys >> 16, minlength=sizes.pop()).astype(np.int64)
    return Histograms(lengths, (keys & 0xFFFF) - (1 << 15), total)


def total_histogram(
    parts: Sequence[Histograms],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(codes, counts), ascending, of all histograms of all parts added up."""
    codes = np.concatenate([np.zeros(0, np.int64), *(part.codes for part in parts)])
    counts = np.concatenate([np.zeros(0, np.int64), *(part.counts for part in parts)])
    unique, which = np.unique(codes, return_inverse=True)
    total = np.zeros(len(unique), np.int64)
    np.add.at(total, which.reshape(-1), counts)
    return unique, total


def upper_bounds(
    layout: FloatFormat,
    codes: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    subnormal: int,
    shares: Sequence[float],
) -> list[float]:
    """Percentiles of magnitude, to a power of 2: at least that share of the elements is below it.

    Args:
      layout: the elements' format: its subnormal numbers have no bin.
      codes, counts: int64 [bins], a histogram.
      subnormal: how many elements are subnormal, beside those of the histogram.
      shares: in (0, 1], of all of these elements; there must be at least one.
    """
    exponents = np.concatenate([[layout.smallest_exponent - 1], codes >> 1])
    order = np.argsort(exponents, kind="stable")
    upto = np.cumsum(np.concatenate([[subnormal], counts]).astype(np.float64)[order])
    at = np.searchsorted(upto, np.multiply(shares, upto[-1]))
    with np.errstate(over="ignore"):  # Above the largest numbers of float64: Inf.
        return np.ldexp(1.0, exponents[order][at] + 1).tolist()  # type: ignore[no-any-return]
