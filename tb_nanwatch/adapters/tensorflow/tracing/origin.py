"""The search for the first non-finite operation, over TensorFlow's eager tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.private_api import private
from tb_nanwatch.adapters.tensorflow.tracing.operations import identity
from tb_nanwatch.format.rerun import Operation
from tb_nanwatch.training.failing_step import describe_operation as facts
from tb_nanwatch.training.failing_step import origin as search
from tb_nanwatch.training.failing_step.origin import Origin, Search
from tb_nanwatch.training.failing_step.trace import Trace, TracedOperation
from tb_nanwatch.training.protocols import TensorAccess

_RANDOM = (
    "Random",
    "StatefulUniform",
    "StatefulStandard",
    "StatefulTruncated",
    "Multinomial",
    "TruncatedNormal",
    "ParameterizedTruncatedNormal",
    "RngReadAndSkip",
    "RngSkip",
)

_ASSIGNMENTS = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "ResourceScatter")
"""Operations whose last input goes into a variable."""


def find_origin(trace: Trace, batch: Iterable[Any], variables: Iterable[Any] = ()) -> Search:
    """Looks for the origin in a trace.

    Args:
      trace: a step.
      batch: what the step was fed: tensors, or arrays of which it makes tensors itself.
      variables: those that it may read, with the values from before the step.
    """
    values = [tf.convert_to_tensor(each) for each in variables]
    return search.find_origin(trace, batch, values, ACCESS)


def describe_operation(origin: Origin) -> Operation:
    """The origin as it is recorded."""
    return facts.describe_operation(origin, ACCESS)


class EagerTensorAccess:
    """`protocols.TensorAccess` of eager tensors and `tf.IndexedSlices`."""

    def identity(self, tensor: Any) -> int:
        return identity(tensor)

    def is_float(self, tensor: Any) -> bool:
        dtype = getattr(tensor, "dtype", None)
        return isinstance(dtype, tf.DType) and (dtype.is_floating or dtype.is_complex)

    def is_nonfinite(self, tensor: Any) -> bool:
        values = _values(tensor)
        if not self.is_float(values):
            return False
        return not bool(tf.reduce_all(tf.math.is_finite(_real_parts(values))))

    def has_nan(self, tensor: Any) -> bool:
        return bool(tf.reduce_any(tf.math.is_nan(_real_parts(_values(tensor)))))

    def is_array(self, value: Any) -> bool:
        return isinstance(value, tf.Tensor) and value.dtype != tf.resource

    def dtype_name(self, tensor: Any) -> str:
        return str(tensor.dtype.name)

    def dense(self, tensor: Any) -> Any:
        return tf.convert_to_tensor(tensor)

    def nonfinite_mask(self, tensor: Any) -> npt.NDArray[np.bool_]:
        array = np.asarray(tensor)
        kind = np.complex128 if np.iscomplexobj(array) else np.float64
        return np.asarray(~np.isfinite(array.astype(kind)))

    def input_names(self, operation: TracedOperation) -> Sequence[str]:
        registry = private("op_def_registry")
        definition = None if registry is None else registry.get(operation.type)
        arguments = [] if definition is None else list(definition.input_arg)
        # An argument that is a list of tensors makes several inputs.
        is_named = len(arguments) == len(operation.inputs)
        return [
            arguments[number].name if is_named else f"input {number}"
            for number in range(len(operation.inputs))
        ]

    def local_gradients(self, operation: TracedOperation, upstream: Sequence[Any]) -> Sequence[Any]:
        filled = [
            tf.zeros_like(output) if each is None else each
            for output, each in zip(operation.outputs, upstream, strict=True)
        ]
        gradient_function = private("gradient_function")
        if gradient_function is None:
            return []
        try:
            gradients = gradient_function(
                operation.type,
                operation.attributes,
                len(operation.inputs),
                list(operation.inputs),
                list(operation.outputs),
                filled,
                (),
                "",
            )
        except LookupError:  # No gradient is registered.
            return []
        return list(gradients) if isinstance(gradients, (list, tuple)) else [gradients]

    def is_random(self, operation: TracedOperation) -> bool:
        return operation.type.startswith(_RANDOM)

    def is_assignment(self, operation: TracedOperation) -> bool:
        return operation.type.startswith(_ASSIGNMENTS)


def _values(tensor: Any) -> Any:
    return tensor.values if isinstance(tensor, tf.IndexedSlices) else tensor


def _real_parts(tensor: Any) -> Any:
    if tensor.dtype.is_complex:
        return tf.stack([tf.math.real(tensor), tf.math.imag(tensor)])
    return tensor


ACCESS: TensorAccess = EagerTensorAccess()
