"""The runs of log directories, each with its verdict."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tb_nanwatch.cli.loading import NotReadableError, load
from tb_nanwatch.cli.progress import Progress
from tb_nanwatch.diagnosis import Thresholds, Verdict, run_report, verdict
from tb_nanwatch.format.history import History
from tb_nanwatch.reader import Access, Reader, RunIndex

_LISTED = 20


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
        index = self.index
        return run_report(
            self.name,
            self.verdict,
            first_step=index.first_step,
            last_step=index.last_step,
            written=index.written,
            read=index.read,
            problems=index.problems,
        )


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
        runs = reader.runs(access)
        seen |= bool(runs)
        if not runs and len(logdirs) > 1:
            say(f"no NaNWatch data below {logdir!r}.")
        for index in runs:
            name = index.run
            if len(logdirs) > 1:
                name = logdir if name == "." else os.path.join(logdir, name)
            yield FoundRun(name, reader, access, index)
    if not seen:
        raise NotReadableError(
            f"no NaNWatch data below {' or '.join(map(repr, logdirs))}. Expected event files that "
            "nanwatch.Callback, nanwatch.Watcher or nanwatch.summary wrote."
        )


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
        yield DiagnosedRun(run, verdict(run.history(), thresholds))
        progress.advance(1)
