"""The rows of the heatmap: one per tensor while they fit, else larger parts of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.roles import FLOW
from tb_nanwatch.format.tensor_info import TensorInfo

MOST_ROWS = 120
"""As many as fit a page."""


@dataclass(frozen=True)
class Row:
    """One row of the heatmap.

    Attributes:
      role: of its tensors.
      label: what distinguishes it within its role; "" for a row of the whole role.
      tensors: their indices.
    """

    role: str
    label: str
    tensors: tuple[int, ...]


def rows(tensors: Sequence[TensorInfo], workers: Sequence[str]) -> list[Row]:
    """The rows, by role in the flow of data, then in model order.

    Up to MOST_ROWS of them, but one for each role at the least: as long as there are more, the role
    with the most rows is shown in larger units (tensors, layers, the modules around them);
    of equal ones the last in the flow, so that gradients stay fine the longest.
    """
    by_role: dict[str, list[int]] = {}
    for index, tensor in enumerate(tensors):
        by_role.setdefault(tensor.role, []).append(index)
    shown: dict[str, list[Row]] = {}
    coarser: dict[str, Iterator[list[Row]]] = {}
    for role, indices in by_role.items():
        coarser[role] = _ever_coarser(role, indices, tensors, workers)
        shown[role] = next(coarser[role])
    while sum(map(len, shown.values())) > MOST_ROWS:
        widest = max(coarser, key=lambda role: (len(shown[role]), _flow(role)), default=None)
        if widest is None:
            break
        found = next(coarser[widest], None)
        if found is None:
            del coarser[widest]
        else:
            shown[widest] = found
    return [row for role in sorted(shown, key=_flow) for row in shown[role]]


def _flow(role: str) -> tuple[int, str]:
    return FLOW.get(role, len(FLOW)), role


def _ever_coarser(
    role: str, indices: Sequence[int], tensors: Sequence[TensorInfo], workers: Sequence[str]
) -> Iterator[list[Row]]:
    """The rows of a role: a tensor each, a layer each, ever larger modules, all in one."""

    def layer(index: int) -> str:
        return tensors[index].layer or tensors[index].name

    def grouped(label: Callable[[int], str]) -> list[Row]:
        groups: dict[str, list[int]] = {}
        for index in indices:
            groups.setdefault(label(index), []).append(index)
        return [Row(role, text, tuple(members)) for text, members in groups.items()]

    yield [
        Row(role, tensors[i].name + (f" ({workers[i]})" if workers[i] else ""), (i,))
        for i in indices
    ]
    yield grouped(layer)
    for depth in range(max(layer(index).count("/") for index in indices), 0, -1):
        yield grouped(lambda index, depth=depth: "/".join(layer(index).split("/")[:depth]))  # type: ignore[misc]
    yield grouped(lambda index: "")


def pooled(
    found: Iterable[Row], value: npt.NDArray[np.float32], flags: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """The cells of each row from those of the tensors: the worst of what it covers.

    Args:
      found: the rows.
      value: float32 [tensors, columns], NaN where nothing was recorded.
      flags: uint8 [tensors, columns].

    Returns:
      The same with rows in place of tensors.
    """
    members = [list(row.tensors) for row in found]
    return (
        np.stack([np.fmax.reduce(value[each], axis=0) for each in members]),
        np.stack([np.bitwise_or.reduce(flags[each], axis=0) for each in members]),
    )
