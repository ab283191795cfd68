"""Findings and thresholds: their forms."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tb_nanwatch.diagnosis import (
    CAUSES,
    Affected,
    Finding,
    Place,
    Thresholds,
    Verdict,
    advice,
    explanation,
    fix_code,
    headline,
    live_message,
    run_report,
    thresholds,
    to_json,
)
from tb_nanwatch.format.rerun import Operation, Rerun

FINDING = Finding(
    cause="loss-domain",
    severity="error",
    step=17,
    last_step=240,
    origin=Place("loss", "", "loss"),
    variant="probabilities",
    affected=(Affected("gradient", "dense_1", "sequential/dense_1/kernel", 17),),
    evidence={"nan": 1, "pos_inf": 0, "neg_inf": 0},
)


def test_json_is_version_1_of_the_report() -> None:
    assert json.loads(json.dumps(to_json(FINDING))) == {
        "cause": "loss-domain",
        "severity": "error",
        "step": 17,
        "last_step": 240,
        "origin": {"role": "loss", "layer": "", "tensor": "loss"},
        "affected": [
            {
                "role": "gradient",
                "layer": "dense_1",
                "tensor": "sequential/dense_1/kernel",
                "step": 17,
            }
        ],
        "evidence": {"nan": 1, "pos_inf": 0, "neg_inf": 0},
        "headline": "NaN in the loss at step 17",
        "message": explanation(FINDING),
        "advice": advice(FINDING),
        "fix_code": fix_code(FINDING),
        "help": "findings.md#loss-domain",
    }


def test_json_has_more_where_there_is_more() -> None:
    operation = Operation("Log", "forward", file="loss.py", line=3)
    more = replace(
        FINDING,
        origin=Place("loss", "", "loss", "w1"),
        record_also=("slot",),
        rerun=Rerun(17, True, "eager", "", operation, (3,)),
    )
    answer = to_json(more)
    assert answer["origin"]["worker"] == "w1"
    assert answer["origin"]["operation"]["type"] == "Log"
    assert answer["origin"]["examples"] == [3]
    assert answer["record_also"] == ["slot"]
    assert answer["rerun"] == {"reproduced": True, "mode": "eager", "note": ""}


def test_json_of_a_run() -> None:
    run = SimpleNamespace(began=1.5e9, first_step=0, last_step=9, written=3, read=2)
    run.problems = ["1 record is missing."]
    verdict = Verdict((FINDING,), 10, 4, frozenset({"loss"}))
    answer = run_report("a_run", verdict, run)
    assert answer == {
        "run": "a_run",
        "status": "nonfinite",
        "headline": headline(FINDING),
        "began": 1.5e9,
        "first_step": 0,
        "last_step": 9,
        "records": {"written": 3, "read": 2},
        "findings": [to_json(FINDING)],
        "problems": ["1 record is missing."],
    }
    evidence = replace(FINDING, evidence={"nan": 1, "largest_prediction": float("inf")})
    (found,) = run_report("a_run", replace(verdict, findings=(evidence,)), run)["findings"]
    assert found["evidence"]["largest_prediction"] == "Infinity"


def test_the_live_message_is_headline_reason_and_first_thing_to_do() -> None:
    lines = live_message(FINDING).splitlines()
    assert lines[0] == "NaN in the loss at step 17"
    assert lines[1].startswith("  why: The loss is NaN at step 17")
    assert lines[2] == "  fix: Compute the loss from logits: it then stays finite."
    assert lines[3].startswith("       outputs = keras.layers.Dense(units)(x)")


def test_the_readme_lists_every_cause_with_its_severity() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = readme.split("## What it finds")[1].split("\n\n")[1]
    listed = {}
    for row in table.splitlines()[2:]:
        names, severity, _ = (cell.strip() for cell in row.strip("|").split("|"))
        listed.update(dict.fromkeys(re.findall("`(.*?)`", names), severity))
    assert listed == {cause: info.severity for cause, info in CAUSES.items()}


def test_thresholds_are_documented_and_can_be_replaced() -> None:
    listed = thresholds()
    assert [each.name for each in listed] == list(vars(Thresholds()))
    assert all(each.unit and each.reason.endswith(".") for each in listed)
    assert Thresholds.from_mapping({"dead_steps": 3}).dead_steps == 3
    assert Thresholds.from_mapping({}) == Thresholds()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"dead_recrods": 3}, "Unknown threshold 'dead_recrods'. Known thresholds: growth_decades"),
        ({"dead_steps": "3"}, "Expected dead_steps to be a whole number above 0, got '3'"),
        ({"dead_steps": 2.5}, "Expected dead_steps to be a whole number, got 2.5"),
        ({"growth_decades": -1}, "Expected growth_decades to be a number above 0, got -1"),
        ({"growth_decades": float("nan")}, "Expected growth_decades to be a number above 0"),
        ({"growth_decades": True}, "Expected growth_decades to be a number above 0, got True"),
        ([3], r"Expected a mapping of threshold names to numbers, got \[3\]"),
    ],
)
def test_wrong_thresholds_say_what_is_right(values: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Thresholds.from_mapping(values)
