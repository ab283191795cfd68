"""`findings`: what is wrong with one run, as `nanwatch report --json` prints it."""

from __future__ import annotations

from werkzeug import wrappers

from tb_nanwatch.http import params
from tb_nanwatch.http.respond import json_answer
from tb_nanwatch.http.verdicts import Verdicts
from tb_nanwatch.reader import Reader


def serve(request: wrappers.Request, reader: Reader, verdicts: Verdicts) -> wrappers.Response:
    index = params.run(request, reader)
    return json_answer(request, verdicts.report(params.access(request), index))
