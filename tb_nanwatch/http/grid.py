"""`grid`: the heatmap's cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from werkzeug import wrappers

from tb_nanwatch.grid import lowest_loss_scale, statistic_cells
from tb_nanwatch.http import params
from tb_nanwatch.http.norms import Norms
from tb_nanwatch.http.respond import Grid, grid_answer
from tb_nanwatch.http.viewport import Viewport
from tb_nanwatch.reader import Reader
from tb_nanwatch.stats.statistics import Statistic


def serve(request: wrappers.Request, reader: Reader, norms: Norms) -> wrappers.Response:
    statistic = params.statistic(request)
    roles = params.roles(request)
    params.check_viewport(request)
    index = params.run(request, reader)
    view = Viewport.asked(request, reader, index)
    return grid_answer(request, *content(view, norms, statistic, roles))


def content(
    view: Viewport, norms: Norms, statistic: Statistic, roles: frozenset[str] | None = None
) -> Grid:
    """What the route answers, of tensors of these roles; None for all."""
    index = view.index
    tensors = np.array(
        [
            position
            for position, tensor in enumerate(index.tensors)
            if roles is None or tensor.info.role in roles
        ],
        np.int64,
    )
    records = list(view.records())
    edges = view.edges(records)
    whole_run = norms.whole_run(view.access, index)
    value, flags = statistic_cells(statistic, records, tensors, edges, whole_run)
    channels: dict[str, npt.NDArray[Any]] = {"value": value, "flags": flags}
    scale = lowest_loss_scale(records, edges)
    if scale is not None:
        channels["loss_scale"] = scale
    header = {
        "run": index.run,
        "statistic": statistic.name,
        "scale": statistic.scale,
        "rows": [index.tensors[position].id for position in tensors],
        "edges": edges.tolist(),
    }
    return header, channels
