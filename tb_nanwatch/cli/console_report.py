"""The report of a run as text for a terminal. Its sentences are those of `diagnosis.text`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from tb_nanwatch.cli.terminal import BLUE, BOLD, DIM, GREEN, RED, YELLOW, Terminal, shortened
from tb_nanwatch.diagnosis import (
    Finding,
    Severity,
    Status,
    advice,
    explanation,
    fix_code,
    headline,
    run_headline,
)
from tb_nanwatch.diagnosis.comparison import Comparison
from tb_nanwatch.diagnosis.text.comparison import comparison_text
from tb_nanwatch.diagnosis.text.layout import STATUS_WORDS, record_also, seen_on, spread_to
from tb_nanwatch.diagnosis.text.names import steps
from tb_nanwatch.diagnosis.text.numbers import plural
from tb_nanwatch.diagnosis.text.operation import operand_lines, source_line
from tb_nanwatch.diagnosis.text.rerun import note, outcome, trials
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.logdir.runs import DiagnosedRun
from tb_nanwatch.reader import RunIndex

STATUS_COLOR: dict[Status, int] = {
    "nonfinite": RED,
    "unstable": YELLOW,
    "healthy": GREEN,
    "empty": YELLOW,
}
SEVERITY_COLOR: dict[Severity, int] = {"error": RED, "warning": YELLOW, "info": BLUE}

_LONGEST_NAME = 60
_INDENT, _COLUMN, _CODE_COLUMN = 4, 16, 6


def run_lines(terminal: Terminal, diagnosed: DiagnosedRun) -> Iterator[str]:
    """The lines of one run: its name and status, what was read, and its findings."""
    status, index = diagnosed.verdict.status, diagnosed.index
    name = terminal.printable(shortened(diagnosed.name, terminal.width - 24))
    badge = terminal.paint(STATUS_WORDS[status], BOLD, STATUS_COLOR[status])
    yield f"{terminal.paint(name, BOLD)}: {badge}"
    if status == "healthy":
        yield from terminal.labelled("", run_headline(diagnosed.verdict), indent=2, column=2)
    yield from terminal.labelled("", what_was_read(index), indent=2, column=2)
    for problem in index.problems:
        yield from terminal.labelled("note", problem, indent=2, column=_COLUMN)
    for finding in diagnosed.verdict.findings:
        yield ""
        yield from _finding_lines(terminal, finding)


def what_was_read(run: RunIndex) -> str:
    """Steps of a run, records where not all could be read, skipped steps; and when it began, where
    that tells it from other runs of its directory."""
    parts = []
    if run.first_step is not None and run.last_step is not None:
        parts.append(f"steps {run.first_step:,}-{run.last_step:,}")
    if run.read != run.written or not parts:
        parts.append(f"{run.read:,} of {run.written:,} records read")
    if run.scale_skipped_steps:
        skipped = plural(run.scale_skipped_steps, "step")
        parts.append(f"{skipped} skipped by LossScaleOptimizer")
    if run.is_shared and run.began is not None:
        parts.append(time.strftime("began %Y-%m-%d %H:%M:%S", time.localtime(run.began)))
    return ", ".join(parts)


def _finding_lines(terminal: Terminal, finding: Finding) -> Iterator[str]:
    severity = finding.severity.upper()
    styles = (BOLD, SEVERITY_COLOR[finding.severity])
    yield from _row(terminal, severity, headline(finding), 2, 3 + len(severity), *styles)
    for label, text in (("why", explanation(finding)), ("fix", advice(finding))):
        yield from _row(terminal, label, text, _INDENT, _COLUMN, DIM)
    for line in fix_code(finding).splitlines():  # As it is copied: never wrapped.
        yield " " * _CODE_COLUMN + terminal.printable(line)
    for label, text in _rows(finding):
        yield from _row(terminal, label, text, _INDENT, _COLUMN, DIM)


def _row(
    terminal: Terminal, label: str, text: str, indent: int, column: int, *styles: int
) -> Iterator[str]:
    """The lines of a text, its label before the first one in these styles."""
    first, *rest = terminal.labelled(label, text, indent=indent, column=column)
    painted = terminal.paint(label, *styles) if label else ""
    yield first[:indent] + painted + first[indent + len(label) :]
    yield from rest


def _rows(finding: Finding) -> Iterator[tuple[str, str]]:
    """Labels and texts of what else is known, in the order in which it is read."""
    for number, tried in enumerate(trials(finding.rerun)):
        yield "" if number else "tried", tried
    if finding.rerun is not None:
        yield from _rerun_rows(finding.rerun)
    yield "cause", f"{finding.cause} ({steps(finding)})"
    yield "seen on", seen_on(finding.origin)
    if finding.affected:
        yield "spread to", spread_to(finding.affected)
    if finding.record_also:
        yield "record more", record_also(finding)


def _rerun_rows(rerun: Rerun) -> Iterator[tuple[str, str]]:
    operation = rerun.operation
    if operation is not None:
        line = source_line(operation)
        if line:
            yield "source", f"{line}, in {operation.function}: `{operation.code}`"
        for number, operand in enumerate(operand_lines(operation)):
            yield "" if number else "operands", operand
    more = note(rerun)
    yield "re-run", f"{outcome(rerun)}. {more}" if more else outcome(rerun)


def comparison_lines(
    terminal: Terminal, names: Sequence[str], comparison: Comparison
) -> Iterator[str]:
    """The first difference of two runs."""
    one, other = (terminal.printable(shortened(name, _LONGEST_NAME)) for name in names)
    yield terminal.paint(f"{one} and {other}", BOLD) + ":"
    yield from terminal.labelled("", comparison_text(names, comparison), indent=2, column=2)
