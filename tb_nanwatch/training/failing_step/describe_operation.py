"""The operation at fault as facts to be recorded: its source, its operands, the batch rows."""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format import rerun
from tb_nanwatch.format.operation_kinds import SUMMING
from tb_nanwatch.training.failing_step.origin import Origin
from tb_nanwatch.training.protocols import TensorAccess

MAX_ELEMENTS = 4
"""Elements recorded of each operand."""

MAX_ROWS = 16
"""Rows of the batch that are recorded."""

_CONTEXT_LINES = 3
"""Source lines before and after."""


def describe_operation(origin: Origin, access: TensorAccess) -> rerun.Operation:
    """The origin as it is recorded."""
    operation = origin.operation
    places = np.argwhere(origin.nonfinite)[:MAX_ELEMENTS]
    shape = origin.nonfinite.shape
    sums = operation.type in SUMMING
    operands = [
        _operand(name, each, places, shape, access, sums=sums)
        for name, each in zip(access.input_names(operation), operation.inputs, strict=True)
        if access.is_array(each) and (access.is_float(each) or _is_alike(each, shape, sums))
    ]
    name = "result" if any(origin.result is each for each in operation.outputs) else "gradient"
    site = operation.call_site
    return rerun.Operation(
        type=operation.type,
        direction=origin.direction,
        layer=operation.layer,
        file="" if site is None else _shown_path(site.file),
        line=0 if site is None else site.line,
        function="" if site is None else site.function,
        source=() if site is None else tuple(_source_lines(site.file, site.line)),
        operands=tuple(operands),
        result=_operand(name, origin.result, places, shape, access),
        optimizer=operation.optimizer,
        columns=None if site is None else site.columns,
    )


def affected_rows(nonfinite: npt.NDArray[np.bool_], rows: int | None) -> tuple[int, ...]:
    """The first batch rows with a True element.

    Args:
      nonfinite: bool, of a tensor's shape.
      rows: rows of the batch; None where they are not known.

    Returns:
      At most `MAX_ROWS` indices; () where the tensor's first dimension is not the batch's.
    """
    if rows is None or not nonfinite.ndim or nonfinite.shape[0] != rows:
        return ()
    found = np.flatnonzero(nonfinite.reshape(rows, -1).any(axis=1))
    return tuple(found[:MAX_ROWS].tolist())


def _operand(
    name: str,
    tensor: Any,
    places: npt.NDArray[np.int64],
    shape: tuple[int, ...],
    access: TensorAccess,
    *,
    sums: bool = False,
) -> rerun.Operand:
    array = np.asarray(tensor)
    is_broadcast = array.ndim <= len(shape) and all(
        mine in (1, other) for mine, other in zip(array.shape[::-1], shape[::-1], strict=False)
    )
    if sums or not is_broadcast:
        elements = _largest(array) if access.is_float(tensor) else iter(())
    else:
        elements = _elements(array, places)
    return rerun.Operand(name, access.dtype_name(tensor), tuple(array.shape), tuple(elements))


def _is_alike(tensor: Any, shape: tuple[int, ...], sums: bool) -> bool:
    """Whether whole numbers are data of the operation, such as labels, and no axis or shape."""
    return not sums and tuple(np.shape(tensor)) == shape != ()


def _largest(array: npt.NDArray[Any]) -> Iterator[rerun.Element]:
    """The non-finite elements and, after them, those of the largest magnitude."""
    if not array.size:
        return
    kind = np.complex128 if np.iscomplexobj(array) else np.float64
    magnitude = np.abs(array.astype(kind)).reshape(-1)
    magnitude[np.isnan(magnitude)] = np.inf
    order = np.argsort(-magnitude, kind="stable")[:MAX_ELEMENTS]
    for place in order.tolist():
        index = tuple(int(each) for each in np.unravel_index(place, array.shape))
        yield rerun.Element(index, str(array[index]))


def _elements(array: npt.NDArray[Any], places: npt.NDArray[np.int64]) -> Iterator[rerun.Element]:
    """The elements that are combined with these places of a tensor that the array is broadcast
    to."""
    seen = set()
    for place in places.tolist():
        own = place[len(place) - array.ndim :]
        index = tuple(0 if size == 1 else at for at, size in zip(own, array.shape, strict=True))
        if index not in seen:
            seen.add(index)
            yield rerun.Element(index, str(array[index]))


def _source_lines(file: str, line: int) -> Iterator[rerun.SourceLine]:
    for number in range(max(1, line - _CONTEXT_LINES), line + _CONTEXT_LINES + 1):
        text = linecache.getline(file, number)
        if text:
            yield rerun.SourceLine(number, text.rstrip("\n"))


def _shown_path(file: str) -> str:
    """Relative to the working directory where the file lies below it."""
    here = os.path.join(os.getcwd(), "")
    return file[len(here) :] if file.startswith(here) else file
