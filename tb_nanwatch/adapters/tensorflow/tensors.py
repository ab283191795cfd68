"""What users pass, as named tensors: mappings, pairs, slices, nested structures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.replicas import current_replica, replica_label
from tb_nanwatch.adapters.tensorflow.graph.variables import is_variable
from tb_nanwatch.adapters.tensorflow.statistics import kernels
from tb_nanwatch.format.tensor_info import INTEGER, TensorInfo
from tb_nanwatch.training import record_rows
from tb_nanwatch.training.warnings import WarningCollector

VARIABLES = frozenset({"weight", "slot", "update"})
"""Roles of variables and of what is computed from them: the same in all mirrored replicas."""


class VariableFacts(NamedTuple):
    """What is known of a variable; the attributes are those of `TensorInfo`."""

    trainable: bool | None = None
    is_statistic: bool = False
    attribute: str = ""


UNKNOWN_VARIABLE = VariableFacts()


class NamedTensor(NamedTuple):
    """A tensor to record.

    Attributes:
      info: its row of the manifest.
      tensor: its value.
      handle: of the variable that still has this value when the step has ended; None of any other.
    """

    info: TensorInfo
    tensor: tf.Tensor
    handle: Any = None


def dense(value: Any) -> tf.Tensor:
    """The tensor of `value` whose elements are recorded.

    For `tf.IndexedSlices`, sparse and ragged tensors these are the stored values: implicit zeros
    are not counted. Raises TypeError for a dtype that cannot hold NaN or Inf.
    """
    tensor = dense_values(value)
    kernels.dtype_format(tensor.dtype)
    return tensor


def dense_values(value: Any) -> tf.Tensor:
    """The same, of any dtype."""
    if isinstance(value, tf.RaggedTensor):
        value = value.flat_values
    elif isinstance(value, (tf.IndexedSlices, tf.SparseTensor)):
        value = value.values
    return tf.convert_to_tensor(value)


def parent_path(path: str) -> str:
    """The path without its last component: a variable's layer; "" where there is none."""
    return path.rpartition("/")[0]


def name_tensor(
    role: str,
    layer: str,
    name: str,
    value: Any,
    *,
    shape: Any = None,
    batch: bool = False,
    mirrored: bool = False,
    variable: VariableFacts = UNKNOWN_VARIABLE,
    handle: Any = None,
) -> NamedTensor:
    """Names one tensor.

    Args:
      role, layer, name: as in the manifest.
      value: anything that `dense` takes.
      shape: if not that of `value`, as for sparse gradients.
      batch: whether the first dimension may change from step to step.
      mirrored: whether it is the same in every replica.
      variable: what is known of the variable that it is, or is computed for.
      handle: as in `NamedTensor`.
    """
    tensor = dense(value)
    dims = tensor.shape if shape is None else tf.TensorShape(shape)
    if dims.rank is None:
        known = None
    else:
        known = tuple(-1 if size is None else int(size) for size in dims)
        if batch and known:
            known = (-1, *known[1:])
    replica = "" if mirrored else replica_label()
    info = TensorInfo(role, layer, name, known, tensor.dtype.name, replica, *variable)
    return NamedTensor(info, tensor, handle)


def with_unique_names(tensors: Iterable[NamedTensor]) -> list[NamedTensor]:
    """The tensors with names unique within their role and replica: the second "a" is "a#2"."""
    tensors = list(tensors)
    infos = record_rows.with_unique_names(each.info for each in tensors)
    return [each._replace(info=info) for info, each in zip(infos, tensors, strict=True)]


def as_list(data: Any) -> Any:
    """A list of what an iterator, such as zip, yields; anything else unchanged."""
    return list(data) if isinstance(data, Iterator) else data


def is_pairs(data: Any) -> bool:
    """Whether `data` is a list or tuple of (gradient, variable) pairs."""
    return isinstance(data, (list, tuple)) and all(
        isinstance(item, (list, tuple)) and len(item) == 2 and is_variable(item[1]) for item in data
    )


def flatten_data(data: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """(path, leaf) of nested mappings, lists and tuples, paths beginning with `prefix`."""
    if isinstance(data, Mapping):
        items: Iterable[tuple[Any, Any]] = data.items()
    elif isinstance(data, (list, tuple)):
        items = enumerate(data)
    else:
        if data is not None:
            yield prefix, data
        return
    for key, value in items:
        yield from flatten_data(value, f"{prefix}/{key}")


def leaves_with_places(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """(place, leaf) of nested mappings, lists and tuples, in the order of `tf.nest.flatten`."""
    if isinstance(data, Mapping):
        for key in sorted(data):
            yield from leaves_with_places(data[key], (*place, key))
    elif isinstance(data, (list, tuple)):
        for number, each in enumerate(data):
            yield from leaves_with_places(each, (*place, number))
    else:
        yield place, data


def recordable(
    collector: WarningCollector,
    role: str,
    layer: str,
    name: str,
    value: Any,
    *,
    is_requested: bool = True,
    **options: Any,
) -> Iterator[NamedTensor]:
    """`name_tensor` of these arguments; nothing where `value` cannot be recorded.

    Of a tensor that is the same in all replicas, the first replica's. Inputs and targets in whole
    numbers are recorded as float32, exact up to 2**24: a label may name no class, and an id no row.
    Any other tensor that cannot hold NaN or Inf goes to the collector; bools and strings among the
    data only where the user `is_requested` them by name.
    """
    if options.get("mirrored") and current_replica():
        return
    try:
        if role in ("input", "target") and _is_integer(value):
            value = tf.cast(dense_values(value), tf.float32)
            # A sample weight stays one.
            if not options.get("variable", UNKNOWN_VARIABLE).attribute:
                options["variable"] = VariableFacts(attribute=INTEGER)
        yield name_tensor(role, layer, name, value, **options)
    except (TypeError, ValueError):  # ValueError: what is no tensor at all
        if not is_requested and _is_discrete(value):
            return
        dtype = getattr(value, "dtype", type(value).__name__)
        collector.add_skipped(name, str(getattr(dtype, "name", dtype)))


def _is_integer(value: Any) -> bool:
    """Whether `value` is a tensor or an array of integers."""
    dtype = _dtype(value)
    return hasattr(value, "dtype") and dtype is not None and bool(dtype.is_integer)


def _is_discrete(value: Any) -> bool:
    """Whether `value` is of integers, bools or strings."""
    dtype = _dtype(value)
    return dtype is not None and bool(dtype.is_integer or dtype.is_bool or dtype == tf.string)


def _dtype(value: Any) -> tf.DType | None:
    """The dtype of a tensor, an array or a number; None where TensorFlow knows none."""
    try:
        return tf.as_dtype(getattr(value, "dtype", type(value)))
    except TypeError:
        return None
