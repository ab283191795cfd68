"""Instability: by how many decades a tensor's norm departs from the tensor's own usual level.

A norm of 1e4 says nothing by itself: it is normal for one tensor and an explosion for the next.
What tells trouble is that a tensor leaves the level that it had. So each tensor has a baseline of
its own, its *usual level*, and its instability at a step is

    log10(norm) - usual level

0 at its usual level, 1 at ten times that, -1 at a tenth of it.

The usual level is the median of log10(norm) over the beginning of the tensor's history: over its
first quarter, or, where the norm drifts by more than a factor of ten within that, over the longest
of its eighth, sixteenth and so on where it does not. Where the median of the whole history is less,
the usual level is that, by half a decade at most. The reasons:

- A median, because a single spike must not move the level that it departs from.
- The beginning, because an explosion grows until the run fails, and would raise the median of the
  whole. Its steady part only, because some runs explode from the first step.
- Up to half a decade less, because the loss and its gradients begin high and decay as a model
  learns. That is normal; but what decays by more vanishes, and is to be seen as such.

The history is every record of the tensor, in the order of steps and as long as it covers steps,
where all elements were finite and the norm was not 0; of a tensor with too few of these, those with
other elements count too. A tensor with fewer than `FEWEST` has no usual level, and its instability
is 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tb_nanwatch.stats.record import Matrix

FEWEST = 4
"""Records that a usual level takes at least."""

MOST_DRIFT = 1.0
"""Decades by which the beginning may drift, as every tensor does at first that starts from zero."""

MOST_DECAY = 0.5
"""Decades of decay that are usual: a factor of three."""

_SAMPLES = 256
"""So many places of a history, evenly spaced in steps, stand for all of it."""


def usual_levels(
    first: npt.NDArray[np.int64],
    log_norms: npt.NDArray[np.floating],
    finite: npt.NDArray[np.bool_],
) -> Matrix:
    """The usual level of each tensor: float64 [tensors], in decades; NaN where there is none.

    Args:
      first: int64 [records], first step of each record, ascending.
      log_norms: [records, tensors], decimal logarithms: -inf for a norm of 0, NaN where nothing
        was recorded.
      finite: bool [records, tensors], whether all elements were finite.
    """
    known = np.isfinite(log_norms)
    clean = known & finite
    counted = np.where(clean.sum(axis=0) >= FEWEST, clean, known)
    levels = np.full(log_norms.shape[1], np.nan)
    # Tensors with the same records at a time: most have all of them.
    alike: dict[bytes, list[int]] = {}
    for tensor, mask in enumerate(np.packbits(counted, axis=0).T):
        alike.setdefault(mask.tobytes(), []).append(tensor)
    for tensors in alike.values():
        records = np.flatnonzero(counted[:, tensors[0]])
        if len(records) >= FEWEST:
            sampled = records[_evenly(first[records])]
            series = log_norms[sampled][:, tensors].T
            levels[tensors] = _levels(series.astype(np.float64))
    return levels


def _evenly(first: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Indexes of the records at places that are evenly spaced in steps."""
    # The last record is as long as those before it.
    end = first[-1] + max(1, round(float(np.median(np.diff(first)))))
    places = np.linspace(first[0], end, _SAMPLES, endpoint=False)
    found: npt.NDArray[np.int64] = np.searchsorted(first, places, side="right") - 1
    return found


def instability(log_norms: npt.NDArray[np.floating], levels: Matrix) -> Matrix:
    """log10(norm) less the usual level, [..., tensors]; -inf for a norm of 0, NaN for nothing."""
    departures = log_norms - np.where(np.isnan(levels), 0, levels)
    unknown = np.isnan(levels) & np.isfinite(log_norms)
    values: Matrix = np.where(unknown, 0, departures)
    return values


def _levels(series: Matrix) -> Matrix:
    """float64 [tensors], of series [tensors, `_SAMPLES`]."""
    levels = np.full(len(series), np.nan)
    length = _SAMPLES // 4
    while np.isnan(levels).any():
        left = np.flatnonzero(np.isnan(levels))
        beginning = series[left, :length]
        end = -(-length // 4)
        drift = np.median(beginning[:, -end:], axis=1) - np.median(beginning[:, :end], axis=1)
        steady = (np.abs(drift) <= MOST_DRIFT) | (length == 1)
        levels[left[steady]] = np.median(beginning[steady], axis=1)
        length //= 2
    whole: Matrix = np.median(series, axis=1)
    usual: Matrix = np.minimum(levels, np.maximum(whole, levels - MOST_DECAY))
    return usual
