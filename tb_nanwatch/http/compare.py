"""`compare`: where two runs diverge, as `nanwatch report --compare --json` prints it."""

from __future__ import annotations

from typing import Any

from werkzeug import wrappers

from tb_nanwatch.diagnosis.compare import compare
from tb_nanwatch.diagnosis.text.report import finite
from tb_nanwatch.http import params
from tb_nanwatch.http.respond import json_answer
from tb_nanwatch.http.verdicts import Answers
from tb_nanwatch.reader import Access, Reader, RunIndex

DEFAULT_TOLERANCE = 0.01


def serve(request: wrappers.Request, reader: Reader, answers: Answers) -> wrappers.Response:
    access = params.access(request)
    tolerance = params.share(request, "tolerance", DEFAULT_TOLERANCE)
    run, other = (params.run(request, reader, name) for name in ("run", "with"))
    key = "compare", access.experiment, run.run, other.run, tolerance
    return json_answer(
        request,
        answers.get_or_compute(
            key, (run, other), lambda: _answer(reader, access, (run, other), tolerance)
        ),
    )


def _answer(
    reader: Reader, access: Access, indexes: tuple[RunIndex, RunIndex], tolerance: float
) -> dict[str, Any]:
    left, right = (reader.history(access, index) for index in indexes)
    comparison = compare(left, right, tolerance=tolerance)
    answer: dict[str, Any] = finite(comparison.to_json())
    return {"runs": [index.run for index in indexes], **answer}
