from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PluginData(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    def __init__(self, version: _Optional[int] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("role", "layer", "name", "shape", "rank_known", "dtype", "replica", "trainable", "is_statistic", "attribute")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    RANK_KNOWN_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    IS_STATISTIC_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    role: str
    layer: str
    name: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    rank_known: bool
    dtype: str
    replica: str
    trainable: bool
    is_statistic: bool
    attribute: str
    def __init__(self, role: _Optional[str] = ..., layer: _Optional[str] = ..., name: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., rank_known: bool = ..., dtype: _Optional[str] = ..., replica: _Optional[str] = ..., trainable: bool = ..., is_statistic: bool = ..., attribute: _Optional[str] = ...) -> None: ...

class Layer(_message.Message):
    __slots__ = ("path", "class_name", "is_builtin", "activation", "inputs", "dtype_policy", "trainable", "owner", "is_regularized")
    PATH_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    IS_BUILTIN_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_POLICY_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    IS_REGULARIZED_FIELD_NUMBER: _ClassVar[int]
    path: str
    class_name: str
    is_builtin: bool
    activation: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    dtype_policy: str
    trainable: bool
    owner: str
    is_regularized: bool
    def __init__(self, path: _Optional[str] = ..., class_name: _Optional[str] = ..., is_builtin: bool = ..., activation: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., dtype_policy: _Optional[str] = ..., trainable: bool = ..., owner: _Optional[str] = ..., is_regularized: bool = ...) -> None: ...

class Loss(_message.Message):
    __slots__ = ("name", "class_name", "is_builtin", "from_logits", "ignore_class")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    IS_BUILTIN_FIELD_NUMBER: _ClassVar[int]
    FROM_LOGITS_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CLASS_FIELD_NUMBER: _ClassVar[int]
    name: str
    class_name: str
    is_builtin: bool
    from_logits: bool
    ignore_class: int
    def __init__(self, name: _Optional[str] = ..., class_name: _Optional[str] = ..., is_builtin: bool = ..., from_logits: bool = ..., ignore_class: _Optional[int] = ...) -> None: ...

class Optimizer(_message.Message):
    __slots__ = ("name", "class_name", "is_builtin", "learning_rate", "epsilon", "clipnorm", "global_clipnorm", "clipvalue", "is_loss_scaled", "gradient_accumulation_steps")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    IS_BUILTIN_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    CLIPNORM_FIELD_NUMBER: _ClassVar[int]
    GLOBAL_CLIPNORM_FIELD_NUMBER: _ClassVar[int]
    CLIPVALUE_FIELD_NUMBER: _ClassVar[int]
    IS_LOSS_SCALED_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_ACCUMULATION_STEPS_FIELD_NUMBER: _ClassVar[int]
    name: str
    class_name: str
    is_builtin: bool
    learning_rate: float
    epsilon: float
    clipnorm: float
    global_clipnorm: float
    clipvalue: float
    is_loss_scaled: bool
    gradient_accumulation_steps: int
    def __init__(self, name: _Optional[str] = ..., class_name: _Optional[str] = ..., is_builtin: bool = ..., learning_rate: _Optional[float] = ..., epsilon: _Optional[float] = ..., clipnorm: _Optional[float] = ..., global_clipnorm: _Optional[float] = ..., clipvalue: _Optional[float] = ..., is_loss_scaled: bool = ..., gradient_accumulation_steps: _Optional[int] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("framework", "versions", "dtype_policy", "jit_compile", "onednn", "layers", "losses", "optimizers", "trainable_variables")
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_POLICY_FIELD_NUMBER: _ClassVar[int]
    JIT_COMPILE_FIELD_NUMBER: _ClassVar[int]
    ONEDNN_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZERS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_VARIABLES_FIELD_NUMBER: _ClassVar[int]
    framework: str
    versions: str
    dtype_policy: str
    jit_compile: bool
    onednn: bool
    layers: _containers.RepeatedCompositeFieldContainer[Layer]
    losses: _containers.RepeatedCompositeFieldContainer[Loss]
    optimizers: _containers.RepeatedCompositeFieldContainer[Optimizer]
    trainable_variables: int
    def __init__(self, framework: _Optional[str] = ..., versions: _Optional[str] = ..., dtype_policy: _Optional[str] = ..., jit_compile: bool = ..., onednn: bool = ..., layers: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ..., losses: _Optional[_Iterable[_Union[Loss, _Mapping]]] = ..., optimizers: _Optional[_Iterable[_Union[Optimizer, _Mapping]]] = ..., trainable_variables: _Optional[int] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("version", "tensors", "columns", "window_fields", "source", "description", "worker", "model")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELDS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    version: int
    tensors: _containers.RepeatedCompositeFieldContainer[Tensor]
    columns: _containers.RepeatedScalarFieldContainer[str]
    window_fields: _containers.RepeatedScalarFieldContainer[str]
    source: str
    description: str
    worker: str
    model: Model
    def __init__(self, version: _Optional[int] = ..., tensors: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., columns: _Optional[_Iterable[str]] = ..., window_fields: _Optional[_Iterable[str]] = ..., source: _Optional[str] = ..., description: _Optional[str] = ..., worker: _Optional[str] = ..., model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...
