"""A value that stands for a missing one, told apart from data of another scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic_histories import (
    DEFAULT,
    MODEL,
    STATISTICS,
    Values,
    aftermath,
    history,
    poison,
    ruin,
)

from tb_nanwatch.diagnosis import advice, diagnose, explanation, fix_code, headline

T = 6


def overflow(step: int, values: Values) -> None:
    if step == T:
        values["prediction", "prediction"] = np.full((8, 2), np.inf, np.float32)
        ruin(values, "loss", "gradient", "weight")
    elif step > T:
        aftermath(values)


def with_value(values: Values, role: str, value: float, times: int = 4) -> None:
    data = np.array(values[role, role])
    data.reshape(-1)[:times] = value
    values[role, role] = data


@pytest.mark.parametrize("role", ["input", "target"])
@pytest.mark.parametrize("value", [1e20, -1e30])
def test_an_overflow_by_a_fill_value_is_the_fill_values(role: str, value: float) -> None:
    def change(step: int, values: Values) -> None:
        with_value(values, role, value)
        overflow(step, values)

    found = diagnose(history(change, steps=12, roles=DEFAULT))
    first = found[0]
    assert (first.cause, first.severity, first.step) == ("fill-value", "error", T)
    assert first.origin.role == role
    assert headline(first).startswith(f"Fill value {value:.0e} in the {role}s".replace("+", ""))
    assert "stands for a missing value" in explanation(first)
    assert "cale" not in fix_code(first)
    assert not any(each.cause.startswith("unscaled") for each in found)


def growing(step: int, values: Values) -> None:
    loss = np.float32(10.0 ** (step / 5))
    values["loss", "loss"] = np.array(loss)


@pytest.mark.parametrize("value", [-999.0, 9999.0, 1e20])
def test_finite_trouble_tells_of_it_as_a_warning(value: float) -> None:
    def change(step: int, values: Values) -> None:
        with_value(values, "input", value)
        growing(step, values)

    found = diagnose(history(change, steps=40, roles=DEFAULT))
    assert [each.cause for each in found] == ["fill-value", "divergence"]
    assert found[0].severity == "warning"
    assert "divergence at step" in explanation(found[0])
    assert advice(found[0]).startswith("Replace the fill value before you scale")


@pytest.mark.parametrize(
    "value", [2020.0, 1.7e9, 1.7e12, 1234.0], ids=["year", "seconds", "milliseconds", "other"]
)
def test_a_column_of_another_unit_is_unscaled(value: float) -> None:
    def change(step: int, values: Values) -> None:
        data = np.array(values["input", "input"])
        data[:, 2] = value
        values["input", "input"] = data
        growing(step, values)

    found = diagnose(history(change, steps=40, roles=DEFAULT))
    assert [each.cause for each in found] == ["divergence", "unscaled-input"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_few_elements_are_outliers(times: int) -> None:
    def change(step: int, values: Values) -> None:
        if step == 0:
            with_value(values, "input", 999.0, times)
        growing(step, values)

    found = diagnose(history(change, steps=40, roles=DEFAULT))
    assert "fill-value" not in {each.cause for each in found}


def test_a_single_one_may_be_so_far_away_that_it_is_one() -> None:
    def change(step: int, values: Values) -> None:
        if step >= T:  # Training goes on, and the statistics stay as they are.
            poison(values, *STATISTICS, value=np.inf)
        if step == T:
            with_value(values, "input", 9.97e36, 1)

    found = diagnose(history(change, steps=20, roles=DEFAULT))[0]
    assert (found.cause, found.severity, found.step) == ("fill-value", "error", T)
    assert "moving_mean` contains 1 +Inf at step 6" in explanation(found)


def test_a_fill_value_that_does_no_harm_is_no_finding() -> None:
    def change(step: int, values: Values) -> None:
        with_value(values, "input", 1e20)

    assert diagnose(history(change, steps=40, roles=DEFAULT)) == ()


@pytest.mark.parametrize(
    ("class_name", "variance", "is_said"),
    [("Normalization", 0.0, True), ("Normalization", 0.1, False), ("Mine", 0.0, False)],
)
def test_a_normalization_of_a_constant_column_is_named(
    class_name: str, variance: float, is_said: bool
) -> None:
    def change(step: int, values: Values) -> None:
        values["weight", "norm/moving_variance"] = np.full(5, variance, np.float32)
        growing(step, values)

    layers = tuple(
        replace(each, class_name=class_name, is_builtin=class_name != "Mine")
        if each.path == "norm"
        else each
        for each in MODEL.layers
    )
    recorded = history(change, steps=40, roles=DEFAULT, model=replace(MODEL, layers=layers))
    tensors = tuple(
        replace(each, attribute="adapt_variance") if each.name == "norm/moving_variance" else each
        for each in recorded.tensors
    )
    found = diagnose(replace(recorded, tensors=tensors))
    assert [each.cause for each in found] == ["unscaled-input"] * is_said + ["divergence"]
    if is_said:
        assert headline(found[0]) == "Normalization of a constant column · layer `norm`"


def test_trouble_is_not_caused_by_data_that_came_later() -> None:
    def change(step: int, values: Values) -> None:
        if step >= 36:
            values["input", "input"] = np.full((8, 5), 5000.0, np.float32)
        growing(step, values)

    found = diagnose(history(change, steps=40, roles=DEFAULT))
    assert [each.cause for each in found] == ["divergence"]
    assert found[0].step < 36
