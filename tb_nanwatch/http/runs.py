"""`runs`: every run with NaNWatch data."""

from __future__ import annotations

from typing import Any

import numpy as np
from werkzeug import wrappers

from tb_nanwatch.http import params
from tb_nanwatch.http.respond import json_answer
from tb_nanwatch.reader import Reader, RunIndex


def serve(request: wrappers.Request, reader: Reader) -> wrappers.Response:
    runs = [
        {
            **summary(index),
            "tensors": len(index.tensors),
            "nonfinite_tensors": int(np.count_nonzero(~np.isnan(index.nonfinite.first))),
            "scale_skipped_steps": index.scale_skipped_steps,
        }
        for index in reader.runs(params.access(request))
    ]
    return json_answer(request, {"runs": runs})


def summary(index: RunIndex) -> dict[str, Any]:
    """What `runs` and `run` both say of a run."""
    return {
        "run": index.run,
        "first_step": index.first_step,
        "last_step": index.last_step,
        "records": {"written": index.written, "read": index.read},
    }
