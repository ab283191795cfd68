"""The HTTP interface of the tab (`http_api.md`): one route a module.

- `params`: parameters of a request, and what is wrong with them.
- `respond`: answers and errors in one shape.
- `viewport`: the steps in sight, what is read of them, and their columns.
- `verdicts`: the one diagnosis of each run, made in the background.
- `norms`: the norms of each run, made once.
- `upstream`: which tensors each tensor is computed from.
- `encoding`: cells as bytes.
- `index_js`, `runs`, `run`, `findings`, `layers`, `compare`, `grid`, `cell`, `spectrogram`: the
  routes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorboard.data.provider import DataProvider

from tb_nanwatch.http import (
    cell,
    compare,
    findings,
    grid,
    index_js,
    layers,
    run,
    runs,
    spectrogram,
)
from tb_nanwatch.http.norms import Norms
from tb_nanwatch.http.respond import application
from tb_nanwatch.http.verdicts import Verdicts, answer_cache
from tb_nanwatch.reader import Reader


def apps(provider: DataProvider) -> dict[str, Callable[..., Any]]:
    """Each route's path with its WSGI application."""
    reader = Reader(provider)
    answers = answer_cache()
    norms = Norms(reader)
    verdicts = Verdicts(reader, answers)
    return {
        "/index.js": application(index_js.serve),
        "/runs": application(lambda request: runs.serve(request, verdicts)),
        "/run": application(lambda request: run.serve(request, reader)),
        "/findings": application(lambda request: findings.serve(request, reader, verdicts)),
        "/layers": application(
            lambda request: layers.serve(request, reader, norms, verdicts, answers)
        ),
        "/compare": application(lambda request: compare.serve(request, reader, answers)),
        "/grid": application(lambda request: grid.serve(request, reader, norms)),
        "/cell": application(lambda request: cell.serve(request, reader, norms)),
        "/spectrogram": application(lambda request: spectrogram.serve(request, reader, norms)),
    }
