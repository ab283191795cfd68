"""TensorBoard's data server, as a process of our own that ends with us.

TensorBoard itself starts it so too (`tensorboard.data.server_ingester`), but to reload for ever,
and never learns when the first load is done; the server's log shows it.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from tb_nanwatch.logdir.loading import Logs
from tb_nanwatch.logdir.progress import Progress

START_SECONDS = 10
"""How long the server may take until it begins to load; it takes milliseconds."""

_PORT = re.compile(r"listening on .*:(\d+)$")
_BEGUN, _LOADED = "Starting load cycle", "Finished load cycle"
_TROUBLE = re.compile(r" WARN +\S+\] (?:Read error in (?P<file>.*?): \w+\(|(?P<text>.*))")


@contextmanager
def serve(logdir: str, progress: Progress) -> Iterator[Logs | None]:
    """Reads `logdir` by the data server; None where there is none, or where it does not answer."""
    from tensorboard.data import server_ingester

    try:
        binary = server_ingester.get_server_binary().path
        process = subprocess.Popen(
            [
                binary,
                f"--logdir={logdir}",
                "--reload=once",
                "--samples-per-plugin=nanwatch=all",
                "--checksum",  # Without it bit flips pass unnoticed.
                "--host=localhost",
                "--port=0",
                "--die-after-stdin",
                "--verbose",
            ],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except (server_ingester.NoDataServerError, OSError):
        yield None
        return
    with process:
        log = _Log(process)
        try:
            yield _connect(log) if log.loaded(progress) else None
        finally:
            process.kill()
            log.join()


class _Log:
    """Reads the server's log for as long as it lives: a full pipe would stop it."""

    def __init__(self, process: subprocess.Popen[str]):
        self.port = ""
        self.problems: list[str] = []
        self._begun, self._ended = threading.Event(), threading.Event()
        self._complete = False
        assert process.stderr is not None
        self._thread = threading.Thread(target=self._read, args=(process.stderr,), daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Waits for the end of the log."""
        self._thread.join()

    def loaded(self, progress: Progress) -> bool:
        """Waits until everything is loaded; False where the server gave up or never began."""
        if self._begun.wait(START_SECONDS):
            while not self._ended.wait(0.1):
                progress.advance(0)
        return self._complete and bool(self.port)

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._take(line.rstrip())
        self._begun.set()
        self._ended.set()

    def _take(self, line: str) -> None:
        port, trouble = _PORT.match(line), _TROUBLE.search(line)
        if port:
            self.port = port[1]
        elif trouble and not self._complete:
            self.problems.append(
                f"{trouble['file']!r} is corrupt; everything after the corruption is lost."
                if trouble["file"]
                else f"TensorBoard's data server: {trouble['text']}"
            )
        elif _BEGUN in line:
            self._begun.set()
        elif _LOADED in line:
            self._complete = True
            self._ended.set()


def _connect(log: _Log) -> Logs | None:
    from tensorboard.context import RequestContext
    from tensorboard.data import server_ingester
    from tensorboard.util.grpc_util import ChannelCredsType

    # gRPC would ask a proxy that the environment names, even for this.
    os.environ.setdefault("no_grpc_proxy", "localhost")
    provider = server_ingester.ExistingServerDataIngester(
        f"localhost:{log.port}", channel_creds_type=ChannelCredsType.LOCAL
    ).data_provider
    context = RequestContext()
    try:
        provider.list_plugins(context, experiment_id="")
    except Exception:  # gRPC's own errors, of a proxy or a sandbox.
        return None
    return Logs(provider, context, tuple(log.problems))
