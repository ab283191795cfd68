"""A diagnosis of a large recording takes no longer than a person waits."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tb_nanwatch.diagnosis import diagnose
from tb_nanwatch.format.history import History, Series
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN, COLUMNS, WINDOW_FIELD, WINDOW_FIELDS

LAYERS, RECORDS, BLOCK = 75, 3000, 64


def large() -> History:
    """300 tensors, 3,000 records, in blocks as the reader gives them."""
    roles = {
        "activation": "",
        "activation_gradient": "",
        "gradient": "/kernel",
        "weight": "/kernel",
    }
    infos = [
        TensorInfo(role, f"layer_{number}", f"layer_{number}{end}", (8, 8), "float32")
        for role, end in roles.items()
        for number in range(LAYERS)
    ]
    columns = np.moveaxis(np.zeros((len(COLUMNS), RECORDS, len(infos))), 0, -1)
    row = {"steps": 1, "elements": 64, "sampled_elements": 64, "sampled_finite": 64, "min": -1}
    row |= {"sampled_steps": 1, "largest_norm": 3, "max": 1}
    row |= {"first_nonfinite_step": np.nan, "last_nonfinite_step": np.nan}
    for name, value in row.items():
        columns[..., COLUMN[name]] = value
    windows = np.zeros((RECORDS, len(WINDOW_FIELDS)))
    for name in ("first_step", "last_step"):
        windows[:, WINDOW_FIELD[name]] = np.arange(RECORDS)
    windows[:, WINDOW_FIELD["loss_scale"]] = np.nan
    series = [
        Series(np.arange(len(infos)), windows[at : at + BLOCK], columns[at : at + BLOCK])
        for at in range(0, RECORDS, BLOCK)
    ]
    return History(tuple(infos), ("",) * len(infos), series, [], True)


def spoil(history: History, every: int) -> None:
    """NaN in all but the weights, at every so many steps."""
    for series in history.series:
        steps = series.windows[:, WINDOW_FIELD["first_step"]]
        bad = np.flatnonzero(steps % every == 0)
        rows = np.arange(3 * LAYERS)
        for name, value in {"nan": 1, "nonfinite_steps": 1}.items():
            series.columns[np.ix_(bad, rows, [COLUMN[name]])] = value
        for name in ("first_nonfinite_step", "last_nonfinite_step"):
            series.columns[np.ix_(bad, rows, [COLUMN[name]])] = steps[bad][:, None, None]


@pytest.mark.parametrize(
    ("every", "findings"),
    [(0, 0), (1, 1), (2, 1)],
    ids=["healthy", "non-finite for good", "non-finite at every other step"],
)
def test_a_large_recording_is_diagnosed_at_once(every: int, findings: int) -> None:
    recorded = large()
    if every:
        spoil(recorded, every)
    begin = time.process_time()
    found = diagnose(recorded)
    assert time.process_time() - begin < 2
    assert len(found) == findings
    if findings:
        assert (found[0].cause, found[0].step, found[0].origin.layer) == (
            "layer-forward",
            0,
            "layer_0",
        )
        assert found[0].last_step == RECORDS - every
