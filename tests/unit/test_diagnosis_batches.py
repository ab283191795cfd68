"""A batch without rows, and a label that names no class."""

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

from tb_nanwatch.diagnosis import Finding, advice, diagnose, explanation, headline
from tb_nanwatch.format.facts import LossFacts
from tb_nanwatch.format.label_range import label_out_of_range
from tb_nanwatch.format.rerun import Element, Operand, Operation, Rerun
from tb_nanwatch.format.tensor_info import INTEGER

T = 6
NOTHING = np.zeros((0, 5), np.float32)


def empty(step: int, values: Values) -> None:
    if step == T:
        values["input", "input"] = values["target", "target"] = NOTHING
        values["prediction", "prediction"] = NOTHING
        ruin(values, "loss", "gradient", "weight")
        poison(values, *STATISTICS)
    elif step > T:
        aftermath(values)
        poison(values, *STATISTICS)


@pytest.mark.parametrize("flush_at", [range(12), (0, 2, 6)])
def test_an_empty_batch_is_named(flush_at: range | tuple[int, ...]) -> None:
    (found,) = diagnose(history(empty, steps=12, every=12, roles=DEFAULT, flush_at=flush_at))
    assert (found.cause, found.severity, found.step) == ("empty-batch", "error", T)
    assert found.origin.role == "input"
    assert headline(found) == "Empty batch at step 6 · 0 rows"
    assert "contain NaN or Inf" in explanation(found)
    assert "goes on" not in explanation(found)
    assert advice(found).startswith("Drop batches without rows")


def test_training_goes_on_where_the_weights_stay_finite() -> None:
    def change(step: int, values: Values) -> None:
        if step == T:
            values["input", "input"] = values["target", "target"] = NOTHING
            ruin(values, "loss")
        if step >= T:
            poison(values, *STATISTICS)

    first, second = diagnose(history(change, steps=20, roles=DEFAULT))
    assert (first.cause, second.cause) == ("empty-batch", "poisoned-statistics")
    assert "The weights stay finite, and training goes on." in explanation(first)


@pytest.mark.parametrize("role", ["input", "target"])
def test_data_without_elements_is_no_empty_batch_where_other_data_has_some(role: str) -> None:
    def change(step: int, values: Values) -> None:
        empty(step, values)
        if step == T:
            values[role, role] = np.ones((8, 5), np.float32)

    found = diagnose(history(change, steps=12, roles=DEFAULT))
    assert "empty-batch" not in {each.cause for each in found}


def test_an_empty_batch_that_does_no_harm_is_no_finding() -> None:
    def change(step: int, values: Values) -> None:
        if step == T:
            values["input", "input"] = values["target", "target"] = NOTHING

    assert diagnose(history(change, steps=12, roles=DEFAULT)) == ()


ERROR = (
    "InvalidArgumentError: {{function_node __wrapped__SparseSoftmaxCrossEntropyWithLogits}} "
    "Received a label value of 4 which is outside the valid range of [0, 4). Label values"
)


def on_gpu(label: str) -> Operation:
    labels = Operand("labels", "int64", (16,), (Element((3,), label),))
    features = Operand("features", "float32", (16, 4), ())
    loss = Operand("result", "float32", (16,), (Element((3,), "nan"),))
    return Operation(
        "SparseSoftmaxCrossEntropyWithLogits", "forward", operands=(features, labels), result=loss
    )


def lost(step: int, values: Values) -> None:
    if step == T:
        ruin(values, "loss", "gradient", "weight")
    elif step > T:
        aftermath(values)


