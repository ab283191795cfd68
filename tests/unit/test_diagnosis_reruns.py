"""What running a step again adds to a finding, and how it travels."""

from __future__ import annotations

import json

import pytest

from tb_nanwatch.diagnosis.finding import Finding, Place, to_json
from tb_nanwatch.diagnosis.reruns import with_rerun
from tb_nanwatch.format import FormatError, VersionError
from tb_nanwatch.format.rerun import (
    Element,
    Operand,
    Operation,
    Rerun,
    SourceLine,
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


def finding(cause: str, step: int = 7, severity: str = "error") -> Finding:
    origin = Place("prediction", "", "prediction")
    return Finding(
        cause,
        severity,  # type: ignore[arg-type]
        step,
        9,
        origin,
        (),
        {"nan": 0, "pos_inf": 0, "neg_inf": 2},
        "The prediction holds 2 -Inf. Which layer makes it was not recorded. From step 7 on all.",
        "Look in the layer that makes it.",
        ("activation",),
        "From step 7 on all.",
    )


def test_the_operation_tells_layer_pass_and_what_to_write() -> None:
    told = with_rerun(finding("loss-domain"), [RERUN])
    assert (told.cause, told.origin.layer, told.turn_on) == ("layer-forward", "gate", ())
    assert told.message == (
        "`Log` in layer 'gate', forward pass, model.py line 57: `return tf.math.log(x)`, gives "
        "-inf of 0.0 in row 3 of the batch. The prediction holds 2 -Inf at step 7. From step 7 on "
        "all."
    )
    assert told.advice.startswith("At model.py line 57 keep its argument above 0: `tf.math.log(")
    answer = to_json(told)
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


def test_without_an_operation_the_note_and_the_rows_are_kept() -> None:
    bare = Rerun(7, True, "eager", "It comes with the batch.", None, (1, 3))
    told = with_rerun(finding("nonfinite-input"), [bare])
    assert told.message == finding("nonfinite-input").message
    answer = to_json(told)
    assert (answer["origin"]["examples"], answer["rerun"]["note"]) == ([1, 3], bare.note)
    assert "operation" not in answer["origin"]


@pytest.mark.parametrize("rerun", [RERUN, Rerun(0, False, "xla", "why")])
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


def test_of_an_update_the_optimizer_is_told() -> None:
    operation = Operation("RealDiv", "update", optimizer="keras.optimizers.Adam")
    told = with_rerun(finding("optimizer-overflow"), [Rerun(7, True, "eager", "", operation)])
    assert told.cause == "optimizer-overflow"
    assert told.message.startswith(
        "`RealDiv` in keras.optimizers.Adam, update, gives what is not finite. "
    )
    assert "epsilon is not 0" in told.advice
    # What is made of gradients before they are applied is no layer's fault.
    told = with_rerun(finding("layer-backward"), [Rerun(7, True, "eager", "", operation)])
    assert told.cause == "optimizer-overflow"


def test_where_no_loss_scale_helps_a_later_step_may_tell() -> None:
    late = Rerun(9, True, "eager", "", OPERATION, (3,))
    told = with_rerun(finding("loss-scale-collapse"), [late])
    assert told.message.startswith(finding("loss-scale-collapse").message)
    assert "At step 9 `Log` in layer 'gate', forward pass, model.py line 57" in told.message
    assert told.advice.startswith("At model.py line 57 keep its argument above 0")
    after = Rerun(10, True, "eager", "", OPERATION)
    assert with_rerun(finding("loss-scale-collapse"), [after]).rerun is None


def test_outside_of_layers_the_pass_tells_the_cause() -> None:
    operation = Operation("Sqrt", "backward", file="train.py", line=3)
    told = with_rerun(finding("loss-domain"), [Rerun(7, True, "eager", "", operation)])
    assert told.cause == "loss-backward"


def test_what_grew_until_its_square_overflowed_is_told_first() -> None:
    grown = finding("exploding-gradient")
    operation = Operation("Square", "update", optimizer="keras.optimizers.Adam")
    told = with_rerun(grown, [Rerun(7, True, "eager", "", operation)])
    assert told.message == (
        f"{grown.message} `Square` in keras.optimizers.Adam, update, gives what is not finite."
    )
    assert told.advice == grown.advice
