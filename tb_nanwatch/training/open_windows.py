"""Writes the open windows of a process that ends: at its exit, or by SIGTERM.

A recording waits with the steps of its open window until that is full. Nothing here keeps a
recording alive, and a process that was forked writes nothing of its parent's.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

_MOST_SECONDS = 5.0
"""How long to wait for another thread that is writing."""


class OpenWindow(Protocol):
    """A recording with an open window."""

    def rescue(self) -> bool:
        """Writes the open window, and never raises; False where this thread is writing already."""


_known: weakref.WeakSet[Any] = weakref.WeakSet()
_training: weakref.WeakSet[Any] = weakref.WeakSet()


class WriteLock:
    """Held while something is written, by one thread; a signal waits until it is released."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._process = os.getpid()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Runs a block that writes."""
        try:
            with self._lock:
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
        finally:
            if not self._depth:
                _SIGNAL.deliver()

    def may_write(self) -> bool:
        """Whether `rescue` is to write: not in a process that was forked."""
        return os.getpid() == self._process

    @contextmanager
    def from_outside(self) -> Iterator[bool]:
        """Runs a block that may interrupt the training anywhere.

        Yields whether this thread is not in the middle of writing itself. Another thread that is
        gets some seconds to finish.
        """
        if not self._lock.acquire(timeout=_MOST_SECONDS):
            raise TimeoutError
        try:
            yield not self._depth
        finally:
            self._lock.release()


class _Termination:
    """What SIGTERM does while something trains: writes what is open, and ends the process.

    The handler is installed only by the main thread, and only in place of the default, which then
    ends the process. Python runs it between two instructions: not before a step that is being
    executed is done.
    """

    def __init__(self) -> None:
        self._is_pending = False
        self._is_installed = False

    def install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)
            self._is_installed = True

    def restore(self) -> None:
        """Restores the default, unless somebody else has installed another handler since."""
        if not self._is_installed or threading.current_thread() is not threading.main_thread():
            return
        self._is_installed = False
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def deliver(self) -> None:
        """Ends the process if a signal came while it was writing."""
        if self._is_pending and threading.current_thread() is threading.main_thread():
            self._handle()

    def _handle(self, *_: object) -> None:
        rescued = [each.rescue() for each in list(_training)]  # All, whatever the first says.
        self._is_pending = not all(rescued)
        if not self._is_pending:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)


_SIGNAL = _Termination()


def keep(window: OpenWindow) -> None:
    """Has a recording's open window written when the interpreter exits, if it still exists."""
    # Once more each time: what is registered last runs first, before the framework is torn down.
    atexit.unregister(_rescue_all)
    atexit.register(_rescue_all)
    _known.add(window)


def begin_training(window: OpenWindow) -> None:
    """Has SIGTERM write this recording's open window until `end_training`."""
    _training.add(window)
    _SIGNAL.install()


def end_training(window: OpenWindow) -> None:
    """Has SIGTERM do what it did before, once nothing trains any more."""
    _training.discard(window)
    if not _training:
        _SIGNAL.restore()


def abandon(window: OpenWindow) -> None:
    """A training has ended without notice: writes its open window."""
    window.rescue()
    end_training(window)


def _rescue_all() -> None:
    for each in list(_known):
        each.rescue()


if hasattr(os, "register_at_fork"):
    # A process that loads data, say, is ended by its parent at once.
    os.register_at_fork(after_in_child=_SIGNAL.restore)
