"""The console command `nanwatch`: `report` diagnoses runs, `doctor` checks the installation, `demo`
trains models that break, `replay` re-runs a step that the black box stored.

- `arguments`: the command line.
- `exit_status`: the exit statuses.
- `report`: the command of that name, from the arguments to the exit status.
- `doctor`: the command of that name: what works in this installation, and what mends the rest.
- `thresholds`: those of the diagnosis, from flags and from a file.
- `no_tensorflow`: reads logs without importing it.
- `terminal`, `console_report`: the report as text. Its sentences are those of `diagnosis.text`.
- `github_annotations`, `junit`: the report as CI systems show it.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from tb_nanwatch.cli.exit_status import CRASH, NO_ERROR, TROUBLE

_GALLERY = "tb_nanwatch_demo"

_REPLAY = "tb_nanwatch.adapters.keras_common.failing_step.replay"
"""Runs a model, and so the framework: nothing here imports it but for that command."""


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `words`, or else `sys.argv`'s; returns its status."""
    try:
        try:
            return _run(list(sys.argv[1:] if words is None else words))
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130  # As a shell has it for a program that Ctrl-C ended.
    except OSError as error:
        # Python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # That one is a pager that was quit.
            print(f"nanwatch: {error}", file=sys.stderr)
        return TROUBLE
    except Exception as error:
        trouble = _missing_package(error)
        if trouble:
            print(f"nanwatch: {trouble}", file=sys.stderr)
            return TROUBLE
        traceback.print_exc()
        print(
            "nanwatch: this is a bug in NaNWatch. Please report it with the lines above.",
            file=sys.stderr,
        )
        return CRASH


def _missing_package(error: Exception) -> str:
    """What mends it where a package that we need is missing; "" where that is not it."""
    if not isinstance(error, ImportError):
        return ""
    from tb_nanwatch import requirements

    trouble = requirements.unmet_by_reading()
    return "" if trouble is None else str(trouble)


def _run(words: list[str]) -> int:
    if words[:1] == ["demo"]:  # Ahead of argparse: even --help is the gallery's own.
        return _demo(words[1:])
    if words[:1] == ["replay"]:
        return _replay(words[1:])
    from tb_nanwatch.cli.arguments import parser

    arguments = parser().parse_args(words)
    if arguments.command is None:
        parser().print_help()
        return NO_ERROR
    if arguments.command == "doctor":
        from tb_nanwatch.cli.doctor import doctor

        return doctor(arguments)
    from tb_nanwatch.cli.report import report

    return report(arguments)


def _replay(words: list[str]) -> int:
    """Re-runs a step that the black box stored."""
    import runpy
    from importlib import util

    if util.find_spec("tensorflow") is None:
        print(
            "nanwatch: replay runs the model, which needs TensorFlow. Install it, or use the "
            "environment that you train in.",
            file=sys.stderr,
        )
        return TROUBLE
    sys.argv = ["nanwatch replay", *words]
    try:
        runpy.run_module(_REPLAY, run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else TROUBLE
    return NO_ERROR


def _demo(words: list[str]) -> int:
    """Runs the gallery's own command."""
    import runpy
    from importlib import util

    if util.find_spec(_GALLERY) is None:
        print(
            "nanwatch: this installation does not include the demo. Install tb-nanwatch, or run "
            "demo/run in its repository.",
            file=sys.stderr,
        )
        return TROUBLE
    sys.argv = ["nanwatch demo", *words]
    runpy.run_module(_GALLERY, run_name="__main__")
    return 0
