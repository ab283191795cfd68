"""One tensor's exponent histograms over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tb_nanwatch.grid.cells import Slab
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.histogram import Histograms

Steps = npt.NDArray[np.int64]


class Placed(Protocol):
    """A histogram and the steps that its record stands for."""

    @property
    def first(self) -> int:
        """First step of the record."""

    @property
    def until(self) -> int:
        """Last step that the record stands for."""

    @property
    def histogram(self) -> Histograms:
        """Of one tensor."""


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


def spectrogram(histograms: Iterable[Placed], edges: Steps) -> Spectrogram:
    """Adds up the histograms of each column.

    Args:
      histograms: of one tensor. One whose record stands for steps of several columns is in each
        of them; those outside of the edges are left out.
      edges: int64 [columns + 1], from `column_edges`.
    """
    columns = len(edges) - 1
    inside = [each for each in histograms if each.until >= edges[0] and each.first < edges[-1]]
    exponents = [each.histogram.codes >> 1 for each in inside]
    filled = [own for own in exponents if len(own)]
    if not filled:
        return Spectrogram(0, np.zeros((columns, 0)))
    low = min(int(own.min()) for own in filled)
    high = max(int(own.max()) for own in filled)
    counts = np.zeros((columns, high - low + 1))
    begin, end = _columns(inside, edges)
    for each, own, left, right in zip(inside, exponents, begin, end, strict=True):
        bins = np.bincount(own - low, weights=each.histogram.counts, minlength=counts.shape[1])
        counts[left : right + 1] += bins
    return Spectrogram(low, counts)


def _columns(placed: Sequence[Placed], edges: Steps) -> tuple[list[int], list[int]]:
    """First and last column of each record that is in one."""
    last = len(edges) - 2
    first = np.array([each.first for each in placed])
    until = np.array([each.until for each in placed])
    begin = np.clip(np.searchsorted(edges, first, side="right") - 1, 0, last)
    end = np.clip(np.searchsorted(edges, until, side="right") - 1, 0, last)
    return begin.tolist(), end.tolist()


def totals(
    slabs: Iterable[Slab], tensor: int, edges: Steps, names: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Sums of a tensor's counts in each column: float64 [columns, len(names)].

    Args:
      slabs: the records; those outside of the edges are left out. A record that stands for steps
        of several columns counts in each of them, as its histogram does.
      tensor: the tensor.
      edges: int64 [columns + 1], from `column_edges`.
      names: columns of a record that add up.
    """
    fields = [COLUMN[name] for name in names]
    # +1 where a record begins and -1 after its end: their running sum adds up what is there.
    change = np.zeros((len(edges), len(names)))
    for slab in slabs:
        inside = (slab.until >= edges[0]) & (slab.first < edges[-1])
        for row in np.flatnonzero(slab.rows == tensor):
            values = slab.columns[inside, row][:, fields]
            begin = np.searchsorted(edges, slab.first[inside], side="right") - 1
            end = np.searchsorted(edges, slab.until[inside], side="right") - 1
            np.add.at(change, np.maximum(begin, 0), values)
            np.add.at(change, np.minimum(end, len(edges) - 2) + 1, -values)
    return np.cumsum(change, axis=0)[:-1]
