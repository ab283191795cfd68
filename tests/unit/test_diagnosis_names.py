"""Names mean nothing to a diagnosis: whatever layers and tensors are called, it finds the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_histories import (
    ALL,
    DEFAULT,
    LAYERS,
    MODEL,
    STATISTICS,
    Change,
    Values,
    aftermath,
    history,
    of_role,
    poison,
    ruin,
)

from tb_nanwatch import diagnosis
from tb_nanwatch.diagnosis import Finding, diagnose
from tb_nanwatch.format.facts import UNKNOWN_MODEL, LossFacts
from tb_nanwatch.format.history import History
from tb_nanwatch.format.rerun import Element, Operand, Operation, Rerun

T = 17
SUGGESTIVE = (
    *("moving_mean", "kernel", "bias", "relu", "max_pooling1d", "sqrt", "lambda", "log_where"),
    *("loss", "input", "sample_weight", "gradient", "norm", "dense", "prediction", "a/b/c"),
)


def breaking(first: Change) -> Change:
    def change(step: int, values: Values) -> None:
        if step == T:
            first(step, values)
        elif step > T:
            aftermath(values)

    return change


def forward(step: int, values: Values) -> None:
    poison(values, *of_role(values, "activation", layers=LAYERS[2:]))
    ruin(values, "prediction", "loss", "activation_gradient", "gradient", "slot", "update")
    ruin(values, "weight")


def backward(step: int, values: Values) -> None:
    for role in ("activation_gradient", "gradient", "slot", "update", "weight"):
        keys = of_role(values, role, layers=LAYERS[:2])
        poison(values, *(key for key in keys if key not in STATISTICS))


def hidden(step: int, values: Values) -> None:
    if step >= T:
        poison(values, ("weight", "three/kernel"))
        values["gradient", "three/kernel"] = np.full((5, 4), np.nan, np.float32)


def statistics(step: int, values: Values) -> None:
    if step >= T:
        poison(values, *STATISTICS)


def fading(step: int, values: Values) -> None:
    for place, layer in enumerate(reversed(LAYERS)):
        for key in of_role(values, "gradient", layers=[layer]):
            values[key] = values[key] * np.float32(0.02**place)


def dead(step: int, values: Values) -> None:
    values["loss", "loss"] = np.array(2.3, np.float32)
    for key in of_role(values, "gradient", layers=LAYERS[:2]):
        values[key] = np.zeros_like(values[key])


SCENARIOS: dict[str, tuple[Change, Sequence[str]]] = {
    "forward": (breaking(forward), ALL),
    "forward by default": (breaking(forward), DEFAULT),
    "backward": (breaking(backward), ALL),
    "backward by default": (breaking(backward), DEFAULT),
    "hidden": (hidden, DEFAULT),
    "statistics": (statistics, ALL),
    "vanishing": (fading, DEFAULT),
    "dead": (dead, DEFAULT),
}
RECORDED = {name: history(change, roles=roles) for name, (change, roles) in SCENARIOS.items()}
EXP = Operation(
    "Exp",
    "forward",
    "three",
    operands=(Operand("x", "float32", (8, 5), (Element((3, 0), "27068.0"),)),),
    result=Operand("y", "float32", (8, 5), (Element((3, 0), "inf"),)),
)


def empty(step: int, values: Values) -> None:
    values["input", "input"] = values["target", "target"] = np.zeros((0, 5), np.float32)
    backward(step, values)


PROBABILITIES = replace(MODEL, losses=(LossFacts("", "BinaryCrossentropy", True, False),))
RERUN = {
    "an empty batch": history(breaking(empty), roles=DEFAULT),
    "an improper output": history(lambda step, values: None, roles=DEFAULT, model=PROBABILITIES),
} | {
    f"{name}, run again": replace(RECORDED[name], reruns=(Rerun(T, True, "eager", "", EXP),))
    for name in ("forward", "forward by default", "backward")
}


def renamed(recorded: History, layer: Callable[[str], str], name: Callable[[str], str]) -> History:
    model = replace(
        recorded.model,
        layers=tuple(
            replace(each, path=layer(each.path), inputs=tuple(map(layer, each.inputs)))
            for each in recorded.model.layers
        ),
    )
    tensors = tuple(
        replace(info, layer=layer(info.layer), name=name(info.name)) for info in recorded.tensors
    )
    reruns = tuple(
        replace(each, operation=replace(each.operation, layer=layer(each.operation.layer)))
        for each in recorded.reruns
        if each.operation is not None
    )
    return replace(recorded, tensors=tensors, model=model, reruns=reruns)


def facts(
    findings: Iterable[Finding], layer: Callable[[str], str], name: Callable[[str], str]
) -> list[Finding]:
    """The findings with their names mapped."""
    return [
        replace(
            each,
            origin=replace(
                each.origin, layer=layer(each.origin.layer), tensor=name(each.origin.tensor)
            ),
            affected=tuple(
                replace(a, layer=layer(a.layer), tensor=name(a.tensor)) for a in each.affected
            ),
            related={
                key: layer(value) if key.endswith("layer") else value
                for key, value in each.related.items()
            },
            model=UNKNOWN_MODEL,
            rerun=None,
        )
        for each in findings
    ]


@pytest.mark.parametrize("scenario", [*SCENARIOS, *RERUN])
@settings(max_examples=8, deadline=None)
@given(drawn=st.randoms(use_true_random=False))
def test_renaming_every_layer_and_tensor_changes_no_finding(
    scenario: str, drawn: np.random.Generator
) -> None:
    recorded = {**RECORDED, **RERUN}[scenario]
    used = [info.layer for info in recorded.tensors] + [info.name for info in recorded.tensors]
    numbers = list(range(len(set(used))))
    drawn.shuffle(numbers)  # type: ignore[arg-type]
    forth = {
        old: f"{SUGGESTIVE[n % len(SUGGESTIVE)]}_{n}"
        for old, n in zip(dict.fromkeys(used), numbers, strict=True)
    } | {"": ""}
    back = {new: old for old, new in forth.items()}
    expected = facts(diagnose(recorded), str, str)
    assert expected
    found = diagnose(renamed(recorded, forth.__getitem__, forth.__getitem__))
    assert facts(found, back.__getitem__, back.__getitem__) == expected


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_without_facts_it_says_less_and_nothing_else(scenario: str) -> None:
    """Where the framework said nothing the step is the same, and no layer is made up."""
    change, roles = SCENARIOS[scenario]
    known = diagnose(RECORDED[scenario])
    found = diagnose(history(change, roles=roles, model=UNKNOWN_MODEL))
    assert [(each.severity, each.step) for each in found] == [
        (each.severity, each.step) for each in known
    ]
    if scenario != "hidden":
        assert [(e.cause, e.origin) for e in found] == [(e.cause, e.origin) for e in known]
    else:
        assert (found[0].cause, found[0].variant) == ("layer-backward", "own-variables")


def test_no_rule_looks_into_a_name() -> None:
    folder = Path(diagnosis.__file__).parent
    for path in [*folder.glob("facts/*.py"), *folder.glob("rules/*.py"), *folder.glob("*.py")]:
        source = path.read_text(encoding="utf-8")
        found = re.findall(
            r"(?m)^import re$|\.(?:startswith|endswith|r?partition|r?split|find|lower|match)\(",
            source,
        )
        assert not found, (path, found)
