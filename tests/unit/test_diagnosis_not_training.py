"""Losses that do not move, fall without end, or have nothing to train."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic_histories import DEFAULT, MODEL, Values, history

from tb_nanwatch.diagnosis import Finding, diagnose, explanation, headline


def with_loss(value: object, steps: int = 200, every: int = 1) -> tuple[Finding, ...]:
    def change(step: int, values: Values) -> None:
        values["loss", "loss"] = np.array(value(step), np.float32)  # type: ignore[operator]

    return diagnose(history(change, steps=steps, every=every, roles=DEFAULT))


@pytest.mark.parametrize("every", [1, 16])
def test_a_far_loss_that_does_not_move_is_stuck(every: int) -> None:
    (found,) = with_loss(lambda step: 1e15 * (1 + 1e-4 * np.sin(step)), every=every)
    assert (found.cause, found.variant, found.severity) == ("not-training", "stuck", "warning")
    assert headline(found).startswith("Loss does not move")
    assert "1e15" in explanation(found)


@pytest.mark.parametrize(
    ("value", "steps"),
    [
        (lambda step: 0.693 + 1e-4 * np.sin(step), 200),  # A coin's entropy may be the best.
        (lambda step: 1e15 * 0.999**step, 200),
        (lambda step: 1e15, 60),
        (lambda step: 3e5, 200),
    ],
    ids=["small", "falling", "short", "moderate"],
)
def test_other_losses_are_not_stuck(value: object, steps: int) -> None:
    assert with_loss(value, steps) == ()


def test_nothing_to_train_is_said_whatever_the_loss() -> None:
    model = replace(MODEL, trainable_variables=0)
    (found,) = diagnose(history(steps=3, roles=("input", "loss"), model=model))
    assert (found.cause, found.variant) == ("not-training", "no-variables")
    assert headline(found) == (
        "Nothing is trained from step 0 · the model has no trainable variables"
    )
    assert "tf.Variable" in explanation(found)
    of_keras_2 = replace(found, model=replace(found.model, framework="tf_keras"))
    assert "Keras 3" not in explanation(of_keras_2)


@pytest.mark.parametrize("is_frozen", [False, True])
def test_large_data_is_not_why_nothing_is_trained(is_frozen: bool) -> None:
    def change(step: int, values: Values) -> None:
        values["target", "target"] = values["target", "target"] * np.float32(1e3)

    layers = tuple(replace(each, trainable=not is_frozen) for each in MODEL.layers)
    model = replace(MODEL, layers=layers, trainable_variables=0)
    (found,) = diagnose(history(change, steps=3, roles=("target", "loss", "weight"), model=model))
    assert found.cause == "not-training"


def test_a_frozen_model_is_said_to_be_frozen() -> None:
    layers = tuple(replace(each, trainable=False) for each in MODEL.layers)
    model = replace(MODEL, layers=layers, trainable_variables=0)
    (found,) = diagnose(history(steps=3, roles=("loss", "weight"), model=model))
    assert (found.cause, found.variant) == ("not-training", "frozen")
    assert headline(found) == "Nothing is trained from step 0 · the whole model is frozen"
    assert "`trainable` is False for 10 variables" in explanation(found)
    assert "tf.Variable" not in explanation(found)
    (found,) = diagnose(
        history(steps=3, roles=("loss", "weight"), model=replace(MODEL, trainable_variables=0))
    )
    assert found.variant == "no-variables"


@pytest.mark.parametrize("every", [1, 8])
def test_a_loss_that_falls_without_end_has_no_bound(every: int) -> None:
    (found,) = with_loss(lambda step: 0.7 - 10.0 ** (step / 20), every=every)
    assert (found.cause, found.variant) == ("divergence", "unbounded")
    assert 30 < found.step < 150
    assert headline(found).startswith("Loss without a lower bound")
    assert "below its start" in explanation(found)


@pytest.mark.parametrize(
    "value",
    [
        lambda step: 5000.0 - 40.0 * step,  # The log density of an image.
        lambda step: -2e4 * np.sin(step / 9),  # A critic.
        lambda step: -3e6 - step,  # A constant that was left in.
    ],
    ids=["log-density", "critic", "offset"],
)
def test_other_losses_below_zero_are_healthy(value: object) -> None:
    assert with_loss(value) == ()
