"""What is said of remedies that were tried, and the user's line with one written into it."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from tb_nanwatch.diagnosis import Finding, Place, advice, fix_code, live_message, to_json
from tb_nanwatch.diagnosis.text.rerun import trial_sentence
from tb_nanwatch.diagnosis.text.source_fix import source_with_remedy
from tb_nanwatch.format.rerun import Operation, Rerun, SourceLine, Trial

LOG = "tf.math.log(tf.maximum(x, 1e-6))"


def operation(kind: str, line: str) -> Operation:
    source = (SourceLine(42, "def call(self, x):"), SourceLine(43, f"        {line}"))
    return Operation(kind, "forward", "gate", "model.py", 43, "call", source)


@pytest.mark.parametrize(
    ("kind", "line", "remedy", "written"),
    [
        ("Log", "return tf.math.log(p)", LOG, "return tf.math.log(tf.maximum(p, 1e-6))"),
        (
            "Log",
            "y = where(x > 0, keras.ops.log(inside), 0.0)",
            LOG,
            "y = where(x > 0, keras.ops.log(keras.ops.maximum(inside, 1e-6)), 0.0)",
        ),
        ("Log", "return ops.log(a + b)", LOG, "return ops.log(ops.maximum(a + b, 1e-6))"),
        (
            "Sqrt",
            "length = tf.sqrt(tf.reduce_sum(x * x, axis=-1))  # of rows",
            "tf.sqrt(x + 1e-6)",
            "length = tf.sqrt(tf.reduce_sum(x * x, axis=-1) + 1e-6)  # of rows",
        ),
        ("Sqrt", "n = tf.sqrt(a * b)", "tf.sqrt(x + 1e-6)", "n = tf.sqrt(a * b + 1e-6)"),
        ("RealDiv", "return (x - m) / s", "x / (y + 1e-6)", "return (x - m) / (s + 1e-6)"),
        (
            "RealDiv",
            "größe = total / count",
            "tf.math.divide_no_nan(x, y)",
            "größe = tf.math.divide_no_nan(total, count)",
        ),
        (
            "Softmax",
            'w = ops.softmax(ops.where(m, s, -float("inf")))',
            "tf.nn.softmax(tf.maximum(x, -1e9))",
            'w = ops.softmax(ops.maximum(ops.where(m, s, -float("inf")), -1e9))',
        ),
        (
            "Softmax",
            "w = tf.nn.softmax(scores, axis=1)",
            "tf.nn.softmax(tf.maximum(x, -1e9))",
            "w = tf.nn.softmax(tf.maximum(scores, -1e9), axis=1)",
        ),
        ("Pow", "return x ** 0.5", "tf.pow(tf.maximum(x, 1e-6), y)", None),
        (
            "Acos",
            "a = ops.arccos(c)",
            "tf.acos(tf.clip_by_value(x, 1e-6 - 1.0, 1.0 - 1e-6))",
            "a = ops.arccos(ops.clip(c, 1e-6 - 1.0, 1.0 - 1e-6))",
        ),
        (
            "Log",
            "return -ops.sum(y * ops.log(ops.softmax(z / t)), axis=-1)",
            "tf.nn.log_softmax(z)",
            "return -ops.sum(y * ops.log_softmax(z / t), axis=-1)",
        ),
        (
            "Sqrt",
            "d = tf.norm(a - b, axis=-1, keepdims=True)",
            "tf.sqrt(x + 1e-6)",
            "d = tf.sqrt(tf.reduce_sum(tf.square(a - b), axis=-1, keepdims=True) + 1e-6)",
        ),
        (
            "Sqrt",
            "d = ops.norm(a, axis=1)",
            "tf.sqrt(x + 1e-6)",
            "d = ops.sqrt(ops.sum(ops.square(a), axis=1) + 1e-6)",
        ),
    ],
)
def test_the_remedy_is_written_into_the_line(
    kind: str, line: str, remedy: str, written: str | None
) -> None:
    found = source_with_remedy(operation(kind, line), remedy)
    ast.parse(found)
    assert found == (written or "return tf.pow(tf.maximum(x, 1e-6), 0.5)")


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("if tf.math.log(x) > 0:", "if tf.math.log(tf.maximum(x, 1e-6)) > 0:"),
        ('"a": lambda x: tf.math.log(x),', '"a": lambda x: tf.math.log(tf.maximum(x, 1e-6)),'),
        ("scale=tf.math.log(x),", "scale=tf.math.log(tf.maximum(x, 1e-6)),"),
    ],
    ids=["the head of a block", "an entry of a dict", "an argument"],
)
def test_a_part_of_a_statement_is_enough(line: str, written: str) -> None:
    assert source_with_remedy(operation("Log", line), LOG) == written


def test_columns_count_in_an_entry_of_a_dict_too() -> None:
    line = '"é": lambda x: tf.math.log(x) + tf.math.log(1 - x),'
    text = line.encode()
    start = text.index(b"tf.math.log(1")
    columns = 8 + start, 8 + start + len("tf.math.log(1 - x)")
    found = source_with_remedy(replace(operation("Log", line), columns=columns), LOG)
    assert found == '"é": lambda x: tf.math.log(x) + tf.math.log(tf.maximum(1 - x, 1e-6)),'


def test_of_several_calls_the_columns_show_which() -> None:
    line = "return -(y * ops.log(p) + (1 - y) * ops.log(1 - p))"
    start = line.index("ops.log(1")
    columns = 8 + start, 8 + start + len("ops.log(1 - p)")
    found = source_with_remedy(replace(operation("Log", line), columns=columns), LOG)
    assert found == "return -(y * ops.log(p) + (1 - y) * ops.log(ops.maximum(1 - p, 1e-6)))"


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("Log", "return tf.math.log(a) + tf.math.log(b)"),  # Which of the two?
        ("Log", "return tf.math.log("),
        ("Sqrt", "return tf.norm(x, axis=-1)"),  # No remedy of a root.
        ("Log", "else tf.math.log(x)"),
        ("Log", "return self.log_of(x)"),
        ("Log", ""),
    ],
)
def test_a_line_that_does_not_show_it_is_left_alone(kind: str, line: str) -> None:
    assert source_with_remedy(operation(kind, line), LOG) == ""


@pytest.mark.parametrize(
    ("trial", "sentence"),
    [
        (
            Trial("clamp", LOG, "finite", 0.8312, 14),
            f"With `{LOG}` the loss is 0.831 and all 14 gradients are finite.",
        ),
        (
            Trial("epsilon", "tf.sqrt(x + 1e-6)", "finite", None, 1),
            "With `tf.sqrt(x + 1e-6)` the gradient is finite.",
        ),
        (
            Trial("leave-out-rows", "x = x[keep]", "finite", 2.0, 6),
            "With those rows left out the loss is 2 and all 6 gradients are finite.",
        ),
        (
            Trial("clamp", LOG, "nonfinite", None, 14, 3, operation("Square", "return x * x")),
            f"With `{LOG}` the step is still not finite, next in `Square` in layer `gate`, "
            "forward (model.py:43).",
        ),
        (Trial("clamp", LOG, "failed"), f"With `{LOG}` the step could not be run."),
    ],
)
def test_sentences(trial: Trial, sentence: str) -> None:
    assert trial_sentence(trial) == sentence


def finding(*tried: Trial, cause: str = "layer-forward") -> Finding:
    rerun = Rerun(
        3, True, "eager", operation=operation("Log", "return tf.math.log(p)"), tried=tried
    )
    evidence = {"nan": 1, "pos_inf": 0, "neg_inf": 0}
    place = Place("activation", "gate", "gate")
    return Finding(cause, "error", 3, 9, place, "invalid", evidence, rerun=rerun)


def test_what_cured_the_step_is_the_fix() -> None:
    cured = finding(Trial("clamp", LOG, "finite", 0.5, 4))
    assert fix_code(cured) == "return tf.math.log(tf.maximum(p, 1e-6))"
    assert advice(cured) == "At model.py:43, clamp its argument."
    assert "  tried: With `tf.math.log" in live_message(cured)
    (tried,) = to_json(cured)["tried"]
    assert tried == {
        "remedy": "clamp",
        "code": LOG,
        "outcome": "finite",
        "loss": 0.5,
        "gradients": 4,
        "nonfinite_gradients": 0,
        "text": f"With `{LOG}` the loss is 0.5 and all 4 gradients are finite.",
    }


def test_what_did_not_cure_the_step_is_no_fix() -> None:
    code = "tf.math.log(tf.maximum(x, 1e-9))"
    failed = finding(Trial("clamp", code, "nonfinite", None, 4, 4))
    assert code not in fix_code(failed)
    assert to_json(failed)["tried"][0]["outcome"] == "nonfinite"


def test_an_explosion_is_not_cured_at_its_end() -> None:
    grown = replace(
        finding(Trial("clamp", LOG, "finite", 0.5, 4), cause="exploding-gradient"), variant=""
    )
    assert "tf.math.log" not in fix_code(grown)
