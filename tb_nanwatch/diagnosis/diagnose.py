"""The way in: a history to its findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import SEVERITIES, Finding, Place
from tb_nanwatch.diagnosis.rules import EVENT_RULES, RUN_RULES
from tb_nanwatch.diagnosis.rules.explosion import as_explosion
from tb_nanwatch.diagnosis.rules.growth import follows, is_overflow, with_later
from tb_nanwatch.diagnosis.rules.reruns import with_rerun
from tb_nanwatch.diagnosis.thresholds import Thresholds
from tb_nanwatch.format.history import History


def diagnose(history: History, thresholds: Thresholds | None = None) -> tuple[Finding, ...]:
    """What is wrong with a run, the most important first: errors by step, warnings, infos.

    Steps that loss scaling handled count for the findings about loss scaling alone. What was not
    recorded is unknown, and not taken for healthy: `Finding.record_also` lists what would tell
    more.
    """
    run = Run(history, thresholds or Thresholds())
    found = _merged(_explained(run))
    for rule in RUN_RULES:
        found += (with_rerun(each, history.reruns) for each in rule(run, tuple(found)))
    found = _merged(found)
    if not history.is_complete:
        found = [replace(each, is_partial=True) for each in found]
    return tuple(sorted(found, key=_importance))


def _explained(run: Run) -> Iterator[Finding]:
    """A finding for each event that did harm, by step; those of magnitudes that ran away last, and
    what comes next in such a run as affected by it."""
    ran_away: list[Finding] = []
    for event in run.events:
        found = _finding(run, event)
        if found is None:
            continue
        if ran_away and follows(found, ran_away[-1]):
            ran_away[-1] = with_later(ran_away[-1], found)
        elif is_overflow(found):
            ran_away.append(found)
        else:
            yield found
    yield from ran_away


def _finding(run: Run, event: Event) -> Finding | None:
    """The first answer of the event rules, with what running the step again has shown."""
    for rule in EVENT_RULES:
        answer = rule(run, event)
        if isinstance(answer, Finding):
            return as_explosion(run, event, with_rerun(answer, run.history.reruns))
        if answer is not None:
            return None
    return None


def _importance(finding: Finding) -> tuple[int, bool, int]:
    """Orders findings; what led to trouble comes after the trouble, however early it began."""
    return (
        SEVERITIES.index(finding.severity),
        finding.cause in ("unscaled-input", "unscaled-target") and not finding.variant,
        finding.step,
    )


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """The findings with those of the same cause and origin as one, from its first to its last."""
    known: dict[tuple[str, Place], Finding] = {}
    for each in findings:
        key = each.cause, each.origin
        first = known.setdefault(key, each)
        if first is not each:
            reached = {(a.role, a.tensor, a.worker) for a in first.affected}
            more = (a for a in each.affected if (a.role, a.tensor, a.worker) not in reached)
            known[key] = replace(
                first,
                last_step=max(first.last_step, each.last_step),
                affected=(*first.affected, *more),
            )
    return list(known.values())
