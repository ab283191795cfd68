"""`spectrogram`: one tensor's exponent histogram and statistics over time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from werkzeug import wrappers

from tb_nanwatch.grid import spectrogram, statistic_cells, totals
from tb_nanwatch.http import params
from tb_nanwatch.http.norms import Norms
from tb_nanwatch.http.respond import Grid, grid_answer
from tb_nanwatch.http.viewport import Viewport
from tb_nanwatch.reader import Reader, Records
from tb_nanwatch.stats.statistics import STATISTICS

_TOTALS = ("sampled_elements", "zero", "subnormal")


def serve(request: wrappers.Request, reader: Reader, norms: Norms) -> wrappers.Response:
    params.check_viewport(request)
    index = params.run(request, reader)
    tensor = params.tensor(request, index)
    view = Viewport.asked(request, reader, index)
    return grid_answer(request, *content(view, norms, tensor))


def content(view: Viewport, norms: Norms, tensor: int) -> Grid:
    """What the route answers of the tensor at this position."""
    index = view.index
    records = _of_tensor(view.records(), tensor)
    histograms = list(view.histograms(tensor))
    edges = view.edges(records)
    found = spectrogram(histograms, edges)
    sums = totals(records, tensor, edges, _TOTALS)
    channels: dict[str, npt.NDArray[Any]] = {"counts": found.counts.astype(np.float32)}
    channels |= {name: sums[:, position] for position, name in enumerate(_TOTALS)}
    wanted = np.array([tensor])
    whole_run = norms.whole_run(view.access, index)
    for statistic in STATISTICS:
        value, flags = statistic_cells(statistic, records, wanted, edges, whole_run)
        channels[statistic.name], channels["flags"] = value[0], flags[0]
    header = {
        "run": index.run,
        "tensor": index.tensors[tensor].id,
        "first_exponent": found.first_exponent,
        "edges": edges.tolist(),
    }
    return header, channels


def _of_tensor(records: Iterable[Records], tensor: int) -> list[Records]:
    """The records with only the tensor's row, so that the other rows can be freed."""
    kept = []
    for chunk in records:
        own = np.flatnonzero(chunk.rows == tensor)
        if len(own):
            columns = chunk.columns[:, own].copy()
            kept.append(replace(chunk, rows=chunk.rows[own], columns=columns))
    return kept
