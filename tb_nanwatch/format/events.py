"""Records and manifests as TensorBoard's summary protos."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_TENSOR, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_STRING, DT_UINT8

from tb_nanwatch.format import VERSION
from tb_nanwatch.format.histograms import pack_histograms
from tb_nanwatch.format.manifest import Manifest, pack_manifest
from tb_nanwatch.format.nanwatch_pb2 import PluginData
from tb_nanwatch.format.nonfinite_logs import NonfiniteLogs, pack_nonfinite_logs
from tb_nanwatch.format.records import pack_record
from tb_nanwatch.format.rerun import Rerun, pack_rerun
from tb_nanwatch.format.tags import (
    PLUGIN_NAME,
    Stream,
    block_tag,
    facts_tag,
    initial_tag,
    manifest_tag,
)
from tb_nanwatch.stats.record import Record

_DTYPES = {np.dtype(np.float64): DT_DOUBLE, np.dtype(np.uint8): DT_UINT8}


FILE_BYTES = 128
"""Upper bound of the bytes that a writer puts at the beginning of an event file."""

_EVENT_BYTES = 48
"""Upper bound of the bytes of an event around its values: 16 of the record, 9 of the wall
time, 11 of the step and 6 of the summary."""

_VALUE_BYTES = 6
"""Upper bound of the bytes of a value's tag and length fields."""


def event_bytes(values: Iterable[Summary.Value]) -> int:
    """Upper bound of the bytes of an event of these values in a file."""
    return _EVENT_BYTES + sum(_VALUE_BYTES + int(value.ByteSize()) for value in values)


def summary_metadata() -> SummaryMetadata:
    """The metadata of each of our tags.

    Without a data class TensorBoard keeps the data but shows none of it to plugins.
    """
    return SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(
            plugin_name=PLUGIN_NAME,
            content=PluginData(version=VERSION).SerializeToString(),
        ),
        data_class=DATA_CLASS_TENSOR,
    )


def _value(tag: str, tensor: TensorProto) -> Summary.Value:
    return Summary.Value(tag=tag, tensor=tensor, metadata=summary_metadata())


def array_tensor(array: npt.NDArray[np.float64] | npt.NDArray[np.uint8]) -> TensorProto:
    """The array as a tensor, little-endian."""
    return TensorProto(
        dtype=_DTYPES[array.dtype],
        tensor_shape=TensorShapeProto(
            dim=[TensorShapeProto.Dim(size=size) for size in array.shape]
        ),
        tensor_content=array.astype(array.dtype.newbyteorder("<")).tobytes(),
    )


def manifest_value(stream: Stream, manifest: Manifest) -> Summary.Value:
    """The manifest as a scalar string tensor under its own tag."""
    return _value(manifest_tag(stream, manifest.hash()), _string_tensor(pack_manifest(manifest)))


def _string_tensor(content: bytes) -> TensorProto:
    return TensorProto(dtype=DT_STRING, tensor_shape=TensorShapeProto(), string_val=[content])


def record_values(stream: Stream, block: int, record: Record) -> list[Summary.Value]:
    """The record, and its exponent histograms where it has any, under one block's tags."""
    values = [_value(block_tag("stats", stream, block), array_tensor(pack_record(record)))]
    if record.histograms is not None:
        packed = pack_histograms(record.histograms)
        values.append(_value(block_tag("hist", stream, block), array_tensor(packed)))
    return values


def initial_value(stream: Stream, record: Record) -> Summary.Value:
    """The record of the state that the stream's first step found, under its own tag."""
    tag = initial_tag(stream, int(record.field("manifest")))
    return _value(tag, array_tensor(pack_record(record)))


def rerun_value(stream: Stream, rerun: Rerun) -> Summary.Value:
    """What running a step again has found, as a scalar string tensor under its own tag."""
    return _value(facts_tag("rerun", stream, rerun.step), _string_tensor(pack_rerun(rerun)))


def logs_value(stream: Stream, logs: NonfiniteLogs) -> Summary.Value:
    """Logs of an epoch that are not finite, under the tag of its last step."""
    tag = facts_tag("logs", stream, logs.step)
    return _value(tag, _string_tensor(pack_nonfinite_logs(logs)))
