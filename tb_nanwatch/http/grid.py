"""`grid`: the heatmap's cells."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import numpy.typing as npt
from werkzeug import wrappers

from tb_nanwatch.grid import cells, lowest_loss_scale
from tb_nanwatch.http import params
from tb_nanwatch.http.respond import respond
from tb_nanwatch.http.viewport import Viewport
from tb_nanwatch.reader import Reader
from tb_nanwatch.wire.grid import pack_grid


def serve(request: wrappers.Request, reader: Reader) -> wrappers.Response:
    statistic = params.statistic(request)
    roles = params.roles(request)
    params.check_viewport(request)
    index = params.run(request, reader)
    view = Viewport(request, reader, index)
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
    value, flags = cells(records, tensors, edges, statistic.name)
    channels: dict[str, npt.NDArray[Any]] = {"value": value, "flags": flags}
    scale = lowest_loss_scale(records, edges)
    if scale is not None:
        channels["loss_scale"] = scale
    body = pack_grid(
        {
            "run": index.run,
            "statistic": statistic.name,
            "scale": statistic.scale,
            "rows": [index.tensors[position].id for position in tensors],
            "edges": edges.tolist(),
        },
        channels,
    )
    # Cells repeat a lot: level 1 makes them several times smaller for a tunnel, in a few ms.
    # Respond unpacks again for a client that takes no gzip.
    return respond(
        request,
        gzip.compress(body, compresslevel=1, mtime=0),
        "application/octet-stream",
        content_encoding="gzip",
    )
