"""The rows of a record: unique names, and the results of several calls as one record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.record import Record, merge

Rows = tuple[tuple[TensorInfo, ...], Record]
"""A record, and the tensor of each of its rows."""


def with_unique_names(infos: Iterable[TensorInfo]) -> list[TensorInfo]:
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


def with_names_besides(
    infos: tuple[TensorInfo, ...], others: Sequence[Rows]
) -> tuple[TensorInfo, ...]:
    """The tensors of a further call for the same step, with names that no other row has."""
    taken = [info for others_infos, _ in others for info in others_infos]
    return tuple(with_unique_names([*taken, *infos])[len(taken) :])


def join(parts: Sequence[Rows]) -> Rows:
    """One record of all the parts' tensors, because one tag holds one event a step.

    There are several parts where a step is recorded in several calls, and where it was traced for
    different tensors. A tensor in two of them is merged.
    """
    if len(parts) == 1:
        return parts[0]
    rows: dict[TensorInfo, int] = {}
    for infos, _ in parts:
        for info in infos:
            rows.setdefault(info, len(rows))
    spread = [record.spread([rows[info] for info in infos], len(rows)) for infos, record in parts]
    record = merge(spread)
    return tuple(rows), Record(parts[0][1].window, record.columns, record.histograms)
