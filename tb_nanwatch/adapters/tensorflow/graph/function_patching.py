"""Functions of others, exchanged for one thread: whoever trains in another one notices nothing.

What a class or a module holds is the same for all threads. So a function that is put in its place
looks at who calls: for threads that exchanged it, each runs its own; for all others, the original.
It stays there as long as any thread needs it, in whichever order they come and go.

Replicas of `tf.distribute` run in threads of their own, which count as the one that started them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tb_nanwatch.adapters.tensorflow.private_api import private, unconverted

Function = Callable[..., Any]


class Exchange(NamedTuple):
    """One function that is exchanged.

    Attributes:
      owner: the class or module that holds it; what others inherit is exchanged for them, too.
      name: its name there; of a property what computes it is exchanged.
      call: called in its place, as call(original, *args, **kwargs). The original of an exchange
        within an exchange is the outer one.
    """

    owner: Any
    name: str
    call: Function


class _Place:
    """A function, and what runs in its place in each thread that exchanged it."""

    def __init__(self, owner: Any, name: str):
        self._owner, self._name = owner, name
        self._original = vars(owner)[name]
        is_property = isinstance(self._original, property)
        self._function: Function = self._original.fget if is_property else self._original
        self._calls: dict[int, Function] = {}
        run = self._run()
        self._exchanged = property(run) if is_property else run

    def _run(self) -> Function:
        calls, function = self._calls, self._function

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            return calls.get(this_thread(), function)(*args, **kwargs)

        return unconverted(run)

    def is_current(self) -> bool:
        """Whether nobody else has put something into the place since."""
        return vars(self._owner)[self._name] in (self._original, self._exchanged)

    def enter(self, here: int, call: Function) -> Function | None:
        """Has `call` run in this thread; what to hand to `leave`."""
        before = self._calls.get(here)
        self._calls[here] = functools.partial(call, before or self._function)
        setattr(self._owner, self._name, self._exchanged)
        return before

    def leave(self, here: int, before: Function | None) -> None:
        """Takes back what the latest `enter` of this thread has done."""
        if before is not None:
            self._calls[here] = before
            return
        del self._calls[here]
        # Where somebody has put something of theirs over it, that calls it: it goes on as if not.
        if not self._calls and vars(self._owner)[self._name] is self._exchanged:
            setattr(self._owner, self._name, self._original)


_lock = threading.Lock()
_places: dict[tuple[Any, str], _Place] = {}


def this_thread() -> int:
    """What tells this thread from every other one; a replica's is that of who started it."""
    # TensorFlow hands this very list on to the threads of replicas, for its own debuggers.
    context = private("context")
    return threading.get_ident() if context is None else id(context().op_callbacks)


@contextmanager
def exchanged(*exchanges: Exchange) -> Iterator[None]:
    """Until the block ends these functions are exchanged, in this thread alone.

    One that its owner does not hold, as in another version of TensorFlow, is left out.
    """
    here = this_thread()
    left = []
    try:
        with _lock:
            for owner, name, call in exchanges:
                if name not in vars(owner):
                    continue
                place = _place(owner, name)
                left.append((place, place.enter(here, call)))
        yield
    finally:
        with _lock:
            for place, before in reversed(left):
                place.leave(here, before)


def _place(owner: Any, name: str) -> _Place:
    """Made once: a step that runs eagerly comes here each time."""
    place = _places.get((owner, name))
    if place is None or not place.is_current():
        # Anew rather than changed: what somebody put over the former may still call that.
        place = _places[owner, name] = _Place(owner, name)
    return place
