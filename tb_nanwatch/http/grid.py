"""`grid`: the heatmap's cells."""

from __future__ import annotations

import gzip

import numpy as np
from werkzeug import wrappers

from tb_nanwatch.grid import aligned_edges, cells, column_edges
from tb_nanwatch.http import params
from tb_nanwatch.http.respond import respond
from tb_nanwatch.reader import Reader, Records
from tb_nanwatch.wire.grid import pack_grid


def serve(request: wrappers.Request, reader: Reader) -> wrappers.Response:
    statistic = params.statistic(request)
    roles = params.roles(request)
    columns = params.columns(request)
    params.steps(request, (None, None))
    index = params.run(request, reader)
    first, last = params.steps(request, (index.first_step, index.last_step))
    tensors = np.array(
        [
            position
            for position, tensor in enumerate(index.tensors)
            if roles is None or tensor.info.role in roles
        ],
        np.int64,
    )
    edges, records = np.zeros(1, np.int64), list[Records]()
    if first is not None and last is not None:  # None where the run has no record.
        level = reader.level(index, first, last)
        records = list(reader.records(params.access(request), index, first, last, level))
        edges = column_edges(first, last, columns)
        if level:
            edges = aligned_edges(edges, records)
    value, flags = cells(records, tensors, edges, statistic.name)
    body = pack_grid(
        {
            "run": index.run,
            "statistic": statistic.name,
            "scale": statistic.scale,
            "rows": [index.tensors[position].id for position in tensors],
            "edges": edges.tolist(),
        },
        {"value": value, "flags": flags},
    )
    # Cells repeat a lot: level 1 makes them several times smaller for a tunnel, in a few ms.
    # Respond unpacks again for a client that takes no gzip.
    return respond(
        request,
        gzip.compress(body, compresslevel=1, mtime=0),
        "application/octet-stream",
        content_encoding="gzip",
    )
