from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PluginData(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    def __init__(self, version: _Optional[int] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("role", "layer", "name", "shape", "rank_known", "dtype", "replica")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    RANK_KNOWN_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    role: str
    layer: str
    name: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    rank_known: bool
    dtype: str
    replica: str
    def __init__(self, role: _Optional[str] = ..., layer: _Optional[str] = ..., name: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., rank_known: bool = ..., dtype: _Optional[str] = ..., replica: _Optional[str] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("version", "tensors", "columns", "window_fields", "source", "description", "worker")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELDS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    version: int
    tensors: _containers.RepeatedCompositeFieldContainer[Tensor]
    columns: _containers.RepeatedScalarFieldContainer[str]
    window_fields: _containers.RepeatedScalarFieldContainer[str]
    source: str
    description: str
    worker: str
    def __init__(self, version: _Optional[int] = ..., tensors: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., columns: _Optional[_Iterable[str]] = ..., window_fields: _Optional[_Iterable[str]] = ..., source: _Optional[str] = ..., description: _Optional[str] = ..., worker: _Optional[str] = ...) -> None: ...
