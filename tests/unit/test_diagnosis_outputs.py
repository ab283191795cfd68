"""Predictions that the loss cannot take for probabilities, and those that it can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from synthetic_histories import DEFAULT, MODEL, Values, healthy, history

from tb_nanwatch.diagnosis import Finding, advice, diagnose, explanation, headline
from tb_nanwatch.format.facts import LossFacts, ModelFacts

Array = npt.NDArray[np.float32]
Made = Callable[[np.random.Generator], Array]


def model(loss: str, activation: str, from_logits: bool | None = False, **more: str) -> ModelFacts:
    last = replace(MODEL.layers[-1], activation=activation)
    facts = LossFacts(more.get("name", ""), loss, "own" not in more, from_logits)
    return replace(MODEL, layers=(*MODEL.layers[:-1], last), losses=(facts,))


def said(facts: ModelFacts, prediction: Made, target: Made | None = None) -> tuple[Finding, ...]:
    def change(step: int, values: Values) -> None:
        draw = np.random.default_rng(step)
        values["prediction", "prediction"] = prediction(draw).astype(np.float32)
        values["target", "target"] = (target or one_hot)(draw).astype(np.float32)

    def make(step: int) -> Values:
        values = healthy(step)
        change(0, values)
        return values

    return diagnose(history(change, steps=8, roles=DEFAULT, model=facts, make=make))


def one_hot(draw: np.random.Generator) -> Array:
    return np.eye(3, dtype=np.float32)[draw.integers(0, 3, 8)]


def smoothed(draw: np.random.Generator) -> Array:
    return 0.9 * one_hot(draw) + np.float32(0.1 / 3)


def several(draw: np.random.Generator) -> Array:
    return draw.integers(0, 2, (8, 3)).astype(np.float32)


def logits(draw: np.random.Generator) -> Array:
    return draw.normal(0, 2, (8, 3)).astype(np.float32)


def rectified(draw: np.random.Generator) -> Array:
    return np.clip(draw.normal(0, 0.2, (8, 3)), 0, 0.9).astype(np.float32)


def sigmoid(draw: np.random.Generator) -> Array:
    return (1 / (1 + np.exp(-draw.normal(0, 1, (8, 3))))).astype(np.float32)


def softmax(draw: np.random.Generator) -> Array:
    powers = np.exp(draw.normal(0, 1, (8, 3)))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def ones(draw: np.random.Generator) -> Array:
    return np.ones((8, 1), np.float32)


CCE, BCE = "CategoricalCrossentropy", "BinaryCrossentropy"
SPARSE = "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("facts", "prediction", "target", "variant"),
    [
        (model(CCE, "linear"), logits, one_hot, "logits"),
        (model(SPARSE, ""), logits, one_hot, "logits"),
        (model(BCE, "tanh"), logits, several, "logits"),
        (model("categorical_crossentropy", "relu"), rectified, one_hot, "relu"),
        (model(BCE, "relu"), lambda draw: 9 * rectified(draw), several, "relu"),
        (model(CCE, "softmax"), ones, lambda draw: one_hot(draw)[:, :1], "one-unit"),
        (model(BCE, "softmax"), ones, lambda draw: one_hot(draw)[:, :1], "one-unit"),
        (model(CCE, "sigmoid"), sigmoid, one_hot, "sigmoid"),
        (model(CCE, "sigmoid"), sigmoid, smoothed, "sigmoid"),
        (model(SPARSE, "sigmoid"), sigmoid, one_hot, "sigmoid"),
    ],
)
def test_an_output_that_is_no_probability(
    facts: ModelFacts, prediction: Made, target: Made, variant: str
) -> None:
    (found,) = said(facts, prediction, target)
    assert (found.cause, found.variant, found.severity) == ("improper-output", variant, "warning")
    assert (found.step, found.origin.layer) == (0, "four")
    assert headline(found).endswith("· layer `four`")
    assert explanation(found)
    assert advice(found)


@pytest.mark.parametrize(
    ("facts", "prediction", "target"),
    [
        (model(CCE, "linear", True), logits, one_hot),
        (model(CCE, "relu", True), rectified, one_hot),
        (model(CCE, "softmax"), softmax, one_hot),
        (model(CCE, "softmax"), softmax, smoothed),
        # The model itself applies a softmax, or a sigmoid, after its last layer.
        (model(CCE, "linear"), softmax, one_hot),
        (model(BCE, "relu"), lambda draw: 0.5 + rectified(draw) / 2, several),
        (model(BCE, "sigmoid"), sigmoid, several),
        # Several classes a row, as far as it is known.
        (model(CCE, "sigmoid"), sigmoid, several),
        (
            model(BCE, "sigmoid"),
            lambda draw: sigmoid(draw)[:, :1],
            lambda draw: several(draw)[:, :1],
        ),
        (model("MeanSquaredError", "linear", None), logits, logits),
        (model(CCE, "linear", own="own"), logits, one_hot),
        # An attribute of a model with a step of its own, which predicts something else.
        (model(BCE, "tanh", name="loss_fn"), logits, several),
    ],
)
def test_an_output_that_is_as_the_loss_wants_it(
    facts: ModelFacts, prediction: Made, target: Made
) -> None:
    assert said(facts, prediction, target) == ()


def test_what_is_said_of_a_relu() -> None:
    (found,) = said(model(CCE, "relu"), lambda draw: 2 * rectified(draw))
    assert headline(found) == "ReLU before a cross entropy · layer `four`"
    assert "but `CategoricalCrossentropy` takes probabilities" in explanation(found)
    assert advice(found).startswith("Use no activation in the last layer")
