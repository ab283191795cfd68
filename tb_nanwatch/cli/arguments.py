"""The command line."""

from __future__ import annotations

import argparse
import math
import re

FORMATS = ("text", "json", "github", "junit")
DEFAULT_TOLERANCE = 0.01
"""Relative difference of norms beyond which two runs diverge."""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command but `demo`, whose arguments are the gallery's own."""
    command = argparse.ArgumentParser(
        prog="nanwatch",
        description="Find where, when and why TensorFlow training runs hit NaN, explode or stall.",
    )
    command.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = command.add_subparsers(dest="command", metavar="command")
    _add_report(
        commands.add_parser(
            "report",
            help="diagnose runs: what broke, where, when, why, and how to fix it",
            description="Diagnose each run: what broke, where, when, why, and how to fix it. Exit "
            "status: 0 if there is no error, 1 if there is at least one, 2 if nothing could be "
            "read or the arguments are invalid.",
        )
    )
    doctor = commands.add_parser(
        "doctor",
        help="check this installation: what works, and how to mend what does not",
        description="Check this installation: versions, TensorBoard, the tab and, if given, a log "
        "directory. Exit status: 0 if everything needed works, 1 otherwise.",
    )
    doctor.add_argument("logdir", metavar="LOGDIR", nargs="?", help="a TensorBoard log directory")
    commands.add_parser("replay", help="re-run a failing step that the black box stored")
    commands.add_parser("demo", help="train models that break, and show them in TensorBoard")
    return command


def _add_report(report: argparse.ArgumentParser) -> None:
    report.add_argument("logdir", metavar="LOGDIR", nargs="+", help="a TensorBoard log directory")
    report.add_argument(
        "--run",
        metavar="RE",
        type=_pattern,
        help="only runs whose name matches the regular expression RE",
    )
    report.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="what to print: text (default), JSON, annotations of GitHub Actions, or JUnit XML",
    )
    report.add_argument(
        "--json", dest="format", action="store_const", const="json", help="short for --format json"
    )
    report.add_argument(
        "--html",
        metavar="FILE",
        help="also write an HTML report, for example to attach to a bug report",
    )
    report.add_argument(
        "--threshold",
        metavar="NAME=VALUE",
        type=_assignment,
        action="append",
        default=[],
        help="change a threshold of the diagnosis; can be repeated",
    )
    report.add_argument(
        "--thresholds", metavar="FILE", help="read thresholds from a file, one NAME=VALUE per line"
    )
    report.add_argument(
        "--list-thresholds",
        action=_ListThresholds,
        nargs=0,
        help="print all thresholds in the format of --thresholds and exit",
    )
    report.add_argument(
        "--compare",
        action="store_true",
        help="also compare two runs: the first step and tensor in which they differ",
    )
    report.add_argument(
        "--tolerance",
        metavar="TOLERANCE",
        type=_share,
        default=DEFAULT_TOLERANCE,
        help="relative difference of norms beyond which two runs differ (default: %(default)s)",
    )


class _Version(argparse.Action):
    """Prints the version; looks it up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"nanwatch {version()}")
        parser.exit()


class _ListThresholds(argparse.Action):
    """Prints the thresholds; loads them only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from tb_nanwatch.cli.thresholds import listing

        print(listing())
        parser.exit()


def version() -> str:
    """The version that is installed."""
    from importlib import metadata  # Takes longer to load than a small report to make.

    try:
        return metadata.version("tb-nanwatch")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(
            f"invalid regular expression {text!r}: {error}. Escape the characters "
            "`.*+?()[]{}^$|` with a backslash to match them literally."
        ) from error


def _assignment(text: str) -> tuple[str, float]:
    try:
        return assignment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def assignment(text: str) -> tuple[str, float]:
    """The two sides of NAME=VALUE; raises ValueError where it is something else."""
    name, equals, value = (part.strip() for part in text.partition("="))
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (equals and name and math.isfinite(number)):
        raise ValueError(
            f"invalid threshold {text!r}: expected NAME=VALUE, with a finite number as VALUE."
        )
    return name, number


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(
            f"invalid tolerance {text!r}: expected a number of at least 0, such as 0.01."
        )
    return number
