"""What the tab asks of its server, answered in advance by the code of the routes.

The tab asks for any range of steps. A page has one grid of each statistic, over all steps, and
details of as many of its columns as fit: all of them for a small run, else those about which
there is something to say. `frontend/src/wire/embedded.ts` finds the answers again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from tensorboard.backend import json_util

from tb_nanwatch.diagnosis.compare import compare
from tb_nanwatch.diagnosis.text.report import finite
from tb_nanwatch.http import cell, grid, layers, run, spectrogram, verdicts
from tb_nanwatch.http.encoding import pack_grid
from tb_nanwatch.http.norms import Norms
from tb_nanwatch.http.viewport import Viewport
from tb_nanwatch.logdir.runs import DiagnosedRun
from tb_nanwatch.reader import RunIndex
from tb_nanwatch.stats.statistics import STATISTICS

GRID_CELLS = 150_000
"""Cells of each statistic, over all runs: some 20 bytes of the file each."""

SPECTROGRAM_COLUMNS = 40_000
"""Over all tensors of all runs."""

HISTOGRAMS = 200_000
"""Read for spectrograms, over all runs: some 100 microseconds each. Of a long run of a large model
not every tensor has one."""

DETAILS = 8_000
"""Cells with details, over all runs: each takes about a millisecond to make."""

_MOST_COLUMNS, _FEWEST_COLUMNS = 1024, 32
_MOST_SPECTROGRAM_COLUMNS = 128
_FEWEST_DETAILED = 4

COMPARED_RUNS = 6
"""Of more runs not every pair is compared."""

TOLERANCES = (0.01, 0.1, 0.5, 0.9)
"""Those that the tab offers."""


_logger = logging.getLogger("tensorboard.nanwatch")


class Answer(NamedTuple):
    """The body of an answer, and what identifies it: the route, and parameters."""

    key: tuple[str, ...]
    body: bytes


def answers(diagnosed: Sequence[DiagnosedRun], drawn: Callable[[], None]) -> Iterator[Answer]:
    """All of them; calls `drawn` after those of each run."""
    yield Answer(("runs",), _json({"runs": [_row(each) for each in diagnosed]}))
    for each in diagnosed:
        try:
            yield from _of_run(each, len(diagnosed))
        except Exception:
            # The others are there all the same; of this one the tab says that it lacks something.
            _logger.exception("NaNWatch could not write all of run %r into the page", each.name)
        drawn()
    if len(diagnosed) <= COMPARED_RUNS:
        yield from _comparisons(diagnosed)


def _row(diagnosed: DiagnosedRun) -> dict[str, Any]:
    index = diagnosed.index
    counts = {**verdicts.counts(index), "run": diagnosed.name, "last_written": None}
    return counts | verdicts.listed_verdict(diagnosed.to_json())


def _of_run(diagnosed: DiagnosedRun, runs: int) -> Iterator[Answer]:
    found, name = diagnosed.found, diagnosed.name
    index = replace(diagnosed.index, run=name)
    norms = Norms(found.reader)
    findings = diagnosed.to_json()
    yield Answer(("run", name), _json(run.content(index)))
    yield Answer(("findings", name), _json(findings))
    if not index.tensors or index.first_step is None:
        return
    table = layers.content(found.access, index, found.reader, norms, findings["findings"])
    yield Answer(("layers", name), _json(table))

    tensors = len(index.tensors) * runs

    def view(cells: int, most: int) -> Viewport:
        columns = min(most, max(_FEWEST_COLUMNS, cells // tensors))
        return Viewport(found.reader, found.access, index, columns)

    whole = view(GRID_CELLS, _MOST_COLUMNS)
    edges: list[int] = []
    for statistic in STATISTICS:
        header, channels = grid.content(whole, norms, statistic)
        yield Answer(("grid", name, statistic.name), pack_grid(header, channels))
        edges = header["edges"]
    narrow = view(SPECTROGRAM_COLUMNS, _MOST_SPECTROGRAM_COLUMNS)
    records = sum(len(each.first) for each in index.records)
    for position in _by_interest(index, findings)[: max(1, HISTOGRAMS // (records * runs))]:
        packed = pack_grid(*spectrogram.content(narrow, norms, position))
        yield Answer(("spectrogram", name, index.tensors[position].id), packed)
    most = max(_FEWEST_DETAILED, DETAILS // tensors)
    columns = [(edges[at], edges[at + 1] - 1) for at in _detailed(edges, findings, most)]
    details = {
        tensor.id: [
            cell.content(found.access, index, found.reader, norms, position, *steps)
            for steps in columns
        ]
        for position, tensor in enumerate(index.tensors)
    }
    yield Answer(("cells", name), _json({"columns": columns, "cells": details}))


def _by_interest(index: RunIndex, report: dict[str, Any]) -> list[int]:
    """The positions of all tensors, those that findings are about first."""
    places = [
        (place["role"], place["tensor"])
        for finding in report["findings"]
        for place in (finding["origin"], *finding["affected"])
    ]
    rank = {place: at for at, place in reversed(list(enumerate(places)))}
    infos = [tensor.info for tensor in index.tensors]
    ranks = [rank.get((info.role, info.name), len(places)) for info in infos]
    return sorted(range(len(infos)), key=ranks.__getitem__)


def _detailed(edges: Sequence[int], report: dict[str, Any], most: int) -> list[int]:
    """The columns that details are made of, ascending: about findings, at the ends, and between."""
    count = len(edges) - 1
    chosen: dict[int, None] = {}

    def choose(columns: Iterable[int]) -> None:
        for column in columns:
            if 0 <= column < count and len(chosen) < most:
                chosen.setdefault(column)

    for finding in report["findings"]:
        at = int(np.searchsorted(edges, finding["step"], "right")) - 1
        choose((at, at - 1, at + 1))
    choose((count - 1, 0))
    # Halves, quarters, and so on: whatever is chosen is spread over the run.
    parts = 2
    while len(chosen) < min(most, count):
        choose(round(count * part / parts) for part in range(1, parts))
        parts *= 2
    return sorted(chosen)


def _comparisons(diagnosed: Sequence[DiagnosedRun]) -> Iterator[Answer]:
    histories = {each.name: each.found.history() for each in diagnosed}
    for one, other in permutations(histories, 2):
        for tolerance in TOLERANCES:
            found = compare(histories[one], histories[other], tolerance=tolerance)
            content = {"runs": [one, other], **finite(found.to_json())}
            yield Answer(("compare", one, other, f"{tolerance:g}"), _json(content))


def _json(content: Any) -> bytes:
    """As the server sends it: numbers that are not finite as text."""
    return json.dumps(json_util.Cleanse(content), allow_nan=False).encode()
