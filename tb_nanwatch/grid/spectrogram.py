"""One tensor's exponent histograms over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tb_nanwatch.grid.cells import RecordChunk
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.histogram import Histograms

Steps = npt.NDArray[np.int64]


class HistogramChunk(Protocol):
    """One tensor's histograms of consecutive records."""

    @property
    def first(self) -> Steps:
        """First step of each record, int64 [records]."""

    @property
    def valid_until(self) -> Steps:
        """Last step for which each record is valid, int64 [records]."""

    @property
    def histograms(self) -> Histograms:
        """One a record."""


@dataclass(frozen=True)
class Spectrogram:
    """Elements by binary exponent in each column of steps, whatever their sign.

    Attributes:
      first_exponent: of the first bin; 0 where there is no bin.
      counts: float64 [columns, bins], elements x with ``2**e <= |x| < 2**(e + 1)``, one bin an
        exponent, none left out in between. 0 where nothing was sampled.
    """

    first_exponent: int
    counts: npt.NDArray[np.float64]


def spectrogram(chunks: Iterable[HistogramChunk], edges: Steps) -> Spectrogram:
    """Adds up the histograms of each column.

    Args:
      chunks: of one tensor. A histogram whose record is valid for steps of several columns is in
        each of them; those outside of the edges are left out.
      edges: int64 [columns + 1], from `column_edges`.
    """
    entries = [_entries(chunk, edges) for chunk in chunks]
    begin, end, exponents, counts = (
        np.concatenate([np.zeros(0, np.int64), *parts])
        for parts in (zip(*entries, strict=True) if entries else [()] * 4)
    )
    columns = len(edges) - 1
    if not len(exponents):
        return Spectrogram(0, np.zeros((columns, 0)))
    low = int(exponents.min())
    # +1 where a record begins and -1 after its end: their running sum adds up what is there.
    change = np.zeros((columns + 1, int(exponents.max()) - low + 1))
    np.add.at(change, (begin, exponents - low), counts)
    np.add.at(change, (end + 1, exponents - low), -counts)
    return Spectrogram(low, np.cumsum(change, axis=0)[:-1])


def _entries(chunk: HistogramChunk, edges: Steps) -> tuple[Steps, Steps, Steps, Steps]:
    """First and last column, exponent and count of each entry of the histograms in sight."""
    last = len(edges) - 2
    inside = (chunk.valid_until >= edges[0]) & (chunk.first < edges[-1])
    begin = np.clip(np.searchsorted(edges, chunk.first, side="right") - 1, 0, last)
    end = np.clip(np.searchsorted(edges, chunk.valid_until, side="right") - 1, 0, last)
    record = np.repeat(np.arange(len(inside)), chunk.histograms.lengths)
    seen = inside[record]
    record = record[seen]
    exponents = chunk.histograms.codes[seen] >> 1
    return begin[record], end[record], exponents, chunk.histograms.counts[seen]


def totals(
    chunks: Iterable[RecordChunk], tensor: int, edges: Steps, names: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Sums of a tensor's counts in each column: float64 [columns, len(names)].

    Args:
      chunks: the records; those outside of the edges are left out. A record that is valid for
        steps of several columns counts in each of them, as its histogram does.
      tensor: the tensor.
      edges: int64 [columns + 1], from `column_edges`.
      names: columns of a record that add up.
    """
    fields = [COLUMN[name] for name in names]
    # +1 where a record begins and -1 after its end: their running sum adds up what is there.
    change = np.zeros((len(edges), len(names)))
    for chunk in chunks:
        inside = (chunk.valid_until >= edges[0]) & (chunk.first < edges[-1])
        for row in np.flatnonzero(chunk.rows == tensor):
            values = chunk.columns[inside, row][:, fields]
            begin = np.searchsorted(edges, chunk.first[inside], side="right") - 1
            end = np.searchsorted(edges, chunk.valid_until[inside], side="right") - 1
            np.add.at(change, np.maximum(begin, 0), values)
            np.add.at(change, np.minimum(end, len(edges) - 2) + 1, -values)
    return np.cumsum(change, axis=0)[:-1]
