"""Spies on methods of single objects, for as long as a step is traced or run."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

from tb_nanwatch.adapters.tensorflow.private_api import unconverted

Observer = TypeVar("Observer")


class Spy(NamedTuple):
    """One method that is spied on.

    Attributes:
      owner: the object whose method it is; others of its class are left alone.
      method: the method's name.
      call: called in its place, as call(observer, original, *args, **kwargs).
    """

    owner: Any
    method: str
    call: Callable[..., Any]


class Spies(Generic[Observer]):
    """Has methods spied on, in this thread, by an observer of the step that the thread runs.

    Replicas run a step each in a thread of its own, the methods belong to objects that they share:
    so the first thread puts the spies in, the last takes them out, and each has its own observer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._installed = ExitStack()
        self._refused: list[Any] = []
        self._local = threading.local()

    @contextmanager
    def report_to(self, observer: Observer, spies: Iterable[Spy]) -> Iterator[list[Any]]:
        """Has the spies call with this observer, in this thread, until the block ends.

        Gives the owners that refuse a spy: their methods stay as they are.
        """
        with self._lock:
            self._threads += 1
            if self._threads == 1:
                self._refused = [spy.owner for spy in spies if not self._install(spy)]
        try:
            with self._observer(observer):
                yield self._refused
        finally:
            with self._lock:
                self._threads -= 1
                if self._threads == 0:
                    self._installed.close()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Has the spies see nothing, in this thread, until the block ends."""
        with self._observer(None):
            yield

    @contextmanager
    def _observer(self, observer: Observer | None) -> Iterator[None]:
        before = getattr(self._local, "observer", None)
        self._local.observer = observer
        try:
            yield
        finally:
            self._local.observer = before

    def _install(self, spy: Spy) -> bool:
        try:
            original = getattr(spy.owner, spy.method)
            method = self._method(spy, original)
            # Past Keras's __setattr__, which tracks and, once built, locks.
            attributes = vars(spy.owner)
            own = attributes.get(spy.method)
            attributes[spy.method] = method
            self._installed.callback(_put_back, attributes, spy.method, own)
            # A property, say, is what the class says whatever the object holds.
            return getattr(spy.owner, spy.method) is method
        except Exception:
            return False

    def _method(self, spy: Spy, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            observer = getattr(self._local, "observer", None)
            if observer is None:
                return original(*args, **kwargs)
            return spy.call(observer, original, *args, **kwargs)

        return unconverted(method)


def _put_back(attributes: dict[str, Any], name: str, own: Any) -> None:
    if own is None:
        attributes.pop(name, None)
    else:
        attributes[name] = own
