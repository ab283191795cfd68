"""`layers`: one line a layer, for the table of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from werkzeug import wrappers

from tb_nanwatch.grid import LayerSummary, column_edges, layer_summaries
from tb_nanwatch.http import params
from tb_nanwatch.http.norms import Norms
from tb_nanwatch.http.respond import json_answer, number_or_null
from tb_nanwatch.http.verdicts import Answers, Verdicts
from tb_nanwatch.reader import Access, Reader, RunIndex

_COLUMNS = 48
"""Of the gradient RMS: more do not fit into a line of a table."""

_DIGITS = 4
"""Significant digits of the gradient RMS."""


def serve(
    request: wrappers.Request, reader: Reader, norms: Norms, verdicts: Verdicts, answers: Answers
) -> wrappers.Response:
    access = params.access(request)
    index = params.run(request, reader)
    key = "layers", access.experiment, index.run

    def compute() -> dict[str, Any]:
        findings = verdicts.report(access, index)["findings"]
        return content(access, index, reader, norms, findings)

    return json_answer(request, answers.get_or_compute(key, index, compute))


def content(
    access: Access,
    index: RunIndex,
    reader: Reader,
    norms: Norms,
    findings: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What the route answers, by the run's findings in JSON."""
    first, last = index.first_step, index.last_step
    if first is None or last is None:
        return {"run": index.run, "edges": [], "layers": []}
    edges = column_edges(first, last, _COLUMNS)
    summaries = layer_summaries(
        [tensor.info for tensor in index.tensors],
        index.model,
        reader.records(access, index, first, last, merged=True),
        norms.of(access, index),
        norms.whole_run(access, index).pairs,
        edges,
    )
    return {
        "run": index.run,
        "edges": edges.tolist(),
        "layers": [_layer(each, index, findings) for each in summaries],
    }


def _layer(
    summary: LayerSummary, index: RunIndex, findings: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    parameters = number_or_null(summary.parameters)
    return {
        "path": summary.path,
        "class_name": summary.class_name,
        "tensors": [index.tensors[at].id for at in summary.tensors],
        "parameters": None if parameters is None else int(parameters),
        "gradient_rms": [_rounded(value) for value in summary.gradient_rms.tolist()],
        "ratio": number_or_null(summary.ratio),
        "ratio_role": summary.ratio_role,
        "zero_share": number_or_null(summary.zero_share),
        "zero_role": summary.zero_role,
        "headroom": number_or_null(summary.headroom),
        "first_trouble": _first_trouble(summary, index, findings),
    }


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else float(f"{value:.{_DIGITS}g}")


def _first_trouble(
    summary: LayerSummary, index: RunIndex, findings: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The earliest of its first NaN or Inf and of the findings that began in it."""
    troubles: list[tuple[int, str]] = []
    nonfinite = np.fmin.reduce(index.nonfinite.first[list(summary.tensors)])
    if not np.isnan(nonfinite):
        troubles.append((int(nonfinite), "nonfinite"))
    for finding in findings:
        if finding["severity"] != "info" and finding["origin"]["layer"] == summary.path:
            troubles.append((finding["step"], finding["cause"]))
    if not troubles:
        return None
    # At the same step a NaN or Inf says more than the cause of which it is the effect.
    step, cause = min(troubles, key=lambda each: (each[0], each[1] != "nonfinite"))
    return {"step": step, "cause": cause}
