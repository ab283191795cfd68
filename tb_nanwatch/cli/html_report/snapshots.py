"""How a finding's tensor looked just before it, and then."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tb_nanwatch.cli.html_report.histograms import Snapshot
from tb_nanwatch.cli.runs import FoundRun
from tb_nanwatch.diagnosis import Finding
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.histogram import total_histogram

_COUNTS = ("nan", "pos_inf", "neg_inf", "zero", "subnormal")

Window = tuple[int, int]
"""First and last step of a record."""


def tensor_of(run: FoundRun, finding: Finding) -> int | None:
    """Index in the run's tensors of a finding's origin; None where it is none of them."""
    origin = finding.origin
    for position, tensor in enumerate(run.index.tensors):
        if (tensor.info.role, tensor.info.name, tensor.worker) == (
            origin.role,
            origin.tensor,
            origin.worker,
        ):
            return position
    return None


def snapshots(run: FoundRun, finding: Finding) -> list[Snapshot]:
    """The tensor in the record before the finding and in its first one.

    Of a finding without a non-finite value: in its first record and in its last. Fewer where there
    are no such records, or none with a histogram.
    """
    tensor = tensor_of(run, finding)
    if tensor is None:
        return []
    windows = _windows(run, tensor)
    at = [n for n, (first, last) in enumerate(windows) if first <= finding.step <= last]
    if not at:
        return []
    chosen = [at[0] - 1, at[0]]
    if finding.severity != "error":
        until = [n for n, (first, _) in enumerate(windows) if first <= finding.last_step]
        chosen = [at[0], until[-1]]
    return [
        snapshot
        for n in dict.fromkeys(chosen)
        if n >= 0
        for snapshot in _snapshot(run, tensor, windows[n])
    ]


def _windows(run: FoundRun, tensor: int) -> list[Window]:
    """First and last step of each of the tensor's records, ascending."""
    return sorted(
        (int(first), int(last))
        for records in run.index.records
        if tensor in records.tensors
        for first, last in zip(records.first, records.last, strict=True)
    )


def _snapshot(run: FoundRun, tensor: int, window: Window) -> Iterator[Snapshot]:
    first, last = window
    found = [
        each.take(each.first == first).histograms
        for each in run.reader.histograms(run.access, run.index, tensor, first, last)
        if first in each.first
    ]
    for records in run.reader.records(run.access, run.index, first, last):
        rows = np.flatnonzero(records.rows == tensor)
        at = np.flatnonzero((records.first == first) & (records.last == last))
        if found and len(rows) and len(at):
            columns = records.columns[at[0], rows[0]]
            sampled = records.windows[at[0], WINDOW_FIELD["sampled_step"]]
            codes, counts = total_histogram(found)
            yield Snapshot(
                _caption(first, last, sampled),
                [
                    (-1 if code & 1 else 1, code >> 1, count)
                    for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
                ],
                {name: int(columns[COLUMN[name]]) for name in _COUNTS},
            )
            return


def _caption(first: int, last: int, sampled: float) -> str:
    if first == last:
        return f"Step {first:,}"
    of = "" if np.isnan(sampled) else f", magnitudes of step {int(sampled):,}"
    return f"Steps {first:,} to {last:,}{of}"
