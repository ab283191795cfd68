"""`fill-value`: a value that stands for a missing one, and is computed with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.fill_values import FillValue, fill_value
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.event_finding import Answer, finding_from_event
from tb_nanwatch.diagnosis.rules.growth import huge_data
from tb_nanwatch.diagnosis.rules.trend_finding import finding_of_trend
from tb_nanwatch.diagnosis.rules.unscaled import large_before, trouble_of


def overflowing_fill_value(run: Run, event: Event) -> Answer:
    """For whatever overflows where a fill value alone explains it."""
    role = huge_data(run, event.step)
    if not role or run.info(event.origin).role in ("input", "target"):
        return None
    for tensor in run.recorded(role):
        found = fill_value(run, tensor)
        if found is not None:
            finding = finding_from_event(
                run,
                event,
                "fill-value",
                variant=role,
                severity="error",
                evidence=_evidence(found),
            )
            first = run.affected(event.origin, event.step)
            return replace(finding, origin=run.place(tensor), affected=(first, *finding.affected))
    return None


def fill_values(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One for each input and target with a fill value that may have led to one of `findings`."""
    worst = trouble_of(findings)
    if worst is None or any(each.cause == "fill-value" for each in findings):
        return
    for tensor in run.recorded("input", "target"):
        steps = large_before(run, tensor, worst)
        found = fill_value(run, tensor) if steps is not None else None
        if steps is not None and found is not None:
            yield finding_of_trend(
                run,
                "fill-value",
                tensor,
                steps,
                {**_evidence(found), "trouble_step": worst.step},
                variant=run.info(tensor).role,
                related={"trouble": worst.cause},
            )


def _evidence(found: FillValue) -> dict[str, float]:
    return {
        "fill_value": found.value,
        "fill_share": found.share,
        "largest_other": found.largest_other,
    }
