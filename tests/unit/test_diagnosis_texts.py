"""What a person reads of each cause, as it is meant to read; written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tb_nanwatch.diagnosis import (
    CAUSES,
    Affected,
    Finding,
    Place,
    Verdict,
    advice,
    explanation,
    fix_code,
    headline,
    run_headline,
)
from tb_nanwatch.diagnosis.finding import Consequences
from tb_nanwatch.diagnosis.text.fix_table import FIXES, OPERATION_FIXES
from tb_nanwatch.diagnosis.text.numbers import element, growth, listed, number
from tb_nanwatch.diagnosis.text.operation import operand_lines, operation_sentence, rows_text
from tb_nanwatch.format.facts import ModelFacts, OptimizerFacts
from tb_nanwatch.format.rerun import Element, Operand, Operation, Rerun

NAN = {"nan": 1, "pos_inf": 0, "neg_inf": 0}
INF = {"nan": 0, "pos_inf": 1, "neg_inf": 0}
LOSS = Place("loss", "", "loss")
KERNEL = Place("gradient", "dense", "dense/kernel")
WEIGHT = Place("weight", "dense", "dense/kernel")
OUTPUT = Place("activation", "scale", "scale")
ALL_LOST = Consequences(6, 6, 7)


def finding(cause: str, origin: Place, evidence: dict[str, float], **more: Any) -> Finding:
    severity = CAUSES[cause].severity
    return Finding(cause, severity, 7, 40, origin, evidence=evidence, **more)


EXPECTED: dict[str, tuple[Finding, str, str]] = {
    "nonfinite-input": (
        finding("nonfinite-input", Place("input", "", "input"), NAN, consequences=ALL_LOST),
        "NaN in the input data at step 7",
        "The input contains 1 NaN at step 7: the data is not finite before the model sees it. From "
        "step 7 on, all 6 trainable variables contain NaN or Inf.",
    ),
    "nonfinite-target": (
        finding("nonfinite-target", Place("target", "", "boxes"), {**NAN, "nan": 1200}),
        "NaN in the targets at step 7 · `boxes`",
        "The target `boxes` contains 1,200 NaN at step 7: the data is not finite before the model "
        "sees it.",
    ),
    "nonfinite-target/sample-weight": (
        finding(
            "nonfinite-target",
            Place("target", "", "sample_weight"),
            INF,
            variant="sample-weight",
        ),
        "+Inf in the sample weights at step 7",
        "The target `sample_weight` contains 1 +Inf at step 7: the data is not finite before the "
        "model sees it.",
    ),
    "nonfinite-initial-weight": (
        replace(finding("nonfinite-initial-weight", WEIGHT, NAN), step=0),
        "NaN in a weight before the first step · `dense/kernel`",
        "The variable `dense/kernel` contains 1 NaN before step 0 begins: it comes from the "
        "checkpoint or the initializer.",
    ),
    "layer-forward/invalid": (
        finding(
            "layer-forward", OUTPUT, {**NAN, "largest_input": 13.62}, variant="invalid", masked=True
        ),
        "NaN at step 7 · layer `scale`, forward",
        "The output of layer `scale` contains 1 NaN at step 7 although its inputs are finite (max "
        "abs 13.6): an invalid operation such as 0/0 or the log of a negative number. The "
        "prediction is finite again.",
    ),
    "layer-forward/division": (
        finding("layer-forward", OUTPUT, {**INF, "largest_input": 1}, variant="division"),
        "+Inf at step 7 · layer `scale`, forward",
        "The output of layer `scale` contains 1 +Inf at step 7 although its inputs are finite (max "
        "abs 1): a division by zero, log(0) or an exponential.",
    ),
    "layer-forward/overflow": (
        finding(
            "layer-forward",
            Place("prediction", "", "prediction"),
            {**INF, "largest_input": 2e30},
            variant="overflow",
            record_also=("activation",),
        ),
        "+Inf at step 7 · forward pass, layer not recorded",
        "The prediction contains 1 +Inf at step 7 although the model's inputs are finite (max abs "
        "2e30): an overflow. The layer was not recorded.",
    ),
    "layer-forward/hidden": (
        finding(
            "layer-forward",
            replace(KERNEL, layer=""),
            {**NAN, "nan": 32},
            variant="hidden",
            related={"next_layer": "dense"},
            consequences=Consequences(1, 6, 7, is_loss_finite=True),
        ),
        "NaN at step 7 · upstream of layer `dense`, forward",
        "The gradient of `dense/kernel` contains 32 NaN at step 7, while the gradient of the bias "
        "of "
        "layer `dense` is finite. So the input of that layer is not finite, and ReLU or "
        "max-pooling "
        "hides it from the loss. It comes from somewhere before layer `dense`. From step 7 on, 1 "
        "of "
        "6 trainable variables contains NaN or Inf. The loss stays finite, so the loss curve does "
        "not show it.",
    ),
    "loss-domain/probabilities": (
        finding(
            "loss-domain",
            LOSS,
            {**NAN, "largest_prediction": 1, "largest_target": 1},
            variant="probabilities",
        ),
        "NaN in the loss at step 7",
        "The loss is NaN at step 7 although predictions and targets are finite (max abs 1 and 1): "
        "it takes the log, root or quotient of an invalid value, such as log(0).",
    ),
    "loss-domain/formula": (
        finding("loss-domain", LOSS, NAN, variant="formula", record_also=("prediction",)),
        "NaN in the loss at step 7",
        "The loss is NaN at step 7, and nothing upstream of it was recorded. Either the forward "
        "pass is non-finite already, or the loss takes the log, root or quotient of an invalid "
        "value.",
    ),
    "loss-domain/overflow": (
        finding("loss-domain", LOSS, {**INF, "largest_target": 1e20}, variant="overflow"),
        "+Inf in the loss at step 7",
        "The loss is +Inf at step 7 although targets are finite (max abs 1e20): values this large "
        "overflow in the loss.",
    ),
    "loss-domain, a guess": (
        finding(
            "loss-domain",
            replace(WEIGHT, layer=""),
            NAN,
            variant="formula",
            inferred_from="weight",
            record_also=("loss",),
        ),
        "NaN at step 7 · origin not recorded",
        "The variable `dense/kernel` contains 1 NaN at step 7. Most likely the loss, its gradient "
        "or the forward pass was non-finite first; none of them was recorded.",
    ),
    "layer-backward": (
        finding("layer-backward", Place("activation_gradient", "length", "caps"), NAN),
        "NaN at step 7 · layer `length`, backward",
        "The gradient with respect to the output of layer `caps` contains 1 NaN at step 7: layer "
        "`length` receives a finite gradient and returns a non-finite one.",
    ),
    "layer-backward/own-variables": (
        finding("layer-backward", KERNEL, NAN, variant="own-variables"),
        "NaN at step 7 · layer `dense`, backward",
        "The gradient of `dense/kernel` contains 1 NaN at step 7: layer `dense` makes it from a "
        "finite gradient, while other layers are finite.",
    ),
    "layer-backward/between": (
        finding(
            "layer-backward",
            replace(KERNEL, layer="length"),
            NAN,
            variant="between",
            related={"from_layer": "dense", "to_layer": "head"},
            inferred_from="gradient",
            consequences=Consequences(6, 6, 7, is_spread_by_clipping=True),
        ),
        "NaN at step 7 · layers `dense` to `head`, backward",
        "The gradient of `dense/kernel` contains 1 NaN at step 7. Gradients are finite from the "
        "loss "
        "back to layer `head`, and non-finite from layer `dense` on. Most likely layer `length` in "
        "between makes it. The exact layer was not recorded. From step 7 on, all 6 trainable "
        "variables contain NaN or Inf. Among them are variables whose own gradients are finite, "
        "to which clipping by the global norm spreads it.",
    ),
    "loss-backward": (
        finding("loss-backward", replace(KERNEL, layer=""), NAN),
        "NaN at step 7 · loss, backward",
        "The gradient of `dense/kernel` contains 1 NaN at step 7 while the loss is finite. The "
        "gradient of the loss itself is not finite.",
    ),
    "optimizer-overflow/squares": (
        finding(
            "optimizer-overflow",
            Place("slot", "dense", "adam/dense_velocity"),
            {**INF, "largest_gradient": 3.9e19},
            variant="squares",
            related={"dtype": "float32"},
        ),
        "Optimizer overflow at step 7 · `Adam`, update of layer `dense`",
        "The optimizer slot `adam/dense_velocity` contains 1 +Inf at step 7 although every "
        "gradient "
        "is finite (max abs 3.9e19). The squares of the gradients overflow float32 in the "
        "optimizer "
        "update, from step 7 on.",
    ),
    "optimizer-overflow/learning-rate": (
        finding("optimizer-overflow", WEIGHT, NAN, variant="learning-rate"),
        "NaN at step 7 · `Adam`, update of layer `dense`",
        "The variable `dense/kernel` contains 1 NaN at step 7 although gradients are finite. All "
        "elements of all trainable variables are lost at once, as by a learning rate that is NaN "
        "or "
        "Inf.",
    ),
    "poisoned-statistics": (
        finding(
            "poisoned-statistics",
            Place("weight", "norm", "norm/moving_mean"),
            {**NAN, "nan": 16},
            affected=(Affected("weight", "norm", "norm/moving_variance", 7),),
        ),
        "NaN in moving statistics at step 7 · layer `norm`",
        "The variable `norm/moving_mean` contains 16 NaN at step 7, and so does 1 more. These are "
        "non-trainable moving statistics: training normalizes with the statistics of each batch "
        "and "
        "continues, but evaluation and inference use them and will be wrong.",
    ),
    "swallowed-nonfinite": (
        finding("swallowed-nonfinite", OUTPUT, NAN, related={"hiding_layer": "pool"}),
        "NaN hidden by layer `pool` at step 7 · layer `scale`, forward",
        "The output of layer `scale` contains 1 NaN at step 7. Layer `pool` drops it, so "
        "prediction, "
        "loss and gradients look fine.",
    ),
    "exploding-gradient": (
        finding("exploding-gradient", KERNEL, {"growth_decades": 4.64, "norm": 156_000}),
        "Exploding gradients from step 7 · layer `dense`",
        "The gradient norm grew 44,000x from step 7 (to 1.6e5 at step 40) and did not recover. The "
        "largest at the end is the gradient of `dense/kernel`.",
    ),
    "exploding-gradient/overflow": (
        finding(
            "exploding-gradient",
            LOSS,
            {**INF, "growth_decades": 38.2, "growth_first_step": 0},
            variant="overflow",
            related={"quantity": "loss"},
        ),
        "Training diverged: loss overflows to +Inf at step 7 · loss grew 10^38-fold since step 0",
        "The loss grew 10^38-fold from step 0 to 7, about 290,000x a step, then training "
        "overflowed. The loss is +Inf at step 7. The learning rate is 0.01.",
    ),
    "exploding-gradient/depth": (
        finding(
            "exploding-gradient",
            LOSS,
            {**INF, "largest_magnitude": 2e35, "largest_input": 1.2},
            variant="depth",
            related={"quantity": "prediction"},
        ),
        "Overflow within step 7 · predictions reach 2e35",
        "Within this one step the predictions reach 2e35 from inputs of at most 1.2: they are "
        "amplified from layer to layer (or time step to time step). The loss is +Inf at step 7.",
    ),
    "divergence/loss": (
        finding("divergence", LOSS, {"growth_decades": 2.3, "value": 812}, variant="loss"),
        "Loss diverges from step 7 · grew 200x",
        "The loss grew 200x from step 7 (to 812 at step 40) and did not recover.",
    ),
    "divergence/weight": (
        finding("divergence", WEIGHT, {"growth_decades": 4.64, "value": 156_000}, variant="weight"),
        "Weights diverge from step 7 · norm grew 44,000x",
        "The weight norm grew 44,000x from step 7 (to 1.6e5 at step 40) and did not recover.",
    ),
    "divergence/amplified": (
        finding(
            "divergence",
            OUTPUT,
            {"largest_magnitude": 3.3e7, "largest_input": 16},
            variant="amplified",
        ),
        "Activations out of proportion at step 7 · layer `scale`",
        "The output of layer `scale` reaches 3.3e7 from step 7 on, although everything before it "
        "and the targets are at most 16: finite, but out of proportion.",
    ),
    "vanishing-gradient": (
        finding(
            "vanishing-gradient",
            replace(KERNEL, layer="hidden_1"),
            {"rms_first_layer": 1.69e-14, "rms_last_layer": 0.0405, "layers": 21},
            related={"last_layer": "output"},
        ),
        "Vanishing gradients from step 7 · layer `hidden_1`",
        "Gradient RMS falls from 0.0405 in `output` to 1.7e-14 in `hidden_1` across 21 layers. The "
        "first layers barely learn.",
    ),
    "dead-layer/units": (
        finding("dead-layer", KERNEL, {"zero_steps": 34, "layers": 3}, variant="units"),
        "Dead layer from step 7 · layer `dense`",
        "From step 7 on, every gradient of layer `dense` and of 2 more layers before it is exactly "
        "zero while the loss is not: most likely every unit is off, so no gradient passes.",
    ),
    "dead-layer/loss": (
        finding("dead-layer", KERNEL, {"zero_steps": 34, "layers": 2}, variant="loss"),
        "All gradients are zero from step 7 · the loss does not depend on the weights",
        "From step 7 on, every gradient of the model is exactly zero while the loss is not: the "
        "loss "
        "does not depend on the weights.",
    ),
    "unscaled-target": (
        finding(
            "unscaled-target",
            Place("target", "", "target"),
            {"largest_magnitude": 1040, "trouble_step": 21},
            related={"trouble": "divergence"},
        ),
        "Unscaled targets · up to 1,040",
        "Targets reach 1,040, enough to cause the divergence at step 21.",
    ),
    "unscaled-input": (
        finding(
            "unscaled-input",
            Place("input", "", "age"),
            {"largest_magnitude": 1e5, "trouble_step": 21},
            related={"trouble": "exploding-gradient"},
        ),
        "Unscaled inputs · up to 1e5",
        "Inputs (`age`) reach 1e5, enough to cause the explosion at step 21.",
    ),
    "range-overflow-risk": (
        finding(
            "range-overflow-risk",
            OUTPUT,
            {"largest_magnitude": 11616, "dtype_largest": 65504},
            related={"dtype": "float16"},
        ),
        "Close to overflow in float16 at step 7 · activations of layer `scale`",
        "The output of layer `scale` reaches 11,616 from step 7 on, within 10x of 65,504, the "
        "largest number of float16.",
    ),
    "range-underflow/float16": (
        finding(
            "range-underflow",
            KERNEL,
            {
                "rms": 5.96e-8,
                "subnormal_share": 0.0,
                "smallest_normal": 2**-14,
                "half_below": 2**-25,
                "99_percent_below": 2**-21,
            },
            variant="float16",
            related={"dtype": "float16"},
        ),
        "Gradients underflow in float16 from step 7 · layer `dense`",
        "The gradient of `dense/kernel` has an RMS of 6e-8, below the smallest normal number of "
        "float16 (6.1e-5): precision is lost and values flush to zero. Of its non-zero elements, "
        "half below 3e-8, 99% below 4.8e-7.",
    ),
    "range-underflow/float16 by its share": (
        finding(
            "range-underflow",
            KERNEL,
            {
                "rms": 1e-4,
                "subnormal_share": 0.43,
                "smallest_normal": 2**-14,
                "half_below": 2**-13,
                "99_percent_below": 2**-13,
            },
            variant="float16",
            related={"dtype": "float16"},
        ),
        "Gradients underflow in float16 from step 7 · layer `dense`",
        "The gradient of `dense/kernel`: 43% of the non-zero elements are below the smallest "
        "normal number of float16 (6.1e-5): precision is lost and values flush to zero. The others "
        "are not much larger: the RMS is 1e-4. Of its non-zero elements, 99% below 1.2e-4.",
    ),
    "empty-batch": (
        finding(
            "empty-batch",
            Place("input", "", "input"),
            {**NAN, "nan": 16},
            affected=(Affected("gradient", "norm", "norm/gamma", 7),),
            consequences=ALL_LOST,
        ),
        "Empty batch at step 7 · 0 rows",
        "The batch of step 7 has 0 rows: inputs and targets have no elements, and a mean over no "
        "elements is NaN. The gradient of `norm/gamma` contains 16 NaN. From step 7 on, all 6 "
        "trainable variables contain NaN or Inf.",
    ),
    "label-out-of-range": (
        finding("label-out-of-range", LOSS, {**NAN, "label": 4, "classes": 4}),
        "Label out of range at step 7 · label 4 of 4 classes",
        "The targets of step 7 contain the label 4, and the model has 4 classes: valid labels are "
        "0 to 3. A CPU raises an error for such a label; a GPU, and XLA on any device, return NaN. "
        "The loss is NaN at step 7.",
    ),
    "nonfinite-validation": (
        finding("nonfinite-validation", Place("loss", "", "val_loss"), {"first_batch": 3}),
        "`val_loss` is not finite after step 7 · validation batch 3",
        "`val_loss` is NaN or infinite after step 7, and the training is finite. It is so from "
        "batch 3 of the validation on, counted from 0.",
    ),
    "nonfinite-validation/data": (
        finding(
            "nonfinite-validation",
            Place("loss", "", "val_loss"),
            {"first_batch": 3, "first_row": 1200},
            variant="data",
            related={"part": "y"},
        ),
        "`val_loss` is not finite after step 7 · `y` of the validation data, row 1,200",
        "`val_loss` is NaN or infinite after step 7, and the training is finite. `y` of the "
        "validation data is not finite itself, first in row 1,200.",
    ),
    "nonfinite-metric": (
        finding("nonfinite-metric", Place("loss", "", "val_recall"), {}),
        "Metric `val_recall` is not finite after step 7 · the training is finite",
        "`val_recall` is NaN or infinite after step 7, while the loss and the weights are finite: "
        "the metric divides by zero or takes a log of zero.",
    ),
    "fill-value/input": (
        finding(
            "fill-value",
            Place("input", "", "input"),
            {
                "fill_value": 1e20,
                "fill_share": 0.0234,
                "largest_other": 8,
                "trouble_step": 9,
            },
            variant="input",
            related={"trouble": "divergence"},
        ),
        "Fill value 1e20 in the inputs from step 7",
        "2.3% of the inputs other than 0 are 1e20, and all others at most 8: it stands for a "
        "missing value, and is computed with. That is enough to cause the divergence at step 9.",
    ),
    "divergence/unbounded": (
        finding(
            "divergence",
            LOSS,
            {"growth_decades": 12, "value": -3e12, "smallest_target": -1},
            variant="unbounded",
        ),
        "Loss without a lower bound from step 7 · down to -3e12",
        "The loss falls to -3e12 at step 40, 10^12-fold below its start, and nothing ends its "
        "fall: it looks like progress, and is none. Targets go down to -1.",
    ),
    "id-out-of-range": (
        finding("id-out-of-range", Place("input", "words", "input"), {"id": 5000, "rows": 5000}),
        "Id out of range from step 7 · id 5,000 of 5,000 rows, layer `words`",
        "Inputs contain the id 5,000, and layer `words` has 5,000 rows: valid ids are 0 to 4,999. "
        "A CPU raises an error for such an id; a GPU returns zeros, and XLA another row.",
    ),
    "unscaled-input/constant-column": (
        finding(
            "unscaled-input",
            Place("weight", "scale", "scale/variance"),
            {"trouble_step": 30},
            variant="constant-column",
            related={"trouble": "divergence"},
        ),
        "Normalization of a constant column · layer `scale`",
        "Layer `scale` has adapted to a column with a variance of 0. It divides by an epsilon "
        "there, so that whatever differs from the column's mean is multiplied by 10,000,000: "
        "enough to cause the divergence at step 30.",
    ),
    "not-training/stuck": (
        finding("not-training", LOSS, {"first": 1.02e15, "last": 1.01e15}, variant="stuck"),
        "Loss does not move from step 7 · stays at 1e15",
        "The loss starts at 1e15 and is 1e15 at step 40: the weights are too far from where it "
        "would fall.",
    ),
    "improper-output/logits": (
        finding(
            "improper-output",
            Place("prediction", "dense", "prediction"),
            {"smallest": -3.2, "largest": 4.71},
            variant="logits",
            related={"loss": "binary_crossentropy"},
        ),
        "Predictions outside of [0, 1] under a cross entropy · layer `dense`",
        "Predictions range from -3.2 to 4.71, but `binary_crossentropy` takes probabilities, as "
        "from_logits is False: values outside of [0, 1] are clipped and have no gradient.",
    ),
    "loss-scale-backoff": (
        finding(
            "loss-scale-backoff",
            KERNEL,
            {"skipped_steps": 7, "longest_streak": 7, "lowest_loss_scale": 262144},
        ),
        "LossScaleOptimizer skipped 7 steps (normal) from step 7",
        "LossScaleOptimizer skipped 7 steps between step 7 and step 40: the scale dropped to 2.6e5 "
        "and training continued. Skipped steps leave the weights unchanged.",
    ),
    "loss-scale-collapse/forward": (
        finding(
            "loss-scale-collapse",
            OUTPUT,
            {"skipped_steps": 34, "longest_streak": 34, "lowest_loss_scale": 1},
            variant="forward",
        ),
        "Forward pass not finite in float16 at step 7 · layer `scale`, forward",
        "LossScaleOptimizer skipped 34 steps between step 7 and step 40, and the scale dropped to "
        "1. "
        "The output of layer `scale` is non-finite in the forward pass, before any scaling.",
    ),
    "loss-scale-collapse/not-float16": (
        finding(
            "loss-scale-collapse",
            OUTPUT,
            {"skipped_steps": 2, "longest_streak": 0, "lowest_loss_scale": 4},
            variant="not-float16",
        ),
        "Forward pass not finite within steps 7 to 40 · layer `scale`, forward",
        "LossScaleOptimizer skipped 2 steps between step 7 and step 40, and the scale dropped to "
        "4. "
        "The output of layer `scale` is non-finite in the forward pass, before any scaling. No "
        "layer computes in float16, which alone needs a loss scale.",
    ),
    "loss-scale-collapse/backward": (
        finding(
            "loss-scale-collapse",
            KERNEL,
            {"skipped_steps": 34, "longest_streak": 34, "lowest_loss_scale": 1},
            variant="backward",
        ),
        "Loss scale collapsed at step 7 · layer `dense`, backward",
        "LossScaleOptimizer skipped 34 steps between step 7 and step 40, and the scale dropped to "
        "1. 34 of them in a row: the gradient of `dense/kernel` is non-finite at any scale.",
    ),
    "loss-scale-collapse/range": (
        finding(
            "loss-scale-collapse",
            Place("prediction", "", "prediction"),
            {"skipped_steps": 12, "longest_streak": 12, "largest_input": 69998},
            variant="range",
        ),
        "Inputs beyond the range of float16 within steps 7 to 40 · forward pass",
        "LossScaleOptimizer skipped 12 steps between step 7 and step 40. The prediction is "
        "non-finite in the forward pass, before any scaling. Inputs reach 69,998, and layers cast "
        "them to float16, which ends at 65,504.",
    ),
    "loss-scale-backoff/unfinished": (
        finding(
            "loss-scale-backoff",
            KERNEL,
            {"skipped_steps": 3, "longest_streak": 3, "lowest_loss_scale": 4096},
            variant="unfinished",
        ),
        "LossScaleOptimizer skipped 3 steps from step 7 · no step taken since",
        "LossScaleOptimizer skipped 3 steps between step 7 and step 40: the scale dropped to "
        "4,096. No step was taken after them, so it has not recovered. Skipped steps leave the "
        "weights unchanged.",
    ),
}
ADAM = ModelFacts(optimizers=(OptimizerFacts("adam", "Adam", True, learning_rate=0.01),))


@pytest.mark.parametrize("key", EXPECTED)
def test_reads_as_intended(key: str) -> None:
    found, line, sentences = EXPECTED[key]
    found = replace(found, model=ADAM)
    assert headline(found) == line
    assert explanation(found) == sentences


def test_every_cause_is_here() -> None:
    assert {found.cause for found, *_ in EXPECTED.values()} == set(CAUSES)


IMPERATIVES = ("Find", "Load", "Look", "Normalize", "Check", "Compute", "Scale", "Record", "Give")
IMPERATIVES += ("Keep", "Guard", "Fix", "Lower", "Use", "Train", "Work", "Nothing")
IMPERATIVES += ("Drop", "Number", "Tell", "Clean", "Make", "Bring", "Replace", "Leave")


def every_variant() -> Iterator[Finding]:
    for cause, info in CAUSES.items():
        for variant in info.variants:
            for layer in ("dense", ""):
                place = Place("gradient", layer, "dense/kernel")
                yield finding(cause, place, NAN, variant=variant, model=ADAM)


@pytest.mark.parametrize("found", [*every_variant()], ids=lambda f: f"{f.cause}/{f.variant}")
def test_every_variant_has_advice_that_begins_with_what_to_do(found: Finding) -> None:
    words, code = advice(found), fix_code(found)
    assert words.split()[0] in IMPERATIVES
    assert words.endswith(".")
    assert not re.search(r"\{\w+\}", words + code)
    assert bool(code) == (found.cause != "loss-scale-backoff")


@pytest.mark.parametrize("framework", ["keras", "tensorflow"])
def test_code_is_for_the_framework_and_of_the_run(framework: str) -> None:
    found = finding("exploding-gradient", KERNEL, {}, model=replace(ADAM, framework=framework))
    expected = {
        "keras": "optimizer = keras.optimizers.Adam(\n"
        "    learning_rate=0.001, global_clipnorm=1.0\n"
        ")",
        "tensorflow": "gradients, _ = tf.clip_by_global_norm(gradients, 1.0)\n"
        "optimizer.apply_gradients(zip(gradients, model.trainable_variables))",
    }
    assert fix_code(found) == expected[framework]


@pytest.mark.parametrize("key", ["exploding-gradient", "divergence/loss"])
def test_nobody_is_advised_to_clip_what_is_clipped(key: str) -> None:
    clips = OptimizerFacts("sgd", "SGD", True, learning_rate=0.1, clipnorm=1.0)
    found = replace(EXPECTED[key][0], model=ModelFacts(optimizers=(clips,)))
    assert "the optimizer clips gradients already" in advice(found)
    assert fix_code(found) == "optimizer = keras.optimizers.SGD(learning_rate=0.01)  # and clip"


def test_code_says_where_the_optimizer_is_not_known() -> None:
    found = finding("exploding-gradient", KERNEL, {})
    assert fix_code(found) == (
        "optimizer = keras.optimizers.Adam(  # or your optimizer\n"
        "    learning_rate=learning_rate / 10, global_clipnorm=1.0\n"
        ")"
    )


def test_code_fits_a_terminal_and_is_code() -> None:
    keys = {key.split("/")[0] for key in FIXES}
    assert keys == set(CAUSES)
    for fix in (*FIXES.values(), *OPERATION_FIXES.values()):
        for code in (fix.keras, fix.tensorflow):
            assert all(len(line) <= 74 for line in code.splitlines()), code
            compile(re.sub(r"\{\w+\}", "x", code), "fix", "exec")


HEALTHY = Verdict((), 57, 22, frozenset({"loss", "gradient"}))


def test_the_headline_of_a_run() -> None:
    assert run_headline(HEALTHY) == (
        "Healthy: no NaN or Inf, no exploding, vanishing or dead gradients (57 steps, 22 tensors)"
    )
    assert run_headline(replace(HEALTHY, roles=frozenset({"loss"}), tensors=1)) == (
        "Healthy: no NaN or Inf (57 steps, 1 tensor); gradients were not recorded"
    )
    assert run_headline(replace(HEALTHY, steps=5, is_short=True)) == (
        "Healthy: no NaN or Inf (5 steps, 22 tensors); too short to judge trends"
    )
    assert run_headline(replace(HEALTHY, steps=0)) == "Nothing recorded yet"
    backoff, loss = EXPECTED["loss-scale-backoff"][0], EXPECTED["divergence/loss"][0]
    # What is normal has a line of its own.
    assert run_headline(replace(HEALTHY, findings=(backoff,))) == run_headline(HEALTHY)
    assert run_headline(replace(HEALTHY, findings=(loss, backoff))) == headline(loss)


def test_numbers_as_people_read_them() -> None:
    said = [number(x) for x in (0, 7, 1040.0, 1043.7, 13.62, 0.0405, 6.1e-5, 156_000, 65504, 1e20)]
    assert said == [
        "0",
        "7",
        "1,040",
        "1,040",
        "13.6",
        "0.0405",
        "6.1e-5",
        "1.6e5",
        "65,504",
        "1e20",
    ]
    assert [number(float(x)) for x in ("nan", "inf", "-inf")] == ["NaN", "Inf", "-Inf"]
    assert [growth(x) for x in (0.5, 2, 4.64, 38.2)] == ["3.2x", "100x", "44,000x", "10^38-fold"]
    assert [element(x) for x in ("nan", "-inf", "0.0")] == ["NaN", "-Inf", "0.0"]
    assert [element(x) for x in ("-0.09629187", "(1+2.5001j)")] == ["-0.09629", "(1+2.5001j)"]
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and d"


def operation(
    kind: str,
    values: tuple[str, ...],
    result: str,
    name: str = "result",
    dtype: str = "float32",
) -> Operation:
    axis = Operand("axis", "int32", (), (Element((), "-1"),))
    operands = tuple(
        Operand("xy"[n], "float32", (32, 2), (Element((3, 0), value),))
        for n, value in enumerate(values)
    )
    made = Operand(name, dtype, (32, 2), (Element((3, 0), result),))
    direction: Any = "backward" if name == "gradient" else "forward"
    return Operation(
        kind, direction, "gate", "model.py", 57, operands=(axis, *operands), result=made
    )


@pytest.mark.parametrize(
    ("made", "rows", "sentence"),
    [
        (
            operation("RealDiv", ("1.0", "0.0"), "inf"),
            (3,),
            "`RealDiv` in layer `gate`, forward (model.py:57), divides 1.0 by 0.0 and returns Inf "
            "(batch row 3).",
        ),
        (
            operation("Log", ("-inf",), "nan"),
            tuple(range(32)),
            "`Log` in layer `gate`, forward (model.py:57), returns NaN for an input of -Inf (all "
            "32 "
            "rows of the batch).",
        ),
        (
            operation("Sqrt", ("0.0",), "-inf", "gradient"),
            tuple(range(10)),
            "`Sqrt` in layer `gate`, backward (model.py:57), has a gradient of -Inf where the "
            "input "
            "is 0.0 (10 of 32 batch rows).",
        ),
        (
            operation("MatMul", ("-8.626e+13", "3.5e25"), "-inf"),
            (3,),
            "`MatMul` in layer `gate`, forward (model.py:57), returns -Inf for inputs of up to "
            "8.6e13 and 3.5e25 (batch row 3).",
        ),
        (
            operation("Cast", ("69343.5",), "inf", dtype="float16"),
            (),
            "`Cast` in layer `gate`, forward (model.py:57), returns Inf for an input of 69343.5: "
            "float16 ends at 65,504.",
        ),
        (
            operation("MatMul", ("300.0", "400.0"), "inf", dtype="float16"),
            (3,),
            "`MatMul` in layer `gate`, forward (model.py:57), returns Inf for inputs of up to 300 "
            "and 400: float16 ends at 65,504 (batch row 3).",
        ),
        (
            operation("RealDiv", ("1.0", "0.0"), "inf", dtype="float16"),
            (),
            "`RealDiv` in layer `gate`, forward (model.py:57), divides 1.0 by 0.0 and returns Inf.",
        ),
        (
            operation("Mean", ("-inf",), "nan"),
            (),
            "`Mean` in layer `gate`, forward (model.py:57), returns NaN for an input of -Inf.",
        ),
        (
            operation("Einsum", ("1e13", "-2e30"), "inf", "gradient"),
            (),
            "`Einsum` in layer `gate`, backward (model.py:57), has a gradient of Inf for inputs of "
            "up to 1e13 and 2e30.",
        ),
    ],
)
def test_an_operation_in_a_sentence(made: Operation, rows: tuple[int, ...], sentence: str) -> None:
    assert operation_sentence(made, Rerun(7, True, "eager", "", made, rows)) == sentence


def test_an_operation_of_nothing() -> None:
    made = operation("Mean", (), "nan")
    empty = Operand("input", "float32", (0, 16))
    made = replace(made, operands=(empty, *made.operands))
    assert operation_sentence(made, Rerun(7, True, "eager", "", made)) == (
        "`Mean` in layer `gate`, forward (model.py:57), returns NaN for an input without elements."
    )


def test_rows_and_operands() -> None:
    made = operation("Pow", ("-1.0", "0.3"), "nan")
    rerun = Rerun(7, True, "eager", "", made)
    assert [rows_text(replace(rerun, examples=rows)) for rows in ((), (3,), (3, 5, 9))] == [
        *("", "batch row 3", "batch rows 3, 5 and 9")
    ]
    assert rows_text(replace(rerun, examples=tuple(range(16)))) == "at least 16 of 32 batch rows"
    assert list(operand_lines(made)) == [
        "axis = -1 (int32, scalar)",
        "x[3, 0] = -1.0 (float32, 32 x 2)",
        "y[3, 0] = 0.3 (float32, 32 x 2)",
        "result[3, 0] = NaN (float32, 32 x 2)",
    ]


def test_a_name_is_code_and_stays_short() -> None:
    found = finding("layer-backward", replace(KERNEL, layer="a`b" + "x" * 99), NAN)
    assert headline(found).startswith("NaN at step 7 · layer `a'bxx")
    assert headline(found).count("`") == 2
    assert len(headline(found)) < 110
