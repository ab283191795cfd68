"""The one verdict on each run: worked out once for each state of its data, for all routes."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tb_nanwatch.diagnosis import run_report, verdict
from tb_nanwatch.reader import Access, Reader, RunIndex
from tb_nanwatch.reader.cache import Cache
from tb_nanwatch.reader.listing import Entries, Entry
from tb_nanwatch.reader.reader import Listed

_GRACE = 0.05
"""Seconds that a list may take to wait for verdicts: enough for one run that has grown."""

_BLOCKS = 32
"""Block tags that are read at a time. Whoever opens a run meanwhile waits for them."""

_MOMENT = 0.2
"""Seconds of diagnosing between two looks at which runs there are."""

_PENDING: dict[str, Any] = {"status": "pending", "headline": "", "finding": None}

_logger = logging.getLogger("tensorboard.nanwatch")

Answers = Cache[dict[str, Any]]

ANSWER_BYTES = 32 * 2**20
"""Limit of what is kept of answers that were made from whole runs, as JSON."""


def answer_cache() -> Answers:
    """A cache of answers that were made from whole runs; its states are the runs' indexes."""
    return Cache(ANSWER_BYTES, lambda answer: len(json.dumps(answer)))


class Verdicts:
    """The diagnosis of every run, for the list of runs and for the findings of one. Thread-safe.

    `report` works it out at once. A list of runs never waits for it: a thread reads and diagnoses
    what the list lacks, and ends when nothing is left. It takes runs with NaN or Inf first, by the
    earliest step, then reads runs not read yet, the newest first, and then diagnoses the rest.
    """

    def __init__(self, reader: Reader, answers: Answers):
        self._reader, self._answers = reader, answers
        self._verdicts: dict[tuple[str, str], tuple[RunIndex, dict[str, Any]]] = {}
        self._unreadable: dict[tuple[str, str], tuple[object, str]] = {}
        self._lock = threading.Lock()
        self._wanted: dict[str, Access] = {}
        self._done: threading.Event | None = None

    def report(self, access: Access, index: RunIndex) -> dict[str, Any]:
        """What `findings` answers: the run's element of `runs` in `nanwatch report --json`.

        Of a run whose diagnosis fails its status is "pending", and `problems` has the reason.
        """
        key = "findings", access.experiment, index.run
        report = self._answers.get_or_compute(
            key, index, lambda: _report(self._reader, access, index)
        )
        self._verdicts[access.experiment, index.run] = index, listed_verdict(report)
        return report

    def runs(self, access: Access) -> list[dict[str, Any]]:
        """What `runs` answers. Waits a moment at most for what was not read or diagnosed yet."""
        deadline = time.monotonic() + _GRACE
        listed = self._reader.listed(access)
        if self._left(access, listed):
            self._work_on(access).wait(max(0.0, deadline - time.monotonic()))
            listed = self._reader.listed(access)
        return [self._row(access, name, run) for name, run in listed.items()]

    def _row(self, access: Access, name: str, run: Listed) -> dict[str, Any]:
        index = run.index
        row: dict[str, Any] = {
            "run": name,
            **_PENDING,
            "began": None,
            "first_step": None,
            "last_step": None,
            "tensors": 0,
            "records": {"written": 0, "read": 0},
            "nonfinite_tensors": 0,
            "scale_skipped_steps": 0,
            "last_written": _last_written(run) or None,
        }
        if index is not None:
            row |= counts(index)
        problem = self._problem(access, run)
        if problem:
            row["problems"] = [problem]
        elif run.is_current:
            diagnosed, known = self._verdicts.get((access.experiment, name), (None, _PENDING))
            row |= known if diagnosed is index else _PENDING
        return row

    def _problem(self, access: Access, run: Listed) -> str:
        """Why a run could not be read in its present state; "" where nothing is known of that."""
        entries, problem = self._unreadable.get((access.experiment, run.directory), (None, ""))
        return problem if entries is run.entries else ""

    def _left(self, access: Access, listed: Mapping[str, Listed]) -> dict[str, Listed]:
        """The runs without a verdict on their present state, and those of unread directories."""
        return {
            name: run
            for name, run in listed.items()
            if not (
                run.is_read
                and self._verdicts.get((access.experiment, name), (None,))[0] is run.index
            )
            and not self._problem(access, run)
        }

    def _work_on(self, access: Access) -> threading.Event:
        """Has the thread do what is left of an experiment; the event is set when all is done."""
        with self._lock:
            self._wanted[access.experiment] = access
            if self._done is None:
                self._done = threading.Event()
                threading.Thread(target=self._work, name="nanwatch-verdicts", daemon=True).start()
            return self._done

    def _work(self) -> None:
        while True:
            with self._lock:
                access = next(iter(self._wanted.values()), None)
                if access is None:
                    assert self._done is not None
                    self._done.set()
                    self._done = None
                    return
            try:
                is_left = self._work_once(access)
            except Exception:  # Of the listing: the next request answers with it.
                _stop_at_exit()
                _logger.warning("NaNWatch could not list the runs", exc_info=True)
                is_left = False
            if not is_left:
                with self._lock:
                    if self._wanted.get(access.experiment) is access:  # No request since then.
                        del self._wanted[access.experiment]
            # The reader's lock is not fair: a request that waits for it comes first.
            time.sleep(0.001)

    def _work_once(self, access: Access) -> bool:
        """Reads some runs, or diagnoses some; whether there was anything to do."""
        listed = self._reader.listed(access)
        self._forget_others(access, listed)
        left = self._left(access, listed)
        read = [run.index for run in left.values() if run.is_read and run.index is not None]
        bad = sorted(
            (index for index in read if _first_nonfinite(index) < np.inf), key=_first_nonfinite
        )
        unread = {run.directory: run.entries for run in left.values() if not run.is_read}
        if bad:
            self._diagnose(access, bad)
        elif unread:
            self._read(access, _newest(unread))
        elif read:
            self._diagnose(access, read)
        return bool(left)

    def _diagnose(self, access: Access, indexes: Iterable[RunIndex]) -> None:
        """Diagnoses the first runs, as many as can be done in a moment, but at least one."""
        end = time.monotonic() + _MOMENT
        for index in indexes:
            self.report(access, index)
            if time.monotonic() > end:
                return
            time.sleep(0)  # A request comes first.

    def _read(self, access: Access, directories: list[str]) -> None:
        """Reads some directories; where that fails, each by itself, so that others are read."""
        listed = self._reader.listed(access)
        try:
            self._reader.read(access, directories)
            return
        except Exception:
            _stop_at_exit()
            if len(directories) > 1:
                for directory in directories:
                    self._read(access, [directory])
                return
            _logger.exception("NaNWatch could not read %r", directories[0])
        (directory,) = directories
        for run in listed.values():
            if run.directory == directory:
                self._unreadable[access.experiment, directory] = (
                    run.entries,
                    "NaNWatch could not read this run; TensorBoard's log has the traceback.",
                )

    def _forget_others(self, access: Access, listed: Mapping[str, Listed]) -> None:
        """Drops what is known of deleted runs and directories."""
        directories = {run.directory for run in listed.values()}
        for known, names in ((self._verdicts, listed.keys()), (self._unreadable, directories)):
            for experiment, name in list(known):
                if experiment == access.experiment and name not in names:
                    known.pop((experiment, name), None)


