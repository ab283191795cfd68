"""What several tests share: synthetic logs, and real TensorBoard processes to serve them."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
sys.path.insert(0, str(TESTS))

STARTUP_SECONDS = 120

with warnings.catch_warnings():
    # What TensorBoard vendors warns of itself when it is first imported.
    warnings.filterwarnings("ignore", "html5lib's sanitizer is deprecated", DeprecationWarning)
    importlib.import_module("tensorboard.plugin_util")
# A command that is called in a process without TensorFlow leaves it without `tf.summary`. With
# another version of protobuf there is none.
with suppress(Exception):
    importlib.import_module("tensorflow")

# A busy machine is no reason for a property to fail.
hypothesis.settings.register_profile("nanwatch", deadline=None)
hypothesis.settings.load_profile("nanwatch")


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log directory with every run of `synthetic_logs.GALLERY`; not to be written to."""
    from synthetic_logs import write_gallery

    return write_gallery(tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="session")
def entry_point(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that, on PYTHONPATH, tells TensorBoard of the plugin, installed or not."""
    folder = tmp_path_factory.mktemp("entry_point")
    info = folder / "tb_nanwatch-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tb-nanwatch\nVersion: 0\n")
    (info / "entry_points.txt").write_text(
        "[tensorboard_plugins]\nnanwatch = tb_nanwatch.plugin:NaNWatchLoader\n"
    )
    return folder


@pytest.fixture(scope="session")
def tensorboard(entry_point: Path) -> Callable[..., object]:
    """Starts TensorBoard: `with tensorboard(logs, "--load_fast=false") as url:`.

    The URL ends in a slash. `path` comes first on PYTHONPATH. `port` 0 is any that is free.
    """

    @contextmanager
    def start(
        logs: Path, *flags: str, prefix: str = "/", path: Path | None = None, port: int = 0
    ) -> Iterator[str]:
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
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs)]
        command += ["--host=127.0.0.1", f"--port={port}", "--reload_interval=1", *flags]
        with (
            open(logs.parent / f"tensorboard-{port}.log", "w+") as log,
            subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
        ):
            try:
                url = f"http://127.0.0.1:{port}{prefix}"
                _wait_for(url, process, log.name)
                yield url
            finally:
                process.terminate()

    return start


def _wait_for(url: str, process: subprocess.Popen[bytes], log: str) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url + "data/plugins_listing", timeout=10):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError(f"TensorBoard did not answer at {url}:\n{Path(log).read_text()[-4000:]}")
