"""How long the tab waits for its answers: of one long recording, and of many runs.

python tests/bench/serving.py --tensors 500 --records 10000
python tests/bench/serving.py --runs 200 --tensors 30 --records 400
python tests/bench/serving.py --runs 2000 --tensors 20 --records 2 --one-directory

tests/bench/README.md has the results.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from long_logs import manifest, record  # noqa: E402
from server import write_entry_point  # noqa: E402

from tb_nanwatch.adapters.tensorflow.sink import TensorFlowSink  # noqa: E402
from tb_nanwatch.format.tags import SUBDIRECTORY, Stream  # noqa: E402
from tb_nanwatch.training.budget import Budget  # noqa: E402
from tb_nanwatch.training.record_writer import RecordWriter  # noqa: E402
from tb_nanwatch.training.session import new_session  # noqa: E402

LOADERS = {"data server": "--load_fast=true", "Python loader": "--load_fast=false"}
REQUESTS = 31
COLUMNS = 512
LOADED = 15
"""Seconds in which TensorBoard has loaded the logs of many runs."""

GROWTH = 20
"""Records that a running training adds between two looks."""


class Log:
    """A recording that grows; two of its tensors are non-finite at the step `bad`, if any."""

    def __init__(self, folder: Path, tensors: int, bins: int, bad: int | None = None):
        directory = str(folder / SUBDIRECTORY)
        self._writer = RecordWriter(
            lambda: TensorFlowSink(directory), Stream(new_session()), directory, Budget(2**40)
        )
        self._manifest = manifest(tensors=tensors)
        self._shape, self._bad = (tensors, bins), [] if bad is None else [bad]
        self.records = 0

    def grow(self, records: int) -> None:
        for step in range(self.records, self.records + records):
            made = record(step, step, self._bad, *self._shape)
            self._writer.write(self._manifest, made, urgent=True)
        self.records += records

    def close(self) -> None:
        self._writer.close()


@contextmanager
def tensorboard(logs: Path, entry_point: Path, flag: str) -> Iterator[tuple[str, int]]:
    """Gives the address of our routes and the id of the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(entry_point), str(ROOT)])}
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), flag]
    command += ["--host=127.0.0.1", f"--port={port}", "--reload_interval=1"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            url = f"http://127.0.0.1:{port}/data/"
            wait_for(lambda: get(url, "plugins_listing"))
            yield url + "plugin/nanwatch/", process.pid
        finally:
            process.terminate()


def get(url: str, route: str, **query: object) -> bytes:
    request = urllib.request.Request(
        f"{url}{route}?{urllib.parse.urlencode(query)}", headers={"Accept-Encoding": "gzip"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        return bytes(answer.read())


def wait_for(ask: Callable[[], object], seconds: float = 600) -> float:
    """Asks until the answer is true; gives the seconds that took."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        try:
            if ask():
                return time.monotonic() - begin
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.2)
    raise TimeoutError(f"Waited {seconds:.0f} s in vain.")


def seconds(url: str, route: str, **query: object) -> float:
    begin = time.perf_counter()
    get(url, route, **query)
    return time.perf_counter() - begin


def records(url: str) -> int:
    runs = json.loads(get_text(url, "runs"))["runs"]
    return int(runs[0]["records"]["read"]) if runs else 0


def get_text(url: str, route: str, **query: object) -> bytes:
    with urllib.request.urlopen(f"{url}{route}?{urllib.parse.urlencode(query)}") as answer:
        return bytes(answer.read())


def resident(pid: int) -> float:
    """MB of memory of the process that serves."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def measure(logs: Path, entry_point: Path, log: Log, flag: str) -> Iterator[tuple[str, str]]:
    steps = log.records
    with tensorboard(logs, entry_point, flag) as (url, _):
        loading = wait_for(lambda: records(url) == steps)
    with tensorboard(logs, entry_point, flag) as (url, pid):
        time.sleep(1.5 * loading + 2)
        before = resident(pid)
        parts = [seconds(url, route, run=".", columns=COLUMNS) for route in ("runs", "run", "grid")]
        yield "cold open", f"{sum(parts):.2f} s"
        whole = [seconds(url, "grid", run=".", columns=COLUMNS) for _ in range(REQUESTS)]
        yield "grid, warm", f"{1000 * statistics.median(whole):.0f} ms"
        # A fifth of the run, so that the second look finds it in memory.
        spans = [(steps * i // 200, steps * i // 200 + steps // 20) for i in range(REQUESTS)]
        first = [seconds(url, "grid", run=".", columns=COLUMNS, first=a, last=b) for a, b in spans]
        yield "grid, zoomed, first", f"{1000 * statistics.median(first):.0f} ms"
        again = [seconds(url, "grid", run=".", columns=COLUMNS, first=a, last=b) for a, b in spans]
        yield "grid, zoomed, again", f"{1000 * statistics.median(again):.0f} ms"
        tensor = json.loads(get_text(url, "run", run="."))["tensors"][1]["id"]
        query = {"run": ".", "tensor": tensor, "first": 0, "last": steps - 1}
        yield "cell of all steps", f"{1000 * seconds(url, 'cell', **query):.0f} ms"
        log.grow(GROWTH)
        wait_for(lambda: records(url) == log.records)
        grown = seconds(url, "grid", run=".", columns=COLUMNS)
        yield "grid after growth", f"{1000 * grown:.0f} ms"
        yield "memory of serving", f"{resident(pid) - before:.0f} MB more"


def measure_list(logs: Path, entry_point: Path, flag: str) -> Iterator[tuple[str, str]]:
    """How long a list of runs takes: the first one, while runs are diagnosed, and after that."""
    with tensorboard(logs, entry_point, flag) as (url, pid):
        time.sleep(LOADED)
        before = resident(pid)
        begin = time.perf_counter()
        taken: list[float] = []
        first_trouble = math.inf
        pending = True
        while pending:
            asked = time.perf_counter()
            statuses = [run["status"] for run in json.loads(get_text(url, "runs"))["runs"]]
            taken.append(time.perf_counter() - asked)
            if "nonfinite" in statuses:
                first_trouble = min(first_trouble, time.perf_counter() - begin)
            pending = "pending" in statuses
            time.sleep(0.3)
        yield "list, cold", f"{1000 * taken[0]:.0f} ms"
        yield "list, meanwhile", f"{1000 * statistics.median(taken):.0f} ms"
        yield "first NaN or Inf", f"{first_trouble:.1f} s"
        yield "all diagnosed", f"{time.perf_counter() - begin:.0f} s"
        warm = []
        for _ in range(REQUESTS):
            time.sleep(0.2)
            warm.append(seconds(url, "runs"))
        quartiles = ", ".join(f"{1000 * each:.0f}" for each in statistics.quantiles(warm, n=4))
        yield "list, warm", f"{quartiles} ms (quartiles of {len(warm)})"
        yield "list, warm, slowest", f"{1000 * max(warm):.0f} ms"
        yield "memory of serving", f"{resident(pid) - before:.0f} MB more"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tensors", type=int, default=500)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--bins", type=int, default=6, help="of each exponent histogram")
    parser.add_argument("--runs", type=int, default=1, help="of which one in ten has a NaN")
    parser.add_argument(
        "--one-directory", action="store_true", help="for all runs, as the folds of a K-fold have"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        logs, entry_point = Path(folder, "logs"), Path(folder, "entry_point")
        write_entry_point(entry_point)
        recorded = []
        for run in range(arguments.runs):
            is_alone = arguments.runs == 1 or arguments.one_directory
            folder_of_run = logs if is_alone else logs / f"run{run:03}"
            bad = arguments.records // 2 if run % 10 == 0 else None
            recorded.append(Log(folder_of_run, arguments.tensors, arguments.bins, bad))
            recorded[-1].grow(arguments.records)
            if arguments.runs > 1:
                recorded[-1].close()  # A process has so many files open at most.
        size = sum(file.stat().st_size for file in logs.rglob("*tfevents*"))
        print(
            f"{arguments.runs} x {arguments.tensors} tensors, {arguments.records:,} records, "
            f"{size / 2**20:,.0f} MB"
        )
        for name, flag in LOADERS.items():
            print(f"\n{name}")
            if arguments.runs == 1:
                figures = measure(logs, entry_point, recorded[0], flag)
            else:
                figures = measure_list(logs, entry_point, flag)
            for what, figure in figures:
                print(f"  {what:<20} {figure}", flush=True)


if __name__ == "__main__":
    main()
