"""Replaces functions of classes and modules for one thread; other threads run the originals.

A class or a module is shared by all threads. So the function that is put there checks which thread
calls: a thread that patched it runs its replacement, all others the original. It stays as long as
any thread needs it, in whichever order they enter and leave.

Replicas of `tf.distribute` run in threads of their own, which count as the one that started them:
what one of them patches all of them run, and they may leave in another order than they entered.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tb_nanwatch.adapters.tensorflow.private_api import private, without_autograph

Function = Callable[..., Any]


class FunctionPatch(NamedTuple):
    """One function that is replaced.

    Attributes:
      owner: the class or module that holds it. Subclasses that inherit it get the replacement.
      name: its name there; of a property the getter is replaced.
      call: called in its place, as call(original, *args, **kwargs). The original of a nested patch
        is the outer patch.
    """

    owner: Any
    name: str
    call: Function


class _PatchPoint:
    """A function, and what runs in its place in each thread that patched it."""

    def __init__(self, owner: Any, name: str):
        self._owner, self._name = owner, name
        self._original = vars(owner)[name]
        is_property = isinstance(self._original, property)
        self._function: Function = self._original.fget if is_property else self._original
        self._entered: dict[int, list[Function]] = {}
        self._calls: dict[int, Function] = {}
        dispatch = self._make_dispatch()
        self._replacement = property(dispatch) if is_property else dispatch

    def _make_dispatch(self) -> Function:
        calls, function = self._calls, self._function

        @functools.wraps(function)
        def dispatch(*args: Any, **kwargs: Any) -> Any:
            return calls.get(this_thread(), function)(*args, **kwargs)

        return without_autograph(dispatch)

    def is_current(self) -> bool:
        """Whether nobody else has replaced the function since."""
        return vars(self._owner)[self._name] in (self._original, self._replacement)

    def enter(self, thread: int, call: Function) -> None:
        """Has `call` run in this thread, over what was entered before."""
        self._entered.setdefault(thread, []).append(call)
        self._stack(thread)
        setattr(self._owner, self._name, self._replacement)

    def leave(self, thread: int, call: Function) -> None:
        """Undoes the `enter` of this call; what else was entered stays."""
        entered = self._entered[thread]
        # The latest of equal ones. Not by equality: callables may define another.
        del entered[max(at for at, each in enumerate(entered) if each is call)]
        self._stack(thread)
        # Where somebody has wrapped the replacement, it stays, and runs the original.
        if not self._calls and vars(self._owner)[self._name] is self._replacement:
            setattr(self._owner, self._name, self._original)

    def _stack(self, thread: int) -> None:
        if not self._entered[thread]:
            del self._entered[thread], self._calls[thread]
            return
        function = self._function
        for call in self._entered[thread]:
            function = functools.partial(call, function)
        self._calls[thread] = function


_lock = threading.Lock()
_patch_points: dict[tuple[Any, str], _PatchPoint] = {}


def this_thread() -> int:
    """Identity of this thread; in a replica, that of the thread that started the replicas."""
    # TensorFlow passes this very list on to the threads of replicas, for its own debuggers.
    context = private("context")
    return threading.get_ident() if context is None else id(context().op_callbacks)


@contextmanager
def patch_functions(*patches: FunctionPatch) -> Iterator[None]:
    """Replaces these functions until the block ends, in this thread alone.

    A function that its owner does not have, as in another version of TensorFlow, is left out.
    """
    thread = this_thread()
    entered = []
    try:
        with _lock:
            for owner, name, call in patches:
                if name not in vars(owner):
                    continue
                point = _patch_point(owner, name)
                point.enter(thread, call)
                entered.append((point, call))
        yield
    finally:
        with _lock:
            for point, call in reversed(entered):
                point.leave(thread, call)


def _patch_point(owner: Any, name: str) -> _PatchPoint:
    """Made once, because a step that runs eagerly comes here each time."""
    point = _patch_points.get((owner, name))
    if point is None or not point.is_current():
        # A new one: a wrapper that somebody put over the former may still call that.
        point = _patch_points[owner, name] = _PatchPoint(owner, name)
    return point
