"""A verdict says what of a report is right, and nothing that is not."""

from __future__ import annotations

from typing import Any

import pytest

from tb_nanwatch_demo.truth import Truth
from tb_nanwatch_demo.verdicts import judge, table

BROKEN = Truth(
    status="nonfinite",
    causes=("layer-forward",),
    step=7,
    roles=("activation",),
    layer="scale",
)
UNSTABLE = Truth(status="unstable", causes=("dead-layer",), beside=("divergence",), step=3)


def finding(
    cause: str = "layer-forward", severity: str = "error", step: int = 7, **origin: str
) -> dict[str, Any]:
    place = {"role": "activation", "layer": "scale", "tensor": "scale", **origin}
    return {"cause": cause, "severity": severity, "step": step, "origin": place}


def report(status: str, *findings: dict[str, Any]) -> dict[str, Any]:
    return {"run": "a_run", "status": status, "findings": list(findings)}


def test_all_right() -> None:
    verdict = judge(report("nonfinite", finding()), BROKEN)
    assert verdict.agrees
    assert verdict.false_alarms == ()


@pytest.mark.parametrize(
    ("said", "part"),
    [
        (report("unstable", finding()), "detected"),
        (report("nonfinite", finding(step=8)), "step"),
        (report("nonfinite", finding(role="gradient")), "role"),
        (report("nonfinite", finding(layer="hidden")), "layer"),
        (report("nonfinite", finding("loss-domain")), "cause"),
    ],
)
def test_each_wrong_part_alone_spoils_it(said: dict[str, Any], part: str) -> None:
    verdict = judge(said, BROKEN)
    parts = {
        name: getattr(verdict, name) for name in ("detected", "step", "role", "layer", "cause")
    }
    assert [name for name, right in parts.items() if not right] == [part]
    assert not verdict.agrees


def test_first_finding_counts_and_others_are_false_alarms() -> None:
    late = judge(report("nonfinite", finding("loss-domain"), finding()), BROKEN)
    assert not late.cause
    extra = judge(report("nonfinite", finding(), finding("divergence", "warning")), BROKEN)
    assert extra.false_alarms == ("divergence",)
    assert not extra.agrees


def test_what_is_true_beside_may_come_first_where_all_stays_finite() -> None:
    dead = finding("dead-layer", "warning", step=3)
    spike = finding("divergence", "warning", step=2)
    assert judge(report("unstable", spike, dead), UNSTABLE).agrees
    assert not judge(report("unstable", spike), UNSTABLE).agrees
    assert not judge(
        report("unstable", finding("unscaled-input", "warning"), dead), UNSTABLE
    ).agrees


def test_nothing_said_of_a_broken_run_is_wrong_in_every_part() -> None:
    verdict = judge(report("healthy"), BROKEN)
    assert not any((verdict.detected, verdict.step, verdict.role, verdict.layer, verdict.cause))


def test_healthy_runs_may_have_information_and_no_warning() -> None:
    info = finding("loss-scale-backoff", "info")
    assert judge(report("healthy", info), Truth()).agrees
    assert not judge(report("unstable", finding("divergence", "warning")), Truth()).agrees
    assert not judge(report("healthy"), Truth(also=("loss-scale-backoff",))).agrees


def test_table_marks_what_differs() -> None:
    right = judge(report("nonfinite", finding()), BROKEN)
    wrong = judge(report("healthy"), BROKEN)
    heading, first, second, _, total = table([right, wrong])
    assert heading.split() == ["run", "expected", "found"]
    assert first.startswith(
        "  a_run  layer-forward, step 7, scale  layer-forward, step 7, activation"
    )
    assert second.startswith("! a_run")
    assert second.endswith("  healthy")
    assert total == "1 of 2 runs as expected, 1 marked !"
