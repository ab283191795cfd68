"""Findings in words: the only place with sentences. Console, live message, HTML report and JSON
take them from here.

- `headlines`: a finding or a run in one line: what at which step, where, in which line of source.
- `explanations`: what happened and why that is known, with numbers; by cause in
  `nonfinite_explanations` and `trend_explanations`.
- `fix_table`: what to do, in words and as code, by cause, variant and framework, or by the
  operation at fault. `fixes` picks from it.
- `operation`: an operation, its operands and the rows of the batch in words.
- `report`: a finding and a run as JSON, and a finding as the live message has it.
- `comparison`: the first difference of two runs in words.
- `layout`: what a report says of a finding besides: what it spread to, what to record.
- `names`, `numbers`: tensors, counts and numbers as people read them.

Style: first what happened, then why it is known, then the fix as code. One idea a sentence, subject
first. A guess is called one. "Will not fix this" is only for what is certain.
"""

from __future__ import annotations

from tb_nanwatch.diagnosis.text.explanations import explanation
from tb_nanwatch.diagnosis.text.fixes import advice, fix_code
from tb_nanwatch.diagnosis.text.headlines import headline, run_headline
from tb_nanwatch.diagnosis.text.report import finding_report, live_message, run_report, to_json

__all__ = [
    "advice",
    "explanation",
    "finding_report",
    "fix_code",
    "headline",
    "live_message",
    "run_headline",
    "run_report",
    "to_json",
]