def summary(index: RunIndex) -> dict[str, Any]:
    """What `runs` and `run` both give of a run."""
    return {
        "run": index.run,
        "began": index.began,
        "first_step": index.first_step,
        "last_step": index.last_step,
        "records": {"written": index.written, "read": index.read},
    }


def counts(index: RunIndex) -> dict[str, Any]:
    """What `runs` gives of a run that was read, but for the verdict."""
    return summary(index) | {
        "tensors": len(index.tensors),
        "nonfinite_tensors": int(np.count_nonzero(~np.isnan(index.nonfinite.first))),
        "scale_skipped_steps": index.scale_skipped_steps,
    }


def _report(reader: Reader, access: Access, index: RunIndex) -> dict[str, Any]:
    try:
        return run_report(index.run, verdict(reader.history(access, index)), index)
    except Exception as error:
        _stop_at_exit()
        # A run that cannot be diagnosed is still worth looking at, and so are the others.
        _logger.exception("NaNWatch could not diagnose run %r", index.run)
        problem = (
            f"NaNWatch could not diagnose this run ({type(error).__name__}: {error}). "
            "TensorBoard's log has the traceback; please report it."
        )
        return {
            **summary(index),
            "status": "pending",
            "headline": "",
            "findings": [],
            "problems": [*index.problems, problem],
        }


def _stop_at_exit() -> None:
    """Ends the thread where TensorBoard is exiting: no call succeeds then, and none is missed."""
    if not threading.main_thread().is_alive():
        raise SystemExit


def listed_verdict(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a list gives of a run's report."""
    finding = next(iter(report["findings"]), None)
    given = {
        "status": report["status"],
        "headline": report["headline"],
        "finding": finding
        and {name: finding[name] for name in ("cause", "severity", "step", "headline")},
    }
    if report["status"] == "pending":
        given["problems"] = report["problems"]
    return given


def _first_nonfinite(index: RunIndex) -> float:
    """The first step at which a tensor of the run is non-finite; infinity for none."""
    first = index.nonfinite.first
    return float(np.nanmin(first)) if not np.isnan(first).all() else np.inf


def _last_written(run: Listed) -> float:
    """When the run was last written to, in seconds since the epoch; 0 where that is not known.

    As far as it was read: thousands of runs may share a directory, whose tags are no run's own.
    """
    return _written(run.entries if run.index is None else run.index.entries)


def _written(entries: Iterable[Entry]) -> float:
    return max((entry.state[1] for entry in entries), default=0.0)


def _newest(directories: Mapping[str, Entries]) -> list[str]:
    """Those of the directories written to last, up to so many blocks of them."""
    chosen: list[str] = []
    blocks = 0
    for name in sorted(directories, key=lambda name: _written(directories[name]), reverse=True):
        blocks += sum(entry.parsed.kind == "stats" for entry in directories[name])
        if chosen and blocks > _BLOCKS:
            break
        chosen.append(name)
    return chosen
