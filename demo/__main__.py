"""Trains the gallery, prints what NaNWatch says of it, and serves the tab. See --help."""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tb_nanwatch_demo import CASES
from tb_nanwatch_demo.runs import train, truths
from tb_nanwatch_demo.verdicts import judge, table

SERVER = "import sys; from tensorboard.main import run_main; sys.exit(run_main())"


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nanwatch demo", description="Train runs that break, and look at them in TensorBoard."
    )
    parser.add_argument(
        "--logdir", type=Path, default=Path("nanwatch-demo"), help="default: %(default)s"
    )
    parser.add_argument(
        "--port", type=int, help="of TensorBoard; default: the first free from 6006"
    )
    parser.add_argument(
        "--case",
        action="append",
        choices=CASES,
        metavar="NAME",
        help="only this one; may be given several times",
    )
    parser.add_argument("--list", action="store_true", help="print the names of the cases, and end")
    parser.add_argument("--again", action="store_true", help="train also what is there already")
    parser.add_argument(
        "--no-serve",
        dest="serve",
        action="store_false",
        help="end after printing what NaNWatch says",
    )
    return parser.parse_args(words)


def free_port(first: int = 6006) -> int:
    for port in range(first, first + 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("localhost", port))
            return port
    raise SystemExit(f"No free port from {first} to {first + 99}: give one with --port.")


def serve(logdir: Path, port: int) -> int:
    """Runs TensorBoard until it ends or Ctrl-C; prints the tab's address when it answers."""
    command = [sys.executable, "-c", SERVER, "--logdir", str(logdir), "--port", str(port)]
    server = subprocess.Popen(command)
    try:
        while server.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
                print(f"\nhttp://localhost:{port}/#nanwatch    (Ctrl-C ends it)\n", flush=True)
                break
            time.sleep(0.2)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def report(cases: Sequence[str], logdir: Path) -> bool:
    """Prints what is expected of each run beside what NaNWatch says; whether it could be read."""
    expected = truths(cases, logdir)
    names = "|".join(expected)
    command = ["-m", "tb_nanwatch", "report", str(logdir), "--json", "--run", f"^({names})$"]
    done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    if not done.stdout:
        return False
    found = {run["run"]: run for run in json.loads(done.stdout)["runs"]}
    nothing = {"status": "empty", "findings": []}
    print()
    for line in table(
        [judge(found.get(run, {"run": run, **nothing}), truth) for run, truth in expected.items()]
    ):
        print(line)
    print(f"\nMore of a run: nanwatch report {logdir} --run NAME", flush=True)
    return True


def main(words: Sequence[str] | None = None) -> int:
    """Returns 0, or TensorBoard's own status where it failed."""
    options = arguments(words)
    if options.list:
        print("\n".join(CASES))
        return 0
    cases = [name for name in CASES if name in (options.case or CASES)]
    try:
        train(cases, options.logdir, sys.stdout, options.again)
    except ModuleNotFoundError as error:
        print(
            f"The demo needs TensorFlow and scikit-learn ({error.name} is missing): "
            "pip install 'tb-nanwatch[tensorflow]' scikit-learn",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print()
        return 130  # As a shell has it for a program that Ctrl-C ended.
    if not report(cases, options.logdir):
        return 2
    return serve(options.logdir, options.port or free_port()) if options.serve else 0


if __name__ == "__main__":
    sys.exit(main())
