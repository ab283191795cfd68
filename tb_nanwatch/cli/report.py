"""`nanwatch report`: from the arguments to the exit status."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tb_nanwatch.cli.console_report import comparison_lines, run_lines
from tb_nanwatch.cli.exit_status import ERROR, NO_ERROR, TROUBLE
from tb_nanwatch.cli.no_tensorflow import read_without_tensorflow
from tb_nanwatch.cli.terminal import Terminal
from tb_nanwatch.cli.thresholds import chosen
from tb_nanwatch.diagnosis.compare import compare
from tb_nanwatch.diagnosis.comparison import Comparison
from tb_nanwatch.diagnosis.text.report import finite
from tb_nanwatch.logdir import runs
from tb_nanwatch.logdir.loading import NotReadableError
from tb_nanwatch.logdir.progress import Progress

VERSION = 1
"""Of the JSON. Keys may be added within a version; none is removed or changes its meaning."""


def report(arguments: argparse.Namespace) -> int:
    """Runs the command; returns the exit status."""
    read_without_tensorflow()
    with Progress(sys.stderr) as progress, ExitStack() as opened:

        def say(text: str) -> None:
            progress.clear()
            print(f"nanwatch: {Terminal.of(sys.stderr).printable(text)}", file=sys.stderr)

        try:
            return _report(arguments, progress, opened, say)
        except (NotReadableError, _WrongArgumentsError) as error:
            say(str(error))
            return TROUBLE


class _WrongArgumentsError(Exception):
    """Arguments that are invalid; the text says what was expected."""


def _report(
    arguments: argparse.Namespace,
    progress: Progress,
    opened: ExitStack,
    say: Callable[[str], None],
) -> int:
    try:
        thresholds = chosen(arguments.thresholds, arguments.threshold)
    except (OSError, ValueError) as error:
        raise _WrongArgumentsError(str(error)) from error
    if arguments.compare and arguments.format not in ("text", "json"):
        raise _WrongArgumentsError("--compare prints text or JSON: use --format text or json.")
    html = None if arguments.html is None else _writable(arguments.html)

    found = runs.choose(runs.find(arguments.logdir, progress, opened, say), arguments.run)
    if arguments.compare and len(found) != 2:
        raise _WrongArgumentsError(
            f"--compare needs exactly two runs, but {len(found)} match: {runs.names(found)}. "
            "Select two with --run or by their directories."
        )
    diagnosed = list(runs.diagnosed(found, thresholds, progress))
    comparison = None
    if arguments.compare:
        comparison = compare(*(run.history() for run in found), tolerance=arguments.tolerance)

    progress.clear()
    if arguments.format == "json":
        _print_json(diagnosed, comparison)
    elif arguments.format == "text":
        _print_text(diagnosed, comparison)
    else:
        _print_for_ci(arguments.format, diagnosed)
    if html is not None:
        _write_html(html, arguments.logdir, diagnosed, progress)
        say(f"wrote {arguments.html}")
    if all(run.verdict.status == "empty" for run in diagnosed):
        raise NotReadableError("no record could be read.")
    errors = any(each.severity == "error" for run in diagnosed for each in run.verdict.findings)
    return ERROR if errors else NO_ERROR


def _writable(file: str) -> Path:
    """The file's path, if it looks writable: checked before much is read."""
    path = Path(file)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise _WrongArgumentsError(
            f"cannot write {file!r}. Expected a file in an existing directory."
        )
    return path


def _print_json(diagnosed: Sequence[runs.DiagnosedRun], comparison: Comparison | None) -> None:
    answer: dict[str, Any] = {"version": VERSION, "runs": [run.to_json() for run in diagnosed]}
    if comparison is not None:
        names = [run.name for run in diagnosed]
        answer["comparison"] = {"runs": names, **finite(comparison.to_json())}
    # ASCII: whatever names hold, it can be printed.
    print(json.dumps(answer, indent=2, allow_nan=False))


def _print_text(diagnosed: Sequence[runs.DiagnosedRun], comparison: Comparison | None) -> None:
    terminal = Terminal.of(sys.stdout)
    blocks = [run_lines(terminal, run) for run in diagnosed]
    if comparison is not None:
        blocks.append(comparison_lines(terminal, [run.name for run in diagnosed], comparison))
    for number, lines in enumerate(blocks):
        print(*([""] if number else []), *lines, sep="\n")


def _print_for_ci(form: str, diagnosed: Sequence[runs.DiagnosedRun]) -> None:
    if form == "junit":
        from tb_nanwatch.cli.junit import junit

        print(junit(diagnosed))
        return
    from tb_nanwatch.cli.github_annotations import annotation_lines

    terminal = Terminal.of(sys.stdout)
    for line in annotation_lines(diagnosed):
        print(terminal.printable(line))


def _write_html(
    path: Path, logdirs: Sequence[str], diagnosed: Sequence[runs.DiagnosedRun], progress: Progress
) -> None:
    from tb_nanwatch.page import NotBuiltError, html_page

    progress.start("Writing", len(diagnosed))
    title = f"NaNWatch report: {', '.join(logdirs)}"
    try:
        text = html_page(title, diagnosed, lambda: progress.advance(1))
        path.write_text(text, encoding="utf-8")
    except NotBuiltError as error:
        raise _WrongArgumentsError(f"cannot write {str(path)!r}: {error}") from error
    except OSError as error:
        raise _WrongArgumentsError(f"cannot write {str(path)!r}: {error.strerror}.") from error
