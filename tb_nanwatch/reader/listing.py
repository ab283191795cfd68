"""What tags there are: one `list_tensors` per reload, for all runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tensorboard.data.provider import DataProvider

from tb_nanwatch.format.tags import PLUGIN_NAME, Tag, parse_tag
from tb_nanwatch.reader.runs import shown_run

FRESH_SECONDS = 1.0
"""How long a listing is believed. The page asks several questions after each reload, and even an
empty call to the data server takes about 44 ms."""

_ATTEMPTS = 3


@dataclass(frozen=True)
class Access:
    """Who asks, and of which experiment: what every call to the DataProvider carries.

    Attributes:
      context: TensorBoard's RequestContext.
      experiment: id of the experiment; "" for a local TensorBoard.
    """

    context: Any
    experiment: str = ""


@dataclass(frozen=True)
class Entry:
    """A tag with data.

    Attributes:
      run: TensorBoard's name of the run.
      tag: the whole tag.
      parsed: its parts.
      state: last step and last wall time under the tag. As long as it stays the same so do the
        events, which makes what was read of a finished block good for ever.
    """

    run: str
    tag: str
    parsed: Tag
    state: tuple[int, float]

    @property
    def key(self) -> tuple[str, str]:
        return self.run, self.tag

    def __hash__(self) -> int:
        # Ten thousands of them are looked up after each reload: not by all of the parts.
        return hash((self.tag, self.run, self.state[0]))


Entries = tuple[Entry, ...]

Directories = dict[str, Entries]
"""By the name under which they are shown."""


_LATEST = 2.0**40
"""Seconds since the epoch, beyond the year 30,000."""


def usable_time(wall_time: float | None) -> float:
    """The wall time of an event; 0 for what is none, as in a damaged file: NaN equals nothing."""
    return wall_time if wall_time is not None and abs(wall_time) < _LATEST else 0.0


class Listing:
    """The tags by directory. Thread-safe."""

    def __init__(self, provider: DataProvider, clock: Callable[[], float] = time.monotonic):
        self._provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Directories]] = {}

    def entries(self, access: Access) -> Directories:
        """Directories in the order of their names, each with its tags, oldest session first.

        As long as the tags of a directory stay the same, so does the object.
        """
        with self._lock:
            asked, known = self._known.get(access.experiment, (0.0, {}))
            if access.experiment not in self._known or self._clock() - asked > FRESH_SECONDS:
                known = _updated(known, self._list(access))
                self._known[access.experiment] = self._clock(), known
            return known

    def _list(self, access: Access) -> Mapping[str, Mapping[str, Any]]:
        for attempt in range(_ATTEMPTS):
            try:
                listed: Mapping[str, Mapping[str, Any]] = self._provider.list_tensors(
                    access.context, experiment_id=access.experiment, plugin_name=PLUGIN_NAME
                )
                break
            except KeyError:
                # While TensorBoard's Python loader loads, it knows a tag's metadata an instant
                # before its first value, and a listing falls over that tag (read in its source).
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.05)
        return listed


def _updated(known: Directories, listed: Mapping[str, Mapping[str, Any]]) -> Directories:
    """The directories as they are listed now; what has not changed is the same object as before.

    A list of hundreds of runs has ten thousands of tags, and is asked for every few seconds.
    """
    before = {entry.key: entry for entries in known.values() for entry in entries}
    now: list[Entry] = []
    changed = False
    for run, tags in listed.items():
        for tag, series in tags.items():
            entry = before.get((run, tag))
            state = series.max_step, usable_time(series.max_wall_time)
            if entry is None or entry.state != state:
                parsed = parse_tag(tag)
                if parsed is None or series.max_step is None:
                    continue
                entry = Entry(run, tag, parsed, state)
                changed = True
            now.append(entry)
    if not changed and len(now) == len(before):
        return known
    found = _by_directory(now)
    return {
        name: known[name] if known.get(name) == entries else entries
        for name, entries in found.items()
    }


def _age(entry: Entry) -> tuple[str, ...]:
    """Sorts as the streams do, in a tenth of their time."""
    stream = entry.parsed.stream
    return stream.session, stream.role, stream.name, entry.run, entry.tag


def _by_directory(entries: Iterable[Entry]) -> Directories:
    directories: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=_age):
        directories.setdefault(shown_run(entry.run, entry.parsed.stream), []).append(entry)
    return {name: tuple(directories[name]) for name in sorted(directories)}
