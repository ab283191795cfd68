"""Exponent histograms in the form of TensorBoard's own Histograms and Distributions tabs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_TENSOR, Summary, SummaryMetadata

from tb_nanwatch.format.events import array_tensor
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.floats import float_format
from tb_nanwatch.stats.record import Matrix, Record


def tensorboard_histograms(manifest: Manifest, record: Record) -> list[Summary.Value]:
    """One value a tensor that has finite sampled elements, under the tag "<role>/<name>".

    NaN and infinities are left out, and so cannot spoil the rest.
    """
    if record.histograms is None:
        return []
    values = []
    for row, info in enumerate(manifest.tensors):
        buckets = _buckets(info, record.columns[row], *record.histograms.tensor(row))
        if len(buckets):
            values.append(
                Summary.Value(
                    tag="/".join(filter(None, (info.role, info.name, info.replica))),
                    tensor=array_tensor(buckets),
                    metadata=SummaryMetadata(
                        plugin_data=SummaryMetadata.PluginData(plugin_name="histograms"),
                        data_class=DATA_CLASS_TENSOR,
                    ),
                )
            )
    return values


def _buckets(
    info: TensorInfo, columns: Matrix, codes: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> Matrix:
    """float64 [buckets, 3]: left edge, right edge, elements; ascending, from minimum to maximum.

    Zeros and subnormals share the bucket around zero.
    """
    signs, exponents = np.where(codes & 1, -1.0, 1.0), codes >> 1
    inner, outer = signs * np.exp2(exponents), signs * np.exp2(exponents + 1.0)
    rows = np.stack([np.minimum(inner, outer), np.maximum(inner, outer), counts], axis=1)
    tiny = columns[COLUMN["zero"]] + columns[COLUMN["subnormal"]]
    if tiny:
        smallest = 2.0 ** (1 - float_format(info.dtype).bias)
        rows = np.concatenate([rows, [[-smallest, smallest, tiny]]])
    rows = rows[np.argsort(rows[:, 0])]
    # A bucket has a width, also where all of its elements are equal.
    edges = np.clip(rows[:, :2], columns[COLUMN["min"]], columns[COLUMN["max"]])
    wide = edges[:, 0] < edges[:, 1]
    rows[wide, :2] = edges[wide]
    return rows
