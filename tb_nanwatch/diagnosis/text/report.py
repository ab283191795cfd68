"""Findings and runs as JSON, and a finding as a message while training runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.text.explanations import explanation
from tb_nanwatch.diagnosis.text.fixes import advice, fix_code, help_link
from tb_nanwatch.diagnosis.text.headlines import headline, run_headline
from tb_nanwatch.diagnosis.text.rerun import note, trial_sentence, trials
from tb_nanwatch.diagnosis.verdict import Verdict
from tb_nanwatch.format.rerun import operation_to_json, trial_to_json


def to_json(finding: Finding) -> dict[str, Any]:
    """The finding as an element of `findings` in `nanwatch report --json`, version 1.

    The keys `worker`, `record_also`, `rerun`, `tried`, and `operation` and `examples` of the
    origin, are there only where they say something.
    """
    origin, rerun = finding.origin, finding.rerun
    answer: dict[str, Any] = {
        "cause": finding.cause,
        "severity": finding.severity,
        "step": finding.step,
        "last_step": finding.last_step,
        "origin": _place(origin.role, origin.layer, origin.tensor, origin.worker),
        "affected": [
            {**_place(each.role, each.layer, each.tensor, each.worker), "step": each.step}
            for each in finding.affected
        ],
        "evidence": dict(finding.evidence),
        "headline": headline(finding),
        "message": explanation(finding),
        "advice": advice(finding),
        "fix_code": fix_code(finding),
        "help": help_link(finding),
    }
    if rerun is not None:
        if rerun.operation is not None:
            answer["origin"]["operation"] = operation_to_json(rerun.operation)
        if rerun.examples:
            answer["origin"]["examples"] = list(rerun.examples)
        answer["rerun"] = {
            "reproduced": rerun.reproduced,
            "mode": rerun.mode,
            "note": note(rerun),
        }
        if rerun.tried:
            answer["tried"] = [
                {**trial_to_json(each), "text": trial_sentence(each)} for each in rerun.tried
            ]
    if finding.record_also:
        answer["record_also"] = list(finding.record_also)
    return answer


def _place(role: str, layer: str, tensor: str, worker: str) -> dict[str, str]:
    place = {"role": role, "layer": layer, "tensor": tensor}
    return {**place, "worker": worker} if worker else place


class RunExtent(Protocol):
    """What a run has, as far as it could be read: the reader's index of it.

    Attributes:
      began: when it was first written to, seconds since the epoch; None where not known.
      first_step: of all its records; None where there is none.
      last_step: likewise.
      written: records that were written, as far as is known.
      read: those of them that could be read. The verdict is on these alone.
      problems: what could not be read, in sentences.
    """

    @property
    def began(self) -> float | None: ...
    @property
    def first_step(self) -> int | None: ...
    @property
    def last_step(self) -> int | None: ...
    @property
    def written(self) -> int: ...
    @property
    def read(self) -> int: ...
    @property
    def problems(self) -> Sequence[str]: ...


def run_report(name: str, verdict: Verdict, run: RunExtent) -> dict[str, Any]:
    """One element of `runs` in `nanwatch report --json`, version 1.

    Args:
      name: the run's.
      verdict: on it.
      run: what was read of it.

    Returns:
      What `json` can write: a number that is not finite is one of the strings "NaN", "Infinity" and
      "-Infinity". The key `problems` is there only where there are some.
    """
    answer: dict[str, Any] = {
        "run": name,
        "status": verdict.status,
        "headline": run_headline(verdict),
        "began": run.began,
        "first_step": run.first_step,
        "last_step": run.last_step,
        "records": {"written": run.written, "read": run.read},
        "findings": [finding_report(finding) for finding in verdict.findings],
    }
    if run.problems:
        answer["problems"] = list(run.problems)
    return answer


def finding_report(finding: Finding) -> dict[str, Any]:
    """One element of `findings` in `nanwatch report --json`, with strings as in `run_report`."""
    answer: dict[str, Any] = finite(to_json(finding))
    return answer


def finite(value: Any) -> Any:
    """`value` with each number that is not finite as a string, however deep in dicts and lists."""
    if isinstance(value, dict):
        return {key: finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [finite(member) for member in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def live_message(finding: Finding) -> str:
    """The finding as printed while training runs: headline, why, and the first thing to do."""
    lines = [headline(finding), f"  why: {explanation(finding)}"]
    lines.append(f"  fix: {_first_sentence(advice(finding))}")
    lines += (f"       {line}" for line in fix_code(finding).splitlines())
    lines += (f"  tried: {each}" for each in trials(finding.rerun))
    return "\n".join(lines)


def _first_sentence(words: str) -> str:
    return words.split(". ")[0].removesuffix(".") + "."
