"""The findings as annotations of GitHub Actions: workflow commands, one a line.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tb_nanwatch.diagnosis import Finding, Severity, advice, explanation, fix_code, headline
from tb_nanwatch.logdir.runs import DiagnosedRun
from tb_nanwatch.printable import visible

_COMMAND: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "notice"}


def annotation_lines(diagnosed: Sequence[DiagnosedRun]) -> Iterator[str]:
    """A line for each finding, at its source line where that is known."""
    for run in diagnosed:
        for problem in run.index.problems:
            yield _line("notice", {"title": f"NaNWatch: {run.name}"}, problem)
        for finding in run.verdict.findings:
            yield _line(_COMMAND[finding.severity], _properties(finding), _message(run, finding))


def _properties(finding: Finding) -> dict[str, str]:
    operation = finding.operation
    place = {}
    if operation is not None and operation.file:
        place = {"file": operation.file, "line": str(operation.line)}
    return {**place, "title": headline(finding).replace("`", "")}


def _message(run: DiagnosedRun, finding: Finding) -> str:
    parts = [f"Run {run.name}. {explanation(finding)}", advice(finding), fix_code(finding)]
    return "\n".join(filter(None, parts))


def _line(command: str, properties: dict[str, str], message: str) -> str:
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{command} {listed}::{_data(message)}"


def _data(text: str) -> str:
    # Names come from event files: a line break in one must not begin a command of its own.
    lines = (visible(line).replace("%", "%25") for line in text.split("\n"))
    return "%0A".join(lines)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