@pytest.mark.parametrize(
    ("rerun", "label"),
    [
        (Rerun(T, True, "xla", ERROR), 4),
        (Rerun(T, True, "xla", ERROR.replace("of 4 which", "of -1 which")), -1),
        (Rerun(T, True, "eager", "", on_gpu("7")), 7),
        (Rerun(T, True, "eager", "", on_gpu("-1")), -1),
    ],
)
def test_a_label_out_of_range_is_the_finding(rerun: Rerun, label: int) -> None:
    recorded = history(lost, steps=12, roles=DEFAULT)
    (found,) = diagnose(replace(recorded, reruns=(rerun,)))
    assert (found.cause, found.severity) == ("label-out-of-range", "error")
    assert headline(found) == f"Label out of range at step 6 · label {label} of 4 classes"
    assert explanation(found).startswith(
        f"The targets of step 6 contain the label {label}, and the model has 4 classes: valid "
        "labels are 0 to 3."
    )
    assert advice(found).startswith("Number the labels from 0")


@pytest.mark.parametrize(
    "rerun",
    [
        Rerun(T, True, "xla", "InvalidArgumentError: Incompatible shapes: [4] vs. [3]"),
        Rerun(T, True, "eager", "", on_gpu("3")),
        Rerun(T, True, "eager", "", replace(on_gpu("7"), type="GatherV2")),
    ],
)
def test_another_error_and_labels_within_range_are_none(rerun: Rerun) -> None:
    assert label_out_of_range(rerun) is None
    recorded = history(lost, steps=12, roles=DEFAULT)
    (found,) = diagnose(replace(recorded, reruns=(rerun,)))
    assert found.cause == "loss-domain"


SPARSE = replace(MODEL, losses=(LossFacts("", "SparseCategoricalCrossentropy", True, True),))


def with_labels(*labels: int, lost_at: int = T, **loss: object) -> tuple[Finding, ...]:
    """A step with these labels among others, of two classes, and no rerun."""

    def change(step: int, values: Values) -> None:
        values["target", "target"] = np.array([0, 1, *(labels if step == T else ())], np.float32)
        if step == lost_at:
            ruin(values, "loss", "gradient", "weight")
        elif step > lost_at:
            aftermath(values)

    losses = tuple(replace(each, **loss) for each in SPARSE.losses)  # type: ignore[arg-type]
    recorded = history(change, steps=12, roles=DEFAULT, model=replace(SPARSE, losses=losses))
    tensors = tuple(
        replace(each, attribute=INTEGER) if each.role == "target" else each
        for each in recorded.tensors
    )
    return diagnose(replace(recorded, tensors=tensors))


@pytest.mark.parametrize("label", [2, 7, -1])
def test_recorded_labels_tell_without_a_rerun(label: int) -> None:
    (found,) = with_labels(label)
    assert headline(found) == f"Label out of range at step 6 · label {label} of 2 classes"


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        ((1,), {}),
        ((-1,), {"ignore_class": -1}),
        ((7,), {"class_name": "MeanSquaredError"}),
        ((7,), {"lost_at": T + 2}),
    ],
    ids=["valid", "ignored", "no classes", "an earlier step"],
)
def test_other_whole_numbers_tell_nothing(labels: tuple[int, ...], options: dict) -> None:
    causes = {each.cause for each in with_labels(*labels, **options)}
    assert causes.isdisjoint({"label-out-of-range", "unscaled-target"})


@pytest.mark.parametrize(("ids", "is_said"), [((0, 4), False), ((0, 5), True), ((-1, 3), True)])
def test_ids_are_held_against_the_rows_of_their_table(ids: tuple[int, int], is_said: bool) -> None:
    def change(step: int, values: Values) -> None:
        values["input", "input"] = np.array(ids if step == T else (0, 1), np.float32)

    first = replace(MODEL.layers[0], class_name="Embedding", inputs=())
    model = replace(MODEL, layers=(first, *MODEL.layers[1:]))
    recorded = history(change, steps=12, roles=DEFAULT, model=model)
    tensors = tuple(
        replace(each, attribute=INTEGER) if each.role == "input" else each
        for each in recorded.tensors
    )
    found = diagnose(replace(recorded, tensors=tensors))
    assert [each.cause for each in found] == ["id-out-of-range"] * is_said
    assert all(each.step == T for each in found)
