"""What the command line may hold."""

from __future__ import annotations

import argparse
import math
import re

DEFAULT_TOLERANCE = 0.01
"""Relative difference of norms from which on two runs part."""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command but `demo`, whose arguments are the gallery's own."""
    command = argparse.ArgumentParser(
        prog="nanwatch", description="Numerical health of TensorFlow training."
    )
    command.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = command.add_subparsers(dest="command", metavar="command")
    _add_report(
        commands.add_parser(
            "report",
            help="say what went wrong in which run: where, when, why, and what to do",
            description="Says what went wrong in each run: where it began, when, why, and what to "
            "do. Exit status 0: no finding of severity error; 1: at least one; 2: nothing "
            "readable, or wrong arguments.",
        )
    )
    commands.add_parser("replay", help="run a step again that a black box kept")
    commands.add_parser("demo", help="train runs that break, and look at them in TensorBoard")
    return command


def _add_report(report: argparse.ArgumentParser) -> None:
    report.add_argument(
        "logdir", metavar="LOGDIR", nargs="+", help="what TensorBoard takes as --logdir"
    )
    report.add_argument(
        "--run", metavar="RE", type=_pattern, help="only runs whose name holds a match of RE"
    )
    report.add_argument("--json", action="store_true", help="print JSON in place of text")
    report.add_argument(
        "--html", metavar="FILE", help="also write a page to attach to a bug report"
    )
    report.add_argument(
        "--threshold",
        metavar="NAME=VALUE",
        type=_assignment,
        action="append",
        default=[],
        help="change a threshold of the diagnosis; may be given several times",
    )
    report.add_argument(
        "--thresholds", metavar="FILE", help="the same from a file, a NAME=VALUE a line"
    )
    report.add_argument(
        "--list-thresholds",
        action=_ListThresholds,
        nargs=0,
        help="print every threshold as a FILE for --thresholds, and exit",
    )
    report.add_argument(
        "--compare",
        action="store_true",
        help="also say where two runs part: the first step and tensor that differ",
    )
    report.add_argument(
        "--tolerance",
        metavar="SHARE",
        type=_share,
        default=DEFAULT_TOLERANCE,
        help="relative difference of norms from which on two runs part (default: %(default)s)",
    )


class _Version(argparse.Action):
    """Prints the version, looked up only then."""

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
        return "(a source tree that is not installed)"


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no regular expression: {error}. Put a backslash before a character "
            "of .*+?()[]{}^$| that stands for itself."
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
        raise ValueError(f"{text!r} is no threshold. Expected NAME=VALUE, VALUE a finite number.")
    return name, number


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no share. Expected a number, such as 0.01.")
    return number
