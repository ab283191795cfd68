"""What running a step again adds to a finding, and how it travels."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tb_nanwatch.diagnosis import advice, explanation, fix_code, headline, to_json
from tb_nanwatch.diagnosis.finding import Consequences, Finding, Place
from tb_nanwatch.diagnosis.rules.reruns import with_rerun
from tb_nanwatch.format import FormatError, VersionError
from tb_nanwatch.format.rerun import (
    Element,
    Operand,
    Operation,
    Rerun,
    SourceLine,
    Trial,
    pack_rerun,
    unpack_rerun,
)

OPERATION = Operation(
    "Log",
    "forward",
    "gate",
    "model.py",
    57,
    "call",
    (SourceLine(56, "    def call(self, x):"), SourceLine(57, "        return tf.math.log(x)")),
    (Operand("x", "float32", (4, 2), (Element((3, 0), "0.0"),)),),
    Operand("result", "float32", (4, 2), (Element((3, 0), "-inf"),)),
)
RERUN = Rerun(7, True, "eager", "", OPERATION, (3,))


VARIANTS = {
    "loss-domain": "formula",
    "layer-forward": "invalid",
    "divergence": "loss",
    "optimizer-overflow": "elements",
    "exploding-gradient": "overflow",
    "loss-scale-collapse": "backward",
}


def finding(cause: str, step: int = 7, severity: str = "error") -> Finding:
    evidence = {"nan": 0, "pos_inf": 0, "neg_inf": 2, "growth_decades": 5, "growth_first_step": 2}
    return Finding(
        cause,
        severity,  # type: ignore[arg-type]
        step,
        9,
        Place("prediction", "", "prediction"),
        variant=VARIANTS.get(cause, ""),
        evidence={**evidence, "skipped_steps": 3, "longest_streak": 3},
        related={"quantity": "gradient"},
        consequences=Consequences(6, 6, 7),
        record_also=("activation",),
    )


def test_the_operation_names_layer_pass_and_what_to_write() -> None:
    found = with_rerun(finding("loss-domain"), [RERUN])
    assert (found.cause, found.variant) == ("layer-forward", "invalid")
    assert (found.origin.layer, found.record_also) == ("gate", ())
    assert headline(found) == "-Inf at step 7 · `Log` in layer `gate`, forward · model.py:57"
    assert explanation(found) == (
        "`Log` in layer `gate`, forward (model.py:57), returns -Inf for an input of 0.0 (batch row "
        "3). The prediction contains 2 -Inf at step 7. From step 7 on, all 6 trainable variables "
        "contain NaN or Inf."
    )
    assert advice(found) == "At model.py:57, clamp its argument."
    assert fix_code(found) == "tf.math.log(tf.maximum(x, 1e-6))"
    answer = to_json(found)
    assert answer["origin"]["examples"] == [3]
    assert answer["origin"]["operation"]["code"] == "return tf.math.log(x)"
    assert answer["rerun"] == {"reproduced": True, "mode": "eager", "note": ""}


@pytest.mark.parametrize(
    "other",
    [
        finding("layer-forward", step=8),
        finding("divergence", severity="warning"),
        finding("nonfinite-initial-weight"),
        finding("nonfinite-input"),
        finding("optimizer-overflow"),
    ],
)
def test_another_finding_stays_as_it_is(other: Finding) -> None:
    assert with_rerun(other, [RERUN]) is other


def test_an_operation_ends_the_search_between_layers() -> None:
    between = {"from_layer": "one", "to_layer": "two"}
    wide = replace(finding("layer-backward"), variant="between", related=between)
    found = with_rerun(wide, [replace(RERUN, operation=replace(OPERATION, direction="backward"))])
    assert (found.origin.layer, found.related) == ("gate", {})


def test_without_an_operation_the_note_and_the_rows_are_kept() -> None:
    bare = Rerun(7, True, "eager", examples=(1, 3), is_of_batch=True)
    found = with_rerun(finding("nonfinite-input"), [bare])
    assert headline(found).endswith("in the input data at step 7 · batch rows 1 and 3")
    answer = to_json(found)
    assert (answer["origin"]["examples"], answer["rerun"]["note"]) == (
        [1, 3],
        "The NaN or Inf is already in the batch; no operation produced it.",
    )
    assert "operation" not in answer["origin"]


def test_a_weight_that_was_bad_before_the_step_is_the_cause() -> None:
    bare = Rerun(7, True, "eager", is_of_weight=True)
    found = with_rerun(finding("loss-backward"), [bare])
    assert (found.cause, found.variant) == ("nonfinite-initial-weight", "between")
    assert headline(found) == ("-Inf in a weight before step 7 · no operation of the step makes it")
    assert "when step 7 began" in explanation(found)


TRIED = (
    Trial("clamp", "tf.math.log(tf.maximum(x, 1e-6))", "finite", 0.83, 14),
    Trial("epsilon", "x / (y + 1e-6)", "nonfinite", None, 14, 3, OPERATION),
    Trial("fill", "x = 0", "failed"),
)


@pytest.mark.parametrize(
    "rerun",
    [
        RERUN,
        Rerun(0, False, "xla", "ValueError: why", draws_random=True),
        replace(RERUN, tried=TRIED, is_of_weight=True),
    ],
)
def test_travels_unchanged(rerun: Rerun) -> None:
    assert unpack_rerun(pack_rerun(rerun)) == rerun


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"version": 1}',
        json.dumps({**json.loads(pack_rerun(RERUN)), "mode": "other"}).encode(),
        json.dumps({**json.loads(pack_rerun(RERUN)), "operation": {"type": 3}}).encode(),
    ],
)
def test_what_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError):
        unpack_rerun(content)


def test_a_newer_one_is_named() -> None:
    with pytest.raises(VersionError, match="version 2 where 1 was expected"):
        unpack_rerun(b'{"version": 2}')


def test_of_an_update_the_optimizer_is_named() -> None:
    operation = Operation("RealDiv", "update", optimizer="keras.optimizers.Adam")
    found = with_rerun(finding("optimizer-overflow"), [Rerun(7, True, "eager", "", operation)])
    assert found.cause == "optimizer-overflow"
    assert explanation(found).startswith(
        "`RealDiv` in `keras.optimizers.Adam`, update, returns NaN or Inf. "
    )
    assert "check that epsilon is not 0" in advice(found)
    # What is made of gradients before they are applied is no layer's fault.
    found = with_rerun(finding("layer-backward"), [Rerun(7, True, "eager", "", operation)])
    assert (found.cause, found.variant) == ("optimizer-overflow", "operation")


def test_where_no_loss_scale_helps_a_later_step_may_show_it() -> None:
    late = Rerun(9, True, "eager", "", OPERATION, (3,))
    found = with_rerun(finding("loss-scale-collapse"), [late])
    assert "At step 9, `Log` in layer `gate`, forward (model.py:57), returns -Inf" in (
        explanation(found)
    )
    assert advice(found) == "At model.py:57, clamp its argument."
    after = Rerun(10, True, "eager", "", OPERATION)
    assert with_rerun(finding("loss-scale-collapse"), [after]).rerun is None


def test_outside_of_layers_the_pass_decides_the_cause() -> None:
    operation = Operation("Sqrt", "backward", file="train.py", line=3)
    found = with_rerun(finding("loss-domain"), [Rerun(7, True, "eager", "", operation)])
    assert (found.cause, found.variant) == ("loss-backward", "")


@pytest.mark.parametrize("direction", ["update", "forward"])
def test_growth_comes_before_the_operation_at_its_end(direction: Any) -> None:
    grown = finding("exploding-gradient")
    operation = Operation("Square", direction, optimizer="keras.optimizers.Adam")
    found = with_rerun(grown, [Rerun(7, True, "eager", "", operation)])
    assert found.cause == "exploding-gradient"
    assert explanation(found).startswith(
        "The gradient norm grew 100,000x from step 2 to 7, about 10x a step, then training "
        "overflowed. The "
        "prediction "
        "contains 2 -Inf at step 7. It overflowed here: `Square` in `keras.optimizers.Adam`, "
    )
    assert advice(found) == advice(grown)
