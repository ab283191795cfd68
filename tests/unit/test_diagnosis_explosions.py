"""The end of an explosion, and what looks like it: an operation outside of its domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from synthetic_histories import DEFAULT, Change, Values, aftermath, history, of_role, ruin

from tb_nanwatch.diagnosis import Finding, advice, diagnose, explanation, fix_code, headline
from tb_nanwatch.format.rerun import Element, Operand, Operation, Rerun, Trial

T = 5


def operation(kind: str, values: Sequence[str], result: str = "inf", **more: Any) -> Operation:
    dtype = more.pop("dtype", "float32")
    operands = tuple(
        Operand("xy"[n], dtype, (8, 2), (Element((3, 0), value),)) for n, value in enumerate(values)
    )
    made = Operand("result", dtype, (8, 2), (Element((3, 0), result),))
    return Operation(kind, "forward", "two", operands=operands, result=made, **more)


def grows(factor: float, *roles: str, first: int = T - 2, at_end: float = 1.0) -> Change:
    """Everything of these roles grows by a factor a step; at step T a layer returns NaN."""

    def change(step: int, values: Values) -> None:
        for key in of_role(values, *roles):
            values[key] = values[key] * np.float32(factor ** max(0, step - first))
        if step == T:
            values["input", "input"] = values["input", "input"] * np.float32(at_end)
            ruin(values, "prediction", "loss", "gradient", "weight")
        elif step > T:
            aftermath(values)

    return change


def said(change: Change, made: Operation, *tried: Trial) -> tuple[Finding, ...]:
    recorded = history(change, steps=12, roles=DEFAULT)
    return diagnose(replace(recorded, reruns=(Rerun(T, True, "eager", "", made, tried=tried),)))


GROWTH = grows(20, "gradient")
NONE = grows(1)


@pytest.mark.parametrize(
    "made",
    [
        operation("Exp", ["2049.0"]),
        operation("Exp", ["100.3"]),
        operation("Pow", ["-4e28", "2.0"]),
        operation("Softmax", ["1e30"], "nan"),
        operation("Square", ["1e25"]),
        operation("MatMul", ["2.5e29", "6.1e15"], "-inf"),
    ],
    ids=lambda each: each.type,
)
@pytest.mark.parametrize("quantity", ["gradient", "weight", "prediction", "loss"])
def test_a_growth_before_is_why_an_operand_is_absurd(made: Operation, quantity: str) -> None:
    (found,) = said(grows(400, quantity), made)
    assert (found.cause, found.variant) == ("exploding-gradient", "overflow")
    assert found.severity == "error"
    assert found.related["quantity"] == quantity
    assert found.evidence["growth_first_step"] in (T - 2, T - 3)
    assert f"It overflowed here: `{made.type}` in layer `two`" in explanation(found)
    words = advice(found)
    assert words.startswith("Lower the learning rate")
    assert "will not fix" not in words
    assert "does not fix" not in words


def test_both_the_growth_and_its_end_are_said() -> None:
    (found,) = said(GROWTH, operation("Exp", ["2049.0"]))
    assert (
        headline(found) == "Training diverged to NaN at step 5 · gradients grew 430x since step 3"
    )
    assert explanation(found).startswith(
        "The gradient norm grew 430x from step 3 to 5, about 21x a step, then training overflowed. "
        "The prediction contains 1 NaN at step 5. The learning rate is 0.01. It overflowed here: "
        "`Exp` in layer `two`, forward, returns Inf for an input of 2049."
    )


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (GROWTH, operation("Log", ["0.0"], "-inf")),
        (GROWTH, operation("Sqrt", ["-3.0"], "nan")),
        (GROWTH, operation("RealDiv", ["1.0", "0.0"])),
        (GROWTH, operation("Pow", ["-2.0", "0.5"], "nan")),
        # Nothing grew, and bounding it cures it.
        (NONE, operation("Exp", ["100.3"])),
        # A bad batch: the data makes it, whatever else is large in that step.
        (grows(500, "gradient", "loss", first=T - 1, at_end=1e4), operation("Exp", ["200.0"])),
        # Two masks are added up.
        (NONE, operation("AddV2", ["-3.4e38", "-3.4e38"], "-inf")),
        # float16 ends at 65504.
        (NONE, operation("Square", ["300.0"], dtype="float16")),
    ],
    ids=["log", "root", "quotient", "power", "exp", "a bad batch", "masks", "float16"],
)
def test_an_operation_outside_of_its_domain_stays_one(change: Change, made: Operation) -> None:
    cured = Trial("bound-exponent", "tf.exp(tf.minimum(x, 20.0))", "finite", 0.7, 12)
    (found,) = said(change, made, cured)
    assert (found.cause, found.origin.layer) == ("layer-forward", "two")


UNCURED = [
    Trial("bound-exponent", "tf.exp(tf.minimum(x, 20.0))", "finite", 1.3e19, 12),
    Trial(
        "bound-exponent",
        "tf.exp(tf.minimum(x, 20.0))",
        "nonfinite",
        operation=operation("Pow", ["-4e28", "2.0"]),
    ),
]


@pytest.mark.parametrize("tried", UNCURED)
def test_what_bounding_does_not_cure_is_amplified_within_the_step(tried: Trial) -> None:
    (found,) = said(NONE, operation("Exp", ["103.2"]), tried)
    assert (found.cause, found.variant) == ("exploding-gradient", "depth")
    assert headline(found) == "Overflow within step 5 · `Exp` in layer `two`, forward"
    assert advice(found).startswith("Scale the inputs to unit variance")
    assert fix_code(found).startswith("s = tf.tanh(s)")
    assert found.rerun is not None
    assert found.rerun.tried == (tried,)


def test_what_is_absurd_by_itself_is_amplified_within_the_step() -> None:
    (found,) = said(NONE, operation("Square", ["1e25"]))
    assert (found.cause, found.variant) == ("exploding-gradient", "depth")
    assert found.evidence["largest_magnitude"] == 1e25
    assert advice(found).startswith("Use gated cells")


def test_a_remedy_of_the_operation_is_not_praised_where_it_hides_the_growth() -> None:
    hides = Trial("clamp", "tf.pow(tf.maximum(x, 1e-6), y)", "finite", 1e-24, 12)
    (found,) = said(GROWTH, operation("Pow", ["-4e28", "2.0"]), hides, UNCURED[0])
    assert found.rerun is not None
    assert found.rerun.tried == (UNCURED[0],)


def test_a_power_that_overflows_and_one_without_a_value_are_two_things() -> None:
    clamp = Trial("clamp", "tf.pow(tf.maximum(x, 1e-6), y)", "finite", 0.5, 12)
    (found,) = said(NONE, operation("Pow", ["-2000.0", "20.0"]), clamp)
    assert advice(found).startswith("Bound the base")
    (found,) = said(NONE, operation("Pow", ["-2.0", "0.5"], "nan"))
    assert advice(found).startswith("Keep the base above 0")


def test_an_overflow_of_gradients_is_a_growth_where_steps_before_show_it() -> None:
    def change(step: int, values: Values) -> None:
        # Too steep for a trend: one point stands out.
        factor = {3: 1.0, 4: 1e9}.get(step, 1e30 if step >= T else 1.0)
        for key in of_role(values, "gradient"):
            values[key] = values[key] * np.float32(factor)
        if step == T:
            ruin(values, "gradient", "weight")
        elif step > T:
            aftermath(values)

    (found,) = diagnose(history(change, steps=12, roles=DEFAULT))
    assert (found.cause, found.variant) == ("exploding-gradient", "overflow")
