"""What users hand over, as named tensors: mappings, pairs, slices, nested structures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.replicas import current_label, current_replica
from tb_nanwatch.adapters.tensorflow.statistics import kernels
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.training.warnings import warn

VARIABLES = frozenset({"weight", "slot", "update"})
"""Roles of variables and what is made of them: replicas that are mirrored hold the same."""


class VariableFacts(NamedTuple):
    """What is known of a variable; the attributes are those of `TensorInfo`."""

    trainable: bool | None = None
    is_statistic: bool = False
    attribute: str = ""


UNKNOWN_VARIABLE = VariableFacts()


class NamedTensor(NamedTuple):
    """A tensor to watch, and what the manifest says of it."""

    info: TensorInfo
    tensor: tf.Tensor


def dense(value: Any) -> tf.Tensor:
    """The tensor of `value` whose elements are watched.

    Of `tf.IndexedSlices`, sparse and ragged tensors that is the values they hold: what is not
    there is neither zero nor counted. Raises TypeError for a dtype without NaN and infinities.
    """
    if isinstance(value, tf.RaggedTensor):
        value = value.flat_values
    elif isinstance(value, (tf.IndexedSlices, tf.SparseTensor)):
        value = value.values
    tensor = tf.convert_to_tensor(value)
    kernels.dtype_format(tensor.dtype)
    return tensor


def variable_path(variable: Any) -> str:
    """The path of a Keras or TensorFlow variable, such as "dense/kernel"."""
    path = getattr(variable, "path", None) or getattr(variable, "name", "")
    return str(path).removesuffix(":0")


def parent(path: str) -> str:
    """The path up to the last component: of a variable its layer; "" where there is none."""
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
) -> NamedTensor:
    """Names one tensor.

    `batch` says that its first dimension changes from step to step, `mirrored` that it is the same
    in every replica, `variable` what is known of the variable that it is, or is the gradient of.
    """
    tensor = dense(value)
    dims = tensor.shape if shape is None else tf.TensorShape(shape)
    if dims.rank is None:
        listed = None
    else:
        listed = tuple(-1 if size is None else int(size) for size in dims)
        if batch and listed:
            listed = (-1, *listed[1:])
    replica = "" if mirrored else current_label()
    info = TensorInfo(role, layer, name, listed, tensor.dtype.name, replica, *variable)
    return NamedTensor(info, tensor)


def tell_apart(infos: Iterable[TensorInfo]) -> list[TensorInfo]:
    """The tensors with names unique within their role and replica: the second "a" becomes "a#2"."""
    seen: set[tuple[str, str, str]] = set()
    unique = []
    for info in infos:
        name, number = info.name, 1
        while (info.role, name, info.replica) in seen:
            number += 1
            name = f"{info.name}#{number}"
        seen.add((info.role, name, info.replica))
        unique.append(replace(info, name=name))
    return unique


def with_unique_names(tensors: Iterable[NamedTensor]) -> list[NamedTensor]:
    """The tensors, as `tell_apart` names them."""
    tensors = list(tensors)
    infos = tell_apart(info for info, _ in tensors)
    return [NamedTensor(info, each.tensor) for info, each in zip(infos, tensors, strict=True)]


def is_variable(value: Any) -> bool:
    """Whether `value` is a variable, TensorFlow's or Keras's."""
    return hasattr(value, "assign") and hasattr(value, "shape")


def listed(data: Any) -> Any:
    """A list of what an iterator, such as zip, gives; anything else as it is."""
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


def _is_discrete(value: Any) -> bool:
    """Whether `value` is of integers, bools or strings."""
    try:
        dtype = tf.as_dtype(getattr(value, "dtype", type(value)))
    except TypeError:
        return False
    return bool(dtype.is_integer or dtype.is_bool or dtype == tf.string)


class Unwatched:
    """Names what can be watched, and collects the rest for one warning about all of it.

    Of each tensor and role once.
    """

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._missing: dict[str, str] = {}
        self._notes: dict[str, None] = {}
        self._told: set[str] = set()

    def watchable(
        self, role: str, layer: str, name: str, value: Any, *, asked: bool = True, **options: Any
    ) -> Iterator[NamedTensor]:
        """`name_tensor` of these arguments; nothing where `value` cannot be watched.

        Of what all replicas hold alike, the first one's. Labels and ids that nobody `asked` for by
        name are left out without a word: there is nothing to watch in them.
        """
        if options.get("mirrored") and current_replica():
            return
        try:
            yield name_tensor(role, layer, name, value, **options)
        except (TypeError, ValueError):  # ValueError: what is no tensor at all
            if not asked and _is_discrete(value):
                return
            dtype = getattr(value, "dtype", type(value).__name__)
            entry = f"{name} ({getattr(dtype, 'name', dtype)})"
            if entry not in self._told:
                self._names[entry] = None

    def missing(self, role: str, where: str) -> None:
        """Takes note that a step showed nothing of a role, and where it would be seen."""
        if role not in self._told:
            self._missing[role] = where

    def note(self, message: str) -> None:
        """Takes note of anything else that a step does not show: a sentence."""
        if message not in self._told:
            self._notes[message] = None

    def tell(self) -> None:
        """Warns of what was found since the last time."""
        for message in self._notes:
            warn(message)
        self._told |= set(self._notes)
        self._notes.clear()
        if self._names:
            self._told |= set(self._names)
            warn(
                "not recorded, as their type holds neither NaN nor infinity: "
                f"{', '.join(self._names)}."
            )
            self._names.clear()
        if self._missing:
            self._told |= set(self._missing)
            warn(
                f"this train_step shows no {' and no '.join(self._missing)}, so none is recorded. "
                f"{'; '.join(f'A {role} is seen {w}' for role, w in self._missing.items())}. "
                "Not within a tf.function, a loop or a branch of its own."
            )
            self._missing.clear()
