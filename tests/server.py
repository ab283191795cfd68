"""Real TensorBoard processes that serve a log directory with the plugin."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

STARTUP_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A TensorBoard that answers.

    Attributes:
      url: its address; ends in a slash.
      pid: its process id.
      log: the file that it writes its complaints to.
    """

    url: str
    pid: int
    log: Path

    def peak_bytes(self) -> int:
        """The most memory that it and its data server ever had resident; 0 but on Linux."""
        pids, peak = [self.pid], 0
        while pids:
            process = Path(f"/proc/{pids.pop()}")
            if process.exists():
                pids += map(int, (process / f"task/{process.name}/children").read_text().split())
                status = (process / "status").read_text().splitlines()
                peak += sum(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        return peak * 1024


def write_entry_point(folder: Path) -> Path:
    """Makes of an empty folder one that, on PYTHONPATH, tells TensorBoard of the plugin."""
    info = folder / "tb_nanwatch-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tb-nanwatch\nVersion: 0\n")
    (info / "entry_points.txt").write_text(
        "[tensorboard_plugins]\nnanwatch = tb_nanwatch.plugin:NaNWatchLoader\n"
    )
    return folder


@contextmanager
def serve(
    logs: str | Path,
    entry_point: Path,
    *flags: str,
    prefix: str = "/",
    path: Path | None = None,
    port: int = 0,
    option: str = "--logdir",
) -> Iterator[Server]:
    """Starts TensorBoard, and ends it.

    Args:
      logs: what `option`, `--logdir` or `--logdir_spec`, is.
      entry_point: the folder of `write_entry_point`, where TensorBoard's own log goes, too.
      path: comes first on PYTHONPATH.
      port: 0 is any that is free.
    """
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
        port = free.getsockname()[1]
    first = [str(path)] if path else []
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*first, str(entry_point), str(ROOT)]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, "-m", "tensorboard.main", option, str(logs)]
    command += ["--host=127.0.0.1", f"--port={port}", "--reload_interval=1", *flags]
    file = entry_point / f"tensorboard-{port}.log"
    with (
        open(file, "w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}{prefix}"
            _wait_for(url, process, file)
            yield Server(url, process.pid, file)
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url + "data/plugins_listing", timeout=10):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError(f"TensorBoard did not answer at {url}:\n{log.read_text()[-4000:]}")
