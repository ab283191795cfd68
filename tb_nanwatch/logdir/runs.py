"""The runs of log directories, each with its verdict."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from tb_nanwatch.diagnosis import Thresholds, Verdict, run_report, verdict
from tb_nanwatch.format.history import History
from tb_nanwatch.logdir.loading import NotReadableError, load
from tb_nanwatch.logdir.progress import Progress
from tb_nanwatch.reader import Access, Reader, RunIndex
from tb_nanwatch.reader.index import unreadable

_LISTED = 20

_NO_VERDICT = Verdict((), 0, 0, frozenset())
"""On a run of which nothing could be read."""

_logger = logging.getLogger("tensorboard.nanwatch")


@dataclass(frozen=True)
class FoundRun:
    """A run, and how to read more of it.

    Attributes:
      name: as TensorBoard has it, below its log directory where there are
        several.
    """

    name: str
    reader: Reader
    access: Access
    index: RunIndex

    def history(self) -> History:
        """All that it recorded; read at each call, because that can be much."""
        return self.reader.history(self.access, self.index)


@dataclass(frozen=True)
class DiagnosedRun:
    """A run with the verdict on it."""

    found: FoundRun
    verdict: Verdict

    @property
    def name(self) -> str:
        return self.found.name

    @property
    def index(self) -> RunIndex:
        return self.found.index

    def to_json(self) -> dict[str, Any]:
        """The element of `runs` in `nanwatch report --json`."""
        return run_report(self.name, self.verdict, self.index)


def find(
    logdirs: Sequence[str], progress: Progress, opened: ExitStack, say: Callable[[str], None]
) -> Iterator[FoundRun]:
    """Every run with NaNWatch data, open for as long as `opened` is. `say` gets what is unreadable.

    Raises:
      NotReadableError: where a directory does not exist, or has no run.
    """
    seen = False
    for logdir in logdirs:
        logs = opened.enter_context(load(logdir, progress))
        for problem in logs.problems:
            say(problem)
        reader, access = Reader(logs.provider), Access(logs.context)
        indexes = _read(reader, access)
        seen |= bool(indexes)
        if not indexes and len(logdirs) > 1:
            say(f"no NaNWatch data below {logdir!r}.")
        for index in indexes:
            name = index.run
            if len(logdirs) > 1:
                name = logdir if name == "." else os.path.join(logdir, name.removeprefix("./"))
            yield FoundRun(name, reader, access, index)
    if not seen:
        raise NotReadableError(
            f"no NaNWatch data below {' or '.join(map(repr, logdirs))}. Expected event files that "
            "nanwatch.Callback, nanwatch.Watcher or nanwatch.summary wrote."
        )


def _read(reader: Reader, access: Access) -> list[RunIndex]:
    """Every run; of one that cannot be read, no more than its name and its problem."""
    try:
        return reader.runs(access)
    except Exception:
        _logger.debug("reading the runs one by one", exc_info=True)
    found = []
    for name in reader.listed(access):
        try:
            found.append(reader.run(access, name))
        except Exception as error:
            found.append(unreadable(name, _failure("read", error)))
    return found


def _failure(action: str, error: Exception) -> str:
    text = f"NaNWatch could not {action} this run ({type(error).__name__}: {error!s:.200})"
    return f"{text}. This is a bug: please report it with the run's event files."


def choose(found: Iterable[FoundRun], pattern: re.Pattern[str] | None) -> list[FoundRun]:
    """Those whose name matches; raises NotReadableError where there is none."""
    found = list(found)
    chosen = [run for run in found if pattern is None or pattern.search(run.name)]
    if not chosen and pattern is not None:
        raise NotReadableError(f"no run matches {pattern.pattern!r}. Runs: {names(found)}.")
    return chosen


def names(found: Sequence[FoundRun]) -> str:
    """The runs' names in a sentence, the first few of many."""
    more = ", ..." if len(found) > _LISTED else ""
    return ", ".join(run.name for run in found[:_LISTED]) + more


def diagnosed(
    found: Sequence[FoundRun], thresholds: Thresholds, progress: Progress
) -> Iterator[DiagnosedRun]:
    """Each run with its verdict."""
    progress.start("Diagnosing", len(found))
    for run in found:
        yield _diagnosed(run, thresholds)
        progress.advance(1)


def _diagnosed(run: FoundRun, thresholds: Thresholds) -> DiagnosedRun:
    if not run.index.records and not run.index.entries:
        return DiagnosedRun(run, _NO_VERDICT)
    try:
        return DiagnosedRun(run, verdict(run.history(), thresholds))
    except Exception as error:
        problems = (*run.index.problems, _failure("diagnose", error))
        damaged = replace(run, index=replace(run.index, problems=problems))
        return DiagnosedRun(damaged, _NO_VERDICT)
