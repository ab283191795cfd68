"""Trains the gallery, prints what was recorded, and serves the tab. See --help."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tb_nanwatch_demo import CASES

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
        "--case", action="append", choices=CASES, help="only this one; may be given several times"
    )
    parser.add_argument(
        "--no-serve",
        dest="serve",
        action="store_false",
        help="end after printing what was recorded",
    )
    return parser.parse_args(words)


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Holds back what TensorFlow writes to stderr while it loads, unless it fails to."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def train(cases: Sequence[str], logdir: Path) -> None:
    """Trains each case and its repaired twin; each run replaces what it left the last time."""
    with quiet_import():
        modules = {name: importlib.import_module(f"tb_nanwatch_demo.{name}") for name in cases}
        from tb_nanwatch_demo.progress import Progress
    for name, module in modules.items():
        twins = {name: {}}
        if "repaired" in inspect.signature(module.train).parameters:
            twins[f"{name}-repaired"] = {"repaired": True}
        for run, options in twins.items():
            shutil.rmtree(logdir / run / "nanwatch", ignore_errors=True)
            module.train(logdir / run, callbacks=[Progress(run, sys.stdout)], **options)


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


def main(words: Sequence[str] | None = None) -> int:
    """Returns 0, or TensorBoard's own status where it failed."""
    options = arguments(words)
    try:
        train(options.case or CASES, options.logdir)
    except ModuleNotFoundError as error:
        print(
            f"The demo needs TensorFlow and scikit-learn ({error.name} is missing): "
            "pip install 'tb-nanwatch[tensorflow]' scikit-learn",
            file=sys.stderr,
        )
        return 2
    print(f"\n$ nanwatch report {options.logdir}", flush=True)
    subprocess.run([sys.executable, "-m", "tb_nanwatch", "report", str(options.logdir)])
    return serve(options.logdir, options.port or free_port()) if options.serve else 0


if __name__ == "__main__":
    sys.exit(main())
