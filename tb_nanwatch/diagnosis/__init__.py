"""From arrays to what is wrong with a run: pure.

- `diagnose`: the way in, a history to its findings.
- `finding`: what a finding is, and its form as JSON.
- `run_report`: what is said of one run, as JSON.
- `compare`: where two runs part.
- `thresholds`: every number that a rule compares with.
- `tracks`: a history by tensor.
- `spells`: when each tensor was non-finite.
- `flow`: the order in which data flows through a step.
- `cascade`: which non-finite tensor explains which.
- `curves`: norms over the steps, and when they have run away.
- `run`: all of that for one run, as the rules look at it.
- `origins`: the rules for what became non-finite, one for each role, and of them apart
  `frontier` (which layer did it backward), `runaway` (growth until it overflows) and `poisoned`
  (statistics that stay non-finite); `events`: an event of the cascade as a finding.
- `trends`: the rules for what grows, fades or stands still.
- `ranges`: the rules for magnitudes, dtypes and data that is not scaled.
- `scaling`: the rule for loss scaling.
- `reruns`: what running a step again adds to its finding.
- `advice`, `words`: what findings say.
- `first_nonfinite`: where it began, from the counts alone.
"""

from __future__ import annotations

from tb_nanwatch.diagnosis.diagnose import Status, diagnose, status
from tb_nanwatch.diagnosis.finding import (
    CAUSES,
    Finding,
    Place,
    Victim,
    headline,
    short_text,
    to_json,
)
from tb_nanwatch.diagnosis.first_nonfinite import FirstNonfinite, first_nonfinite
from tb_nanwatch.diagnosis.run_report import run_report
from tb_nanwatch.diagnosis.thresholds import Threshold, Thresholds, thresholds

__all__ = [
    "CAUSES",
    "Finding",
    "FirstNonfinite",
    "Place",
    "Status",
    "Threshold",
    "Thresholds",
    "Victim",
    "diagnose",
    "first_nonfinite",
    "headline",
    "run_report",
    "short_text",
    "status",
    "thresholds",
    "to_json",
]
