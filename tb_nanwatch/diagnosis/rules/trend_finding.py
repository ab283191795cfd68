"""A finding about what is finite: of some steps, of severity as its cause has it."""

from __future__ import annotations

from collections.abc import Mapping

from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import CAUSES, Affected, Finding


def finding_of_trend(
    run: Run,
    cause: str,
    tensor: int,
    steps: tuple[int, int],
    evidence: Mapping[str, float],
    *,
    variant: str = "",
    related: Mapping[str, str] | None = None,
    affected: tuple[Affected, ...] = (),
) -> Finding:
    """The finding, seen on `tensor` from the first to the last of `steps`."""
    return Finding(
        cause,
        CAUSES[cause].severity,
        *steps,
        run.place(tensor),
        variant=variant,
        evidence=dict(evidence),
        related=dict(related or {}),
        affected=affected,
        model=run.history.model,
    )
