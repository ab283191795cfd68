"""The console command `nanwatch`: `report` says what is wrong with runs, `demo` shows some."""

from __future__ import annotations

import argparse
import logging
import os
import re
import runpy
import sys
import textwrap
import types
from collections.abc import Iterator, Sequence
from importlib import metadata, util
from typing import Any, TextIO

from tb_nanwatch.diagnosis.first_nonfinite import FirstNonfinite, first_nonfinite, status

NOTHING_NONFINITE, NONFINITE, TROUBLE = 0, 1, 2
"""Exit status: no run is non-finite; at least one is; nothing readable, or wrong arguments."""

_GALLERY = "tb_nanwatch_demo"
_WIDTH = 68  # 80 columns without the labels.
_COLOURS = {"nonfinite": "31", "healthy": "32", "empty": "33"}
_WORDS = {"nonfinite": "NON-FINITE", "healthy": "healthy", "empty": "no record yet"}


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `words`, or else `sys.argv`'s; returns its status."""
    words = list(sys.argv[1:] if words is None else words)
    if words[:1] == ["demo"]:  # Ahead of argparse: even --help is the gallery's own.
        return _demo(words[1:])
    arguments = _parser().parse_args(words)
    if arguments.command is None:
        _parser().print_help()
        return NOTHING_NONFINITE
    try:
        return _report(arguments.logdir, arguments.run)
    except BrokenPipeError:
        # A pager that was quit. Python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return TROUBLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nanwatch", description="Numerical health of TensorFlow training."
    )
    parser.add_argument("--version", action="version", version=f"nanwatch {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    report = commands.add_parser(
        "report",
        help="say which runs went non-finite, where and when",
        description="Says which runs went non-finite, where and when. Exit status 0: none; "
        "1: at least one; 2: nothing readable, or wrong arguments.",
    )
    report.add_argument("logdir", metavar="LOGDIR", help="what TensorBoard takes as --logdir")
    report.add_argument(
        "--run",
        metavar="RE",
        type=_pattern,
        help="only runs whose name holds a match of RE",
    )
    commands.add_parser("demo", help="train runs that break, and look at them in TensorBoard")
    return parser


def _version() -> str:
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


def _demo(words: list[str]) -> int:
    """Runs the gallery's own command."""
    if util.find_spec(_GALLERY) is None:
        return _fail(
            "the gallery is not part of this installation. Install tb-nanwatch, or run demo/run "
            "in its repository."
        )
    sys.argv = ["nanwatch demo", *words]
    runpy.run_module(_GALLERY, run_name="__main__")
    return 0


def _fail(message: str) -> int:
    print(f"nanwatch: {printable(message)}", file=sys.stderr)
    return TROUBLE


def _report(logdir: str, pattern: re.Pattern[str] | None) -> int:
    if not os.path.isdir(logdir):
        return _fail(f"{logdir!r} is no directory. Expected what TensorBoard takes as --logdir.")
    from tb_nanwatch.reader import Access, Reader

    provider, context = _load(logdir)
    runs = Reader(provider).runs(Access(context))
    if not runs:
        return _fail(
            f"no NaNWatch data below {logdir!r}. Expected event files that nanwatch.Callback, "
            "nanwatch.Watcher or nanwatch.summary wrote."
        )
    chosen = [run for run in runs if pattern is None or pattern.search(run.run)]
    if not chosen:
        names = ", ".join(run.run for run in runs[:20]) + (", ..." if len(runs) > 20 else "")
        return _fail(f"no run matches {pattern.pattern if pattern else ''!r}. Runs: {names}.")

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    statuses = set()
    for index in chosen:
        roles = [tensor.info.role for tensor in index.tensors]
        nonfinite = index.nonfinite
        first = first_nonfinite(roles, nonfinite.first, index.initial, nonfinite.counts)
        statuses.add(status(index.read, first))
        print_run(sys.stdout, index, first, colour=colour)
    if statuses == {"empty"}:
        return _fail(f"no record could be read below {logdir!r}.")
    return NONFINITE if "nonfinite" in statuses else NOTHING_NONFINITE


def _load(logdir: str) -> tuple[Any, Any]:
    """A DataProvider of all below `logdir` by TensorBoard's own loaders, and a context to ask with.

    Runs that cannot be loaded are named on stderr.
    """
    # With this module TensorBoard takes its own file access in place of TensorFlow's, as where
    # there is none: no seconds of import, and no TensorFlow on a machine that only reads.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    from tensorboard.backend.event_processing import io_wrapper
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext

    multiplexer = EventMultiplexer(tensor_size_guidance={"nanwatch": 0})
    multiplexer.Reload()  # From here on a run is loaded as it is added.
    for folder in sorted(io_wrapper.GetLogdirSubdirectories(logdir)):
        name = os.path.relpath(folder, logdir)
        try:
            multiplexer.AddRun(folder, name)
        except Exception as error:  # Whatever damaged files make TensorBoard's loaders raise.
            said = f"{type(error).__name__}: {error}"
            _fail(f"run {name!r} is only read in part, its event files are damaged ({said}).")
    return MultiplexerDataProvider(multiplexer, logdir), RequestContext()


def print_run(out: TextIO, index: Any, first: FirstNonfinite | None, *, colour: bool) -> None:
    """Prints one run, a `reader.RunIndex`: its name and status, and what there is to say of it."""
    word = status(index.read, first)
    told = _WORDS[word]
    if colour:
        told = f"\x1b[1;{_COLOURS[word]}m{told}\x1b[0m"
    print(f"{printable(index.run)}: {told}", file=out)
    for label, text in _lines(index, first):
        print(f"  {label:<9} {printable(text)}", file=out)
    print(file=out)


def _lines(index: Any, first: FirstNonfinite | None) -> Iterator[tuple[str, str]]:
    if index.first_step is not None:
        yield "steps", f"{index.first_step:,} to {index.last_step:,}"
    yield "records", f"{index.read:,} of {index.written:,}"
    if index.scale_skipped_steps:
        yield (
            "scaling",
            f"{index.scale_skipped_steps:,} steps refused by the loss-scaling optimizer",
        )
    if first is not None:
        tensor = index.tensors[first.tensor]
        when = "before step" if first.initial else "step"
        yield "first", f"{when} {first.step:,}, {tensor.info.role.replace('_', ' ')}"
        yield "layer", tensor.info.layer or "-"
        yield "tensor", tensor.info.name + (f" (worker {tensor.worker})" if tensor.worker else "")
        yield "counts", f"{first.nan:,} NaN, {first.pos_inf:,} +Inf, {first.neg_inf:,} -Inf"
        also = int((index.nonfinite.steps > 0).sum()) - 1
        if also > 0:
            yield "later", f"{also:,} more of {len(index.tensors):,} tensors"
    for problem in index.problems:
        for line, text in enumerate(textwrap.wrap(problem, _WIDTH)):
            yield "" if line else "problem", text


def printable(text: str) -> str:
    """`text` with what a terminal would obey, or could not show, as backslash escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    escaped = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
    return escaped.encode(encoding, "backslashreplace").decode(encoding)


if __name__ == "__main__":
    sys.exit(main())
