"""TensorBoard's event loader in Python: slow, and for every path that TensorBoard can read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tb_nanwatch.logdir.loading import Logs, NotReadableError
from tb_nanwatch.logdir.progress import Progress


def load(logdir: str, progress: Progress) -> Logs:
    """Reads `logdir`; raises NotReadableError where TensorBoard cannot find or list it."""
    from tensorboard.backend.event_processing import io_wrapper
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.compat.tensorflow_stub.io import gfile
    from tensorboard.context import RequestContext

    try:
        if not gfile.isdir(logdir):
            raise NotReadableError(
                f"{logdir!r} is not a directory. Expected a TensorBoard log directory."
            )
        folders = sorted(io_wrapper.GetLogdirSubdirectories(logdir))
    except NotReadableError:
        raise
    except Exception as error:  # ValueError, ImportError, and whatever a file system raises.
        raise NotReadableError(
            f"TensorBoard cannot read {logdir!r} ({error}). Paths with :// need the Python package "
            "fsspec and its backend for that file system."
        ) from error

    multiplexer = EventMultiplexer(tensor_size_guidance={"nanwatch": 0})
    multiplexer.Reload()  # From here on a run is loaded as it is added.
    total = sum(_event_bytes(gfile, folder) for folder in folders)
    problems: list[str] = []
    progress.start(f"Reading {total / 1e6:,.0f} MB of logs", total)
    with _counted_reads(gfile, logdir, progress), _noticed(problems):
        for folder in folders:
            name = os.path.relpath(folder, logdir)
            try:
                multiplexer.AddRun(folder, name)
            except Exception as error:  # Whatever damaged files make TensorBoard's loaders raise.
                reason = f"{type(error).__name__}: {error}"
                problems.append(f"run {name!r} could be read only in part ({reason}).")
    provider = MultiplexerDataProvider(multiplexer, logdir)
    return Logs(provider, RequestContext(), tuple(dict.fromkeys(problems)))


def _event_bytes(gfile: Any, folder: str) -> int:
    total = 0
    for name in gfile.listdir(folder):
        if "tfevents" in name:
            try:
                total += gfile.stat(gfile.get_filesystem(folder).join(folder, name)).length
            except Exception:  # Only the bar is wrong then; the loader says what is.
                continue
    return total


class _Counted:
    """A file system of TensorBoard's, each of whose reads moves the bar."""

    def __init__(self, files: Any, progress: Progress):
        self._files, self._progress = files, progress

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def read(self, *args: Any, **kwargs: Any) -> Any:
        found = self._files.read(*args, **kwargs)
        self._progress.advance(len(found[0]))
        return found


@contextmanager
def _counted_reads(gfile: Any, logdir: str, progress: Progress) -> Iterator[None]:
    prefix = logdir.partition("://")[0] if "://" in logdir else ""
    if "::" in prefix:  # A chain of fsspec's; only whole prefixes can be registered.
        yield
        return
    files = gfile.get_filesystem(logdir)
    gfile.register_filesystem(prefix, _Counted(files, progress))
    try:
        yield
    finally:
        gfile.register_filesystem(prefix, files)


@contextmanager
def _noticed(problems: list[str]) -> Iterator[None]:
    """Adds to `problems` what TensorBoard's loader only logs."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if record.levelno >= logging.ERROR:
                problems.append(f"TensorBoard: {text}")
            # A truncated last record is that of a run in progress, or of one that was killed.
            elif "Truncated record" in text and "crc32 check" in text:
                file = record.args[0] if isinstance(record.args, tuple) else text
                problems.append(f"{file!r} is corrupt; everything after the corruption is lost.")

    logger = logging.getLogger("tensorboard")
    level, propagate, handler = logger.level, logger.propagate, Handler()
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    handlers, logger.handlers = logger.handlers, [handler]
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.propagate, logger.handlers = propagate, handlers
