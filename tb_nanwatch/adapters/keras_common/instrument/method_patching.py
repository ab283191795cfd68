"""Replaces methods of single objects while a step is traced or run."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

from tb_nanwatch.adapters.tensorflow.private_api import without_autograph

Receiver = TypeVar("Receiver")


class MethodPatch(NamedTuple):
    """One method that is replaced.

    Attributes:
      owner: the object whose method it is; others of its class are left alone.
      method: the method's name.
      call: called in its place, as call(receiver, original, *args, **kwargs).
    """

    owner: Any
    method: str
    call: Callable[..., Any]


class MethodPatches(Generic[Receiver]):
    """Replaces methods, each thread with a receiver for the step that it runs.

    Replicas run a step each, in a thread of its own, and share the objects whose methods are
    replaced: so the first thread installs the patches, the last one removes them, and each thread's
    calls go to its own receiver.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._installed = ExitStack()
        self._unpatched: list[Any] = []
        self._local = threading.local()

    @contextmanager
    def active(self, receiver: Receiver, patches: Iterable[MethodPatch]) -> Iterator[list[Any]]:
        """Has the patches call with this receiver, in this thread, until the block ends.

        Yields:
          The owners whose methods cannot be replaced.
        """
        with self._lock:
            self._threads += 1
            if self._threads == 1:
                self._unpatched = [each.owner for each in patches if not self._install(each)]
        try:
            with self._receiver(receiver):
                yield self._unpatched
        finally:
            with self._lock:
                self._threads -= 1
                if self._threads == 0:
                    self._installed.close()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Runs the original methods, in this thread, until the block ends."""
        with self._receiver(None):
            yield

    @contextmanager
    def _receiver(self, receiver: Receiver | None) -> Iterator[None]:
        before = getattr(self._local, "receiver", None)
        self._local.receiver = receiver
        try:
            yield
        finally:
            self._local.receiver = before

    def _install(self, patch: MethodPatch) -> bool:
        try:
            original = getattr(patch.owner, patch.method)
            method = self._replacement(patch, original)
            # Past Keras' __setattr__, which tracks attributes and, once built, locks them.
            attributes = vars(patch.owner)
            own = attributes.get(patch.method)
            attributes[patch.method] = method
            self._installed.callback(_restore, attributes, patch.method, own)
            # A property, say, comes from the class whatever the object holds.
            return getattr(patch.owner, patch.method) is method
        except Exception:
            return False

    def _replacement(self, patch: MethodPatch, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            receiver = getattr(self._local, "receiver", None)
            if receiver is None:
                return original(*args, **kwargs)
            return patch.call(receiver, original, *args, **kwargs)

        return without_autograph(method)


def _restore(attributes: dict[str, Any], name: str, own: Any) -> None:
    if own is None:
        attributes.pop(name, None)
    else:
        attributes[name] = own
