"""`findings`: what is wrong with one run; the same as in `nanwatch report --json`."""

from __future__ import annotations

from typing import Any

from werkzeug import wrappers

from tb_nanwatch.diagnosis import run_report, verdict
from tb_nanwatch.http import params
from tb_nanwatch.http.memo import Memo
from tb_nanwatch.http.respond import json_answer
from tb_nanwatch.reader import Access, Reader, RunIndex


def serve(request: wrappers.Request, reader: Reader, memo: Memo) -> wrappers.Response:
    index = params.run(request, reader)
    access = params.access(request)
    key = "findings", access.experiment, index.run
    return json_answer(request, memo.of(key, (index,), lambda: _answer(reader, access, index)))


def _answer(reader: Reader, access: Access, index: RunIndex) -> dict[str, Any]:
    """The run's element of `runs` in `nanwatch report --json`."""
    return run_report(
        index.run,
        verdict(reader.history(access, index)),
        first_step=index.first_step,
        last_step=index.last_step,
        written=index.written,
        read=index.read,
        problems=index.problems,
    )
