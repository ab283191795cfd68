"""From arrays to what is wrong with a run: pure.

- `facts`: a run as rules see it: histories, intervals, order, layers, causal chain.
- `rules`: from facts to findings; one module a cause, listed in one place. Its docstring explains
  how to add one.
- `text`: findings in words; the only place with sentences.

Around them:

- `diagnose`: the way in, a history to its findings.
- `verdict`: what a run is, with its most important finding.
- `finding`: what a finding is, and every cause.
- `thresholds`: every number that a rule compares with.
- `compare`, `comparison`: the first difference of two runs.

`facts` import no rule and `rules` no text: findings are facts until the very end.
"""

from __future__ import annotations

from tb_nanwatch.diagnosis.diagnose import diagnose
from tb_nanwatch.diagnosis.finding import CAUSES, SEVERITIES, Affected, Finding, Place, Severity
from tb_nanwatch.diagnosis.text import (
    advice,
    explanation,
    finding_report,
    fix_code,
    headline,
    live_message,
    run_headline,
    run_report,
    to_json,
)
from tb_nanwatch.diagnosis.thresholds import Threshold, Thresholds, thresholds
from tb_nanwatch.diagnosis.verdict import Status, Verdict, status, verdict, verdict_of

__all__ = [
    "CAUSES",
    "SEVERITIES",
    "Affected",
    "Finding",
    "Place",
    "Severity",
    "Status",
    "Threshold",
    "Thresholds",
    "Verdict",
    "advice",
    "diagnose",
    "explanation",
    "finding_report",
    "fix_code",
    "headline",
    "live_message",
    "run_headline",
    "run_report",
    "status",
    "thresholds",
    "to_json",
    "verdict",
    "verdict_of",
]
