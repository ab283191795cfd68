"""`run`: one run's tensors, and what of it is not shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from werkzeug import wrappers

from tb_nanwatch.diagnosis.facts.step_order import step_order
from tb_nanwatch.http import params
from tb_nanwatch.http.respond import json_answer, step_or_null
from tb_nanwatch.http.upstream import upstream
from tb_nanwatch.http.verdicts import summary
from tb_nanwatch.reader import Reader, RunIndex


def serve(request: wrappers.Request, reader: Reader) -> wrappers.Response:
    return json_answer(request, content(params.run(request, reader)))


def content(index: RunIndex) -> dict[str, Any]:
    """What the route answers."""
    return {
        **summary(index),
        "problems": index.problems,
        "times": _times(index),
        "versions": index.model.versions,
        "tensors": _tensors(index),
    }


def _tensors(index: RunIndex) -> list[dict[str, Any]]:
    infos = [tensor.info for tensor in index.tensors]
    ranks = step_order(infos, index.model).execution_rank
    # Argsort twice: from the order to the place of each in it.
    places = np.argsort(np.argsort(ranks, kind="stable"), kind="stable").tolist()
    above = upstream(infos, [tensor.worker for tensor in index.tensors], index.model)
    return [
        {
            **describe(index, at),
            "flow": place,
            "inputs": [index.tensors[other].id for other in above[at]],
        }
        for at, place in enumerate(places)
    ]


def _times(index: RunIndex) -> dict[str, list[float]] | None:
    times = index.times
    if times is None:
        return None
    return {"steps": times.steps.tolist(), "seconds": times.seconds.tolist()}


def describe(index: RunIndex, position: int) -> dict[str, Any]:
    """One tensor, as `run` and `cell` describe it."""
    tensor = index.tensors[position]
    return {
        "id": tensor.id,
        "role": tensor.info.role,
        "layer": tensor.info.layer,
        "name": tensor.info.name,
        "shape": tensor.info.shape,
        "dtype": tensor.info.dtype,
        "worker": tensor.worker,
        "description": tensor.description,
        "first_nonfinite_step": step_or_null(index.nonfinite.first[position]),
        "last_nonfinite_step": step_or_null(index.nonfinite.last[position]),
        "nonfinite_steps": int(index.nonfinite.steps[position]),
    }
