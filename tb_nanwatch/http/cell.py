"""`cell`: one tensor over a range of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from werkzeug import wrappers

from tb_nanwatch.grid import instability_cells, norms_within, ratio_cells
from tb_nanwatch.http import params
from tb_nanwatch.http.norms import Norms
from tb_nanwatch.http.respond import json_answer, number_or_null, step_or_null
from tb_nanwatch.http.run import describe
from tb_nanwatch.reader import Access, Reader, RunIndex
from tb_nanwatch.stats.columns import COLUMNS, WINDOW_FIELD
from tb_nanwatch.stats.derived import largest_magnitude, mean, rms, statistic
from tb_nanwatch.stats.headroom import headroom
from tb_nanwatch.stats.histogram import Histograms, total_histogram
from tb_nanwatch.stats.record import Matrix, merge_columns
from tb_nanwatch.stats.statistics import (
    COLUMN_STATISTICS,
    HEADROOM,
    INSTABILITY,
    UPDATE_RATIO,
)


def serve(request: wrappers.Request, reader: Reader, norms: Norms) -> wrappers.Response:
    access = params.access(request)
    first, last = params.steps(request)
    index = params.run(request, reader)
    tensor = params.tensor(request, index)
    return json_answer(request, content(access, index, reader, norms, tensor, first, last))


def content(
    access: Access,
    index: RunIndex,
    reader: Reader,
    norms: Norms,
    tensor: int,
    first: int,
    last: int,
) -> dict[str, Any]:
    """What the route answers of the tensor at this position, over a closed range of steps."""
    rows: list[Matrix] = []
    windows: list[Matrix] = []
    count = 0
    for records in reader.records(access, index, first, last, merged=True):
        for row in np.flatnonzero(records.rows == tensor):
            of_tensor = records.columns[:, row]
            # A stream's record may be without the tensor.
            rows.extend(of_tensor)
            windows.extend(records.windows)
            count += len(of_tensor) * records.windows_merged
    found = reader.histograms(access, index, tensor, first, last)
    histograms = [each.histograms for each in found]
    merged = _merged(np.array(windows), np.array(rows), histograms)
    if merged["statistics"] is not None:
        history, run = norms.of(access, index), norms.whole_run(access, index)
        cell = np.array([tensor]), np.array([first, last + 1])
        magnitude = statistic("largest_magnitude", merge_columns(rows))
        merged["statistics"] |= {
            INSTABILITY.name: number_or_null(float(instability_cells(history, *cell)[0, 0])),
            HEADROOM.name: number_or_null(float(-headroom(magnitude, run.log_largest[tensor]))),
            UPDATE_RATIO.name: number_or_null(float(ratio_cells(history, run.pairs, *cell)[0, 0])),
        }
        merged["usual_norm"] = number_or_null(float(10.0 ** history.levels[tensor]))
        known = norms_within(history, tensor, first, last)
        known = known[np.isfinite(known)]
        if len(known):
            merged["smallest_norm"] = float(known.min())
            merged["median_norm"] = float(np.median(known))
    return {
        "run": index.run,
        "tensor": describe(index, tensor),
        "records": count,
        **merged,
    }


def _merged(windows: Matrix, rows: Matrix, histograms: list[Histograms]) -> dict[str, Any]:
    """The members that describe the records; null where there is none."""
    if not len(rows):
        names = (
            "first_step",
            "last_step",
            "columns",
            "statistics",
            "mean",
            "rms",
            "largest_magnitude",
            "usual_norm",
            "smallest_norm",
            "median_norm",
            "sampled_step",
            "histogram",
        )
        return dict.fromkeys(names)
    merged = merge_columns(rows)
    sampled = np.fmax.reduce(windows[:, WINDOW_FIELD["sampled_step"]])
    return {
        "first_step": int(windows[:, WINDOW_FIELD["first_step"]].min()),
        "last_step": int(windows[:, WINDOW_FIELD["last_step"]].max()),
        "columns": {
            column.name: _column(column.unit, column.empty, merged[position])
            for position, column in enumerate(COLUMNS)
        },
        "statistics": {
            s.name: number_or_null(float(statistic(s.name, merged))) for s in COLUMN_STATISTICS
        },
        "mean": number_or_null(float(mean(merged))),
        "rms": number_or_null(float(rms(merged))),
        "largest_magnitude": number_or_null(float(largest_magnitude(merged))),
        **dict.fromkeys(("usual_norm", "smallest_norm", "median_norm")),
        "sampled_step": step_or_null(float(sampled)),
        "histogram": _bins(histograms),
    }


def _column(unit: str, empty: float, value: float) -> float | int | None:
    """A count or a step as an integer; a column that is empty as NaN as null where it is NaN."""
    if np.isnan(empty) and np.isnan(value):
        return None
    if unit in ("step", "steps", "elements") and np.isfinite(value):
        return int(value)
    return float(value)


def _bins(histograms: list[Histograms]) -> list[tuple[int, int, int]] | None:
    """[sign, exponent, count] of each bin, negative ones first, or None without a histogram."""
    if not histograms:
        return None
    codes, counts = total_histogram(histograms)
    bins = [
        (-1 if code & 1 else 1, int(code) >> 1, int(count))
        for code, count in zip(codes, counts, strict=True)
    ]
    return sorted(bins, key=lambda entry: entry[:2])
