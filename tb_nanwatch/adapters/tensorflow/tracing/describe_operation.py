"""An operation at fault in words and numbers: its source, its operands, the rows of the batch."""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.private_api import private
from tb_nanwatch.adapters.tensorflow.tracing.operations import Operation
from tb_nanwatch.adapters.tensorflow.tracing.origin import Origin
from tb_nanwatch.format import rerun

_ELEMENTS = 4
"""So many elements are told of each operand."""

_EXAMPLES = 16
"""So many rows of the batch are told."""

_AROUND = 3
"""Lines of source before and after."""


def told(origin: Origin) -> rerun.Operation:
    """The origin as it is recorded."""
    operation = origin.operation
    places = np.argwhere(origin.bad)[:_ELEMENTS]
    names = list(_input_names(operation))
    operands = [
        _operand(name, each, places, origin.bad.shape)
        for name, each in zip(names, operation.inputs, strict=True)
        if isinstance(each, tf.Tensor) and each.dtype != tf.resource
    ]
    is_own = any(origin.result is each for each in operation.outputs)
    label = "result" if is_own else "gradient"
    caller = operation.caller
    return rerun.Operation(
        type=operation.type,
        direction=origin.direction,
        layer=operation.layer,
        file="" if caller is None else _shown_path(caller.file),
        line=0 if caller is None else caller.line,
        function="" if caller is None else caller.function,
        source=() if caller is None else tuple(_source(caller.file, caller.line)),
        operands=tuple(operands),
        result=_operand(label, origin.result, places, origin.bad.shape),
        optimizer=operation.optimizer,
    )


def examples(bad: npt.NDArray[np.bool_], rows: int | None) -> tuple[int, ...]:
    """Rows of a batch of so many in which `bad` holds; () where its first dimension is another."""
    if rows is None or not bad.ndim or bad.shape[0] != rows or rows < 2:
        return ()
    found = np.flatnonzero(bad.reshape(rows, -1).any(axis=1))
    return tuple(found[:_EXAMPLES].tolist())


def _input_names(operation: Operation) -> Iterator[str]:
    registry = private("op_def_registry")
    definition = None if registry is None else registry.get(operation.type)
    listed = [] if definition is None else list(definition.input_arg)
    single = len(listed) == len(operation.inputs)
    for number in range(len(operation.inputs)):
        yield listed[number].name if single else f"input {number}"


def _operand(
    name: str, tensor: Any, places: npt.NDArray[np.int64], shape: tuple[int, ...]
) -> rerun.Operand:
    array = np.asarray(tensor)
    return rerun.Operand(
        name,
        tensor.dtype.name,
        tuple(array.shape),
        tuple(_elements(array, places, shape)),
    )


def _elements(
    array: npt.NDArray[Any], places: npt.NDArray[np.int64], shape: tuple[int, ...]
) -> Iterator[rerun.Element]:
    """What is combined with each place of a tensor of this shape, where one is to be named."""
    known = array.ndim <= len(shape) and all(
        mine in (1, other) for mine, other in zip(array.shape[::-1], shape[::-1], strict=False)
    )
    if not known:
        return
    seen = set()
    for place in places.tolist():
        own = place[len(place) - array.ndim :]
        index = tuple(0 if size == 1 else at for at, size in zip(own, array.shape, strict=True))
        if index not in seen:
            seen.add(index)
            yield rerun.Element(index, str(array[index]))


def _source(file: str, line: int) -> Iterator[rerun.SourceLine]:
    for number in range(max(1, line - _AROUND), line + _AROUND + 1):
        text = linecache.getline(file, number)
        if text:
            yield rerun.SourceLine(number, text.rstrip("\n"))


def _shown_path(file: str) -> str:
    """Relative to the working directory where the file lies below it."""
    here = os.path.join(os.getcwd(), "")
    return file[len(here) :] if file.startswith(here) else file
