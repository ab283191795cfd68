"""The manifest: what the rows of a stream's records are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from tb_nanwatch.format import VERSION, FormatError, VersionError
from tb_nanwatch.format.facts import (
    UNKNOWN_MODEL,
    LayerFacts,
    LossFacts,
    ModelFacts,
    OptimizerFacts,
)
from tb_nanwatch.format.nanwatch_pb2 import Layer as LayerProto
from tb_nanwatch.format.nanwatch_pb2 import Loss as LossProto
from tb_nanwatch.format.nanwatch_pb2 import Manifest as ManifestProto
from tb_nanwatch.format.nanwatch_pb2 import Model as ModelProto
from tb_nanwatch.format.nanwatch_pb2 import Optimizer as OptimizerProto
from tb_nanwatch.format.nanwatch_pb2 import Tensor as TensorProto
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN_NAMES, WINDOW_FIELD_NAMES

_IDENTIFYING_ROLES = ("", "gradient", "weight")
"""What identifies a model, the best last; "" stands for every role."""

ModelIdentity = tuple[int, int, frozenset[tuple[str, str, tuple[int, ...] | None, str]]]
"""How good it is, as a place in `_IDENTIFYING_ROLES` and the number of tensors; and the role, name,
shape and dtype of each of them."""

_Facts = TypeVar("_Facts", LayerFacts, LossFacts, OptimizerFacts)


@dataclass(frozen=True)
class Manifest:
    """What a stream's records contain.

    Attributes:
      tensors: the rows of a record, in order.
      source: "Callback", "Watcher" or "summary".
      description: the user's own text; "" for none.
      worker: which of several workers of one run wrote it; "" where there is only one.
      model: what the framework knows of the model.
      columns: names of a record's columns, in order.
      window_fields: names of a window's fields, in order.
    """

    tensors: tuple[TensorInfo, ...]
    source: str
    description: str = ""
    worker: str = ""
    model: ModelFacts = UNKNOWN_MODEL
    columns: tuple[str, ...] = field(default=COLUMN_NAMES)
    window_fields: tuple[str, ...] = field(default=WINDOW_FIELD_NAMES)

    def hash(self) -> int:
        """48 bits, exact in a float64: what records name the manifest by."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # Of hundreds of tensors it takes milliseconds, and every record asks for it.
        return hash_of(pack_manifest(self))

    @cached_property
    def model_identity(self) -> ModelIdentity:
        """What two manifests of the same model have in common, whatever else either records.

        By the weights, where they are recorded; or else by the gradients; or else by all tensors.
        """
        roles = {tensor.role for tensor in self.tensors}
        rank = max(at for at, role in enumerate(_IDENTIFYING_ROLES) if not role or role in roles)
        role = _IDENTIFYING_ROLES[rank]
        tensors = frozenset(
            (tensor.role, tensor.name, tensor.shape, tensor.dtype)
            for tensor in self.tensors
            if not role or tensor.role == role
        )
        return rank, len(tensors), tensors


def hash_of(packed: bytes) -> int:
    """`Manifest.hash` of a packed manifest."""
    return int.from_bytes(hashlib.sha256(packed).digest()[:6], "big")


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
                trainable=tensor.trainable,  # type: ignore[arg-type]
                is_statistic=tensor.is_statistic,
                attribute=_text(tensor.attribute),
            )
            for tensor in manifest.tensors
        ],
        model=_model_message(manifest.model),
    )
    return message.SerializeToString(deterministic=True)


def unpack_manifest(data: bytes) -> Manifest:
    """The manifest of these bytes; VersionError for another version, FormatError for others."""
    try:
        message = ManifestProto.FromString(data)
    except DecodeError as error:
        raise FormatError(f"Expected a NaNWatch manifest, got {len(data)} other bytes.") from error
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
                trainable=tensor.trainable if tensor.HasField("trainable") else None,
                is_statistic=tensor.is_statistic,
                attribute=tensor.attribute,
            )
            for tensor in message.tensors
        ),
        source=message.source,
        description=message.description,
        worker=message.worker,
        model=_model(message.model),
        columns=tuple(message.columns),
        window_fields=tuple(message.window_fields),
    )


def _model_message(model: ModelFacts) -> ModelProto:
    return ModelProto(
        framework=_text(model.framework),
        versions=_text(model.versions),
        dtype_policy=_text(model.dtype_policy),
        jit_compile=model.jit_compile,
        onednn=model.onednn,
        layers=[_message(LayerProto, layer) for layer in model.layers],
        losses=[_message(LossProto, loss) for loss in model.losses],
        optimizers=[_message(OptimizerProto, optimizer) for optimizer in model.optimizers],
        trainable_variables=model.trainable_variables,
    )


def _model(message: ModelProto) -> ModelFacts:
    return ModelFacts(
        framework=message.framework,
        versions=message.versions,
        dtype_policy=message.dtype_policy,
        jit_compile=message.jit_compile,
        onednn=message.onednn,
        layers=tuple(_facts(LayerFacts, layer) for layer in message.layers),
        losses=tuple(_facts(LossFacts, loss) for loss in message.losses),
        optimizers=tuple(_facts(OptimizerFacts, each) for each in message.optimizers),
        trainable_variables=(
            message.trainable_variables if message.HasField("trainable_variables") else None
        ),
    )


def _message(kind: type[Any], facts: Any) -> Any:
    """The message with the fields of a dataclass of the same names; None leaves a field unset."""
    values = {each.name: getattr(facts, each.name) for each in fields(facts)}
    return kind(**{name: _printable(value) for name, value in values.items()})


def _printable(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_text(each) for each in value]
    return _text(value) if isinstance(value, str) else value


def _facts(kind: type[_Facts], message: Any) -> _Facts:
    """The inverse of `_message`."""
    values = {}
    for each in fields(kind):
        value = getattr(message, each.name)
        if message.DESCRIPTOR.fields_by_name[each.name].has_presence:
            value = value if message.HasField(each.name) else None
        elif each.name == "inputs":
            value = tuple(value)
        values[each.name] = value
    return kind(**values)
