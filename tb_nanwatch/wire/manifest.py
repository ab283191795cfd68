"""The manifest: what the rows of a stream's records are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from google.protobuf.message import DecodeError

from tb_nanwatch.schema import VERSION
from tb_nanwatch.schema.columns import COLUMN_NAMES, WINDOW_FIELD_NAMES
from tb_nanwatch.schema.nanwatch_pb2 import Manifest as ManifestProto
from tb_nanwatch.schema.nanwatch_pb2 import Tensor as TensorProto
from tb_nanwatch.schema.tensor_info import TensorInfo
from tb_nanwatch.wire import VersionError, WireError


@dataclass(frozen=True)
class Manifest:
    """What a stream's records hold.

    Attributes:
      tensors: the rows of a record, in order.
      source: "Callback", "Watcher" or "summary".
      description: the user's own text; "" for none.
      worker: which of several workers of one run wrote it; "" where there is one alone.
      columns: names of a record's columns, in order.
      window_fields: names of a window's fields, in order.
    """

    tensors: tuple[TensorInfo, ...]
    source: str
    description: str = ""
    worker: str = ""
    columns: tuple[str, ...] = field(default=COLUMN_NAMES)
    window_fields: tuple[str, ...] = field(default=WINDOW_FIELD_NAMES)

    def hash(self) -> int:
        """48 bits, exact in a float64: what records name the manifest by."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # Of hundreds of tensors it takes milliseconds, and every record asks for it.
        digest = hashlib.sha256(pack_manifest(self)).digest()
        return int.from_bytes(digest[:6], "big")


def _text(value: str) -> str:
    # Lone surrogates (undecodable bytes in a name) have no UTF-8 form, and protobuf refuses them.
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def pack_manifest(manifest: Manifest) -> bytes:
    """The manifest as serialized protobuf, the same bytes for the same manifest."""
    message = ManifestProto(
        version=VERSION,
        columns=manifest.columns,
        window_fields=manifest.window_fields,
        source=manifest.source,
        description=_text(manifest.description),
        worker=_text(manifest.worker),
        tensors=[
            TensorProto(
                role=tensor.role,
                layer=_text(tensor.layer),
                name=_text(tensor.name),
                shape=tensor.shape or (),
                rank_known=tensor.shape is not None,
                dtype=tensor.dtype,
                replica=_text(tensor.replica),
            )
            for tensor in manifest.tensors
        ],
    )
    return message.SerializeToString(deterministic=True)


def unpack_manifest(data: bytes) -> Manifest:
    """The manifest of these bytes; VersionError for another version, WireError for other bytes."""
    try:
        message = ManifestProto.FromString(data)
    except DecodeError as error:
        raise WireError(f"Expected a NaNWatch manifest, got {len(data)} other bytes.") from error
    if message.version != VERSION:
        raise VersionError("a manifest", message.version, VERSION)
    return Manifest(
        tensors=tuple(
            TensorInfo(
                role=tensor.role,
                layer=tensor.layer,
                name=tensor.name,
                shape=tuple(tensor.shape) if tensor.rank_known else None,
                dtype=tensor.dtype,
                replica=tensor.replica,
            )
            for tensor in message.tensors
        ),
        source=message.source,
        description=message.description,
        worker=message.worker,
        columns=tuple(message.columns),
        window_fields=tuple(message.window_fields),
    )
