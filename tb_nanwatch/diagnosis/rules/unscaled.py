"""`unscaled-input`, `unscaled-target`: data of large magnitude, where trouble follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.growth import is_overflow
from tb_nanwatch.diagnosis.rules.trend_finding import finding_of_trend

_TROUBLE = ("exploding-gradient", "divergence", "range-overflow-risk", "dead-layer")
"""What unscaled data leads to, besides errors about magnitudes."""


def unscaled_data(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One for each input and target that may have led to one of `findings`."""
    trouble = [each for each in findings if is_overflow(each) or each.cause in _TROUBLE]
    if not trouble:
        return
    worst = min(trouble, key=lambda each: each.step)
    for tensor in run.recorded("input", "target"):
        history = run.histories[tensor]
        magnitude = history.magnitude()
        large = np.flatnonzero(magnitude >= run.thresholds.unscaled_magnitude)
        if not len(large) or history.first[large[0]] > worst.last_step:
            continue
        yield finding_of_trend(
            run,
            f"unscaled-{run.info(tensor).role}",
            tensor,
            (int(history.last[large[0]]), int(history.last[large[-1]])),
            {"largest_magnitude": float(np.nanmax(magnitude)), "trouble_step": worst.step},
            related={"trouble": worst.cause},
        )
