"""The sampled statistics of many tensors: taken on the device, decoded on the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.statistics import kernels
from tb_nanwatch.adapters.tensorflow.statistics.kernels import Samples
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.floats import FloatFormat, decode_extremes
from tb_nanwatch.stats.histogram import Histograms, from_dense
from tb_nanwatch.stats.record import Matrix


def empty_samples(formats: Sequence[FloatFormat]) -> Samples:
    """The neutral element of `add_samples`, as arrays."""
    limits = np.iinfo(np.int64)
    return Samples(
        np.zeros(sum(layout.bins for layout in formats), np.int64),
        np.tile([0, limits.min, limits.max, limits.min], (len(formats), 1)),
        np.zeros(len(formats)),
    )


def take_samples(groups: Sequence[kernels.Rows], *, masked: bool) -> Samples:
    """Samples of flat tensors; `masked` as in `kernels.sample`."""
    numbers = [each for each, _ in groups]
    samples = [kernels.sample(rows, masked=masked) for _, rows in groups]
    return Samples(
        _one_after_another(numbers, [each.histograms for each in samples]),
        kernels.concat_in_order(numbers, [each.keys for each in samples]),
        kernels.concat_in_order(numbers, [each.totals for each in samples]),
    )


def _one_after_another(
    numbers: Sequence[Sequence[int]], histograms: Sequence[tf.Tensor]
) -> tf.Tensor:
    """int64 [sum of the bins]: the rows of `histograms`, by their `numbers`."""
    if len({each.shape[1] for each in histograms}) == 1:
        return tf.reshape(kernels.concat_in_order(numbers, histograms), [-1])
    rows = {
        number: row
        for group, each in zip(numbers, histograms, strict=True)
        for number, row in zip(group, tf.unstack(each, len(group)), strict=True)
    }
    return tf.concat([rows[number] for number in sorted(rows)], axis=0)


def decode_samples(
    formats: Sequence[FloatFormat], samples: Samples, steps: int, columns: Matrix
) -> Histograms:
    """Fills in the sampled columns from arrays of samples; returns the exponent histograms.

    Args:
      formats: of the tensors' elements.
      samples: of arrays.
      steps: how many steps they cover.
      columns: float64 [tensors, len(COLUMNS)], changed in place.
    """
    histograms, by_field = from_dense(formats, samples.histograms)
    zeros_subnormals, nonfinite, elements = by_field.T
    zeros = samples.keys[:, 0]
    low, high = np.empty(len(formats)), np.empty(len(formats))
    for layout in set(formats):
        rows = [row for row, each in enumerate(formats) if each is layout]
        low[rows], high[rows] = decode_extremes(layout, samples.keys[rows, 1:])
    some = elements > nonfinite
    columns[:, COLUMN["sampled_steps"]] = steps
    columns[:, COLUMN["sampled_elements"]] = elements
    columns[:, COLUMN["sampled_finite"]] = elements - nonfinite
    columns[:, COLUMN["zero"]] = zeros
    columns[:, COLUMN["subnormal"]] = zeros_subnormals - zeros
    columns[:, COLUMN["min"]] = np.where(some, low, np.nan)
    columns[:, COLUMN["max"]] = np.where(some, high, np.nan)
    columns[:, COLUMN["sum"]] = samples.totals
    return histograms
