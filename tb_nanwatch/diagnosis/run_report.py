"""What is said of one run, as JSON: the same from the console and over HTTP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tb_nanwatch.diagnosis.finding import Finding, headline, to_json


def run_report(
    run: str,
    *,
    status: str,
    first_step: int | None,
    last_step: int | None,
    written: int,
    read: int,
    findings: Sequence[Finding],
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """One element of `runs` in `nanwatch report --json`, version 1.

    Args:
      run: its name.
      status: of the run, by `diagnosis.status`.
      first_step: of all its records; None where there is none.
      last_step: likewise.
      written: records that were written, as far as can be told.
      read: those of them that could be read. The findings are of these alone.
      findings: most important first.
      problems: what could not be read, in sentences.

    Returns:
      What `json` can write: a number that is not finite is one of the strings "NaN", "Infinity" and
      "-Infinity". The key `problems` is there only where there are some.
    """
    answer: dict[str, Any] = {
        "run": run,
        "status": status,
        "headline": headline(findings[0]) if findings else status.capitalize(),
        "first_step": first_step,
        "last_step": last_step,
        "records": {"written": written, "read": read},
        "findings": [finite(to_json(finding)) for finding in findings],
    }
    if problems:
        answer["problems"] = list(problems)
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
