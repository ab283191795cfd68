"""`runs`: every run with NaNWatch data."""

from __future__ import annotations

from werkzeug import wrappers

from tb_nanwatch.http import params
from tb_nanwatch.http.respond import json_answer
from tb_nanwatch.http.verdicts import Verdicts


def serve(request: wrappers.Request, verdicts: Verdicts) -> wrappers.Response:
    return json_answer(request, {"runs": verdicts.runs(params.access(request))})
