"""Findings and thresholds: their forms."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tb_nanwatch.diagnosis import (
    CAUSES,
    Finding,
    Place,
    Thresholds,
    Victim,
    short_text,
    thresholds,
    to_json,
)
from tb_nanwatch.diagnosis.advice import _TEXTS, advice

FINDING = Finding(
    cause="loss-domain",
    severity="error",
    step=17,
    last_step=240,
    origin=Place("loss", "", "loss"),
    victims=(Victim("gradient", "dense_1", "sequential/dense_1/kernel", 17),),
    evidence={"nan": 1, "pos_inf": 0, "neg_inf": 0},
    message="The loss is\nNaN.",
    advice="Use from_logits=True. It is stable.",
)


def test_json_is_version_1_of_the_report() -> None:
    assert json.loads(json.dumps(to_json(FINDING))) == {
        "cause": "loss-domain",
        "severity": "error",
        "step": 17,
        "last_step": 240,
        "origin": {"role": "loss", "layer": "", "tensor": "loss"},
        "victims": [
            {
                "role": "gradient",
                "layer": "dense_1",
                "tensor": "sequential/dense_1/kernel",
                "step": 17,
            }
        ],
        "evidence": {"nan": 1, "pos_inf": 0, "neg_inf": 0},
        "message": "The loss is\nNaN.",
        "advice": "Use from_logits=True. It is stable.",
    }


def test_json_says_more_where_there_is_more() -> None:
    more = Finding(
        **{**vars(FINDING), "origin": Place("loss", "", "loss", "w1"), "turn_on": ("slot",)}
    )
    answer = to_json(more)
    assert answer["origin"]["worker"] == "w1"
    assert answer["turn_on"] == ["slot"]


def test_short_text_is_one_line() -> None:
    said = short_text(FINDING)
    assert said == "loss-domain at step 17: The loss is NaN. Use from_logits=True."
    brief = Finding(**{**vars(FINDING), "advice": "Use from_logits=True."})
    assert short_text(brief) == said


def test_the_readme_lists_every_cause_with_its_severity() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = readme.split("## What it finds")[1].split("\n\n")[1]
    listed = {}
    for row in table.splitlines()[2:]:
        names, severity, _ = (cell.strip() for cell in row.strip("|").split("|"))
        listed.update(dict.fromkeys(re.findall("`(.*?)`", names), severity))
    assert listed == CAUSES


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
        ([3], r"Expected thresholds as names with numbers, got \[3\]"),
    ],
)
def test_wrong_thresholds_say_what_is_right(values: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Thresholds.from_mapping(values)


VERBS = ("Find", "Keep", "Let", "Load", "Look", "Lower", "Make", "Normalise", "Nothing")
VERBS += ("Repair", "Scale", "See", "Train", "Use")


@pytest.mark.parametrize("key", _TEXTS)
def test_advice_begins_with_what_to_do(key: str) -> None:
    """In the console of a training there is room for one sentence."""
    assert key.split("/")[0] in CAUSES
    for layer in ("dense", ""):
        text = advice(key, Place("gradient", layer, "dense/kernel"))
        assert text.split()[0] in VERBS
        assert text.endswith(".")
        assert "{" not in text
        assert len(text.split(". ")[0]) < 320


def test_every_cause_has_advice() -> None:
    assert {key.split("/")[0] for key in _TEXTS} == set(CAUSES)
