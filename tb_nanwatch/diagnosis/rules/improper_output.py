"""`improper-output`: a cross entropy of probabilities, given something that is none.

By what the framework says of the loss and of the last layer, and by what the predictions are: a
model may apply a function of its own after the last layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tb_nanwatch.diagnosis.facts.loss_kinds import BINARY, CATEGORICAL, SPARSE
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.facts.tensor_history import Steps
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.trend_finding import finding_of_trend
from tb_nanwatch.format.facts import LayerFacts, LossFacts
from tb_nanwatch.stats.record import Matrix

_TOLERANCE = 1e-3
"""Sums of probabilities, and probabilities of float16, are not exact."""


def improper_output(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One finding at most, for a model of one output and one loss of Keras."""
    losses, predictions = run.history.model.losses, run.recorded("prediction")
    # A loss with a name is one of several, or an attribute that a custom step takes for something.
    if len(losses) != 1 or len(predictions) != 1 or losses[0].name or not losses[0].is_builtin:
        return
    loss, tensor = losses[0], predictions[0]
    if loss.class_name not in BINARY | CATEGORICAL | SPARSE:
        return
    history = run.histories[tensor]
    keep = (history.last < run.damaged_from) & (history.column("sampled_finite") > 0)
    keep &= history.column("sampled_finite") == history.column("sampled_elements")
    seen = np.flatnonzero(keep)
    if not len(seen):
        return
    smallest, largest = (history.column(name)[seen] for name in ("min", "max"))
    last = _last_layer(run)
    variant, beyond, evidence = "", seen, {}
    is_outside = (smallest < -_TOLERANCE) | (largest > 1 + _TOLERANCE)
    if _is_of_one_unit(run, tensor, loss, last):
        variant = "one-unit"
    elif loss.from_logits is not False:
        return
    elif _activation(last) == "relu" and (is_outside.any() or _has_zeros(run, tensor, seen)):
        variant = "relu"
    elif is_outside.any():
        variant, beyond = "logits", seen[is_outside]
    elif _activation(last) == "sigmoid" and _is_exclusive(run, loss):
        row_sum = _row_sums(run, tensor, seen)
        if len(row_sum) and float(np.abs(np.median(row_sum) - 1)) > 0.01:
            variant, evidence = "sigmoid", {"row_sum": float(np.median(row_sum))}
    if not variant:
        return
    found = finding_of_trend(
        run,
        "improper-output",
        tensor,
        (int(history.last[beyond[0]]), int(history.last[beyond[-1]])),
        {"smallest": float(smallest.min()), "largest": float(largest.max()), **evidence},
        variant=variant,
        related={"loss": loss.class_name},
    )
    yield found if last is None else replace(found, origin=run.place(tensor, last.path))


def _last_layer(run: Run) -> LayerFacts | None:
    """The one layer whose output no other consumes; None where there are several, or none."""
    layers = run.history.model.layers
    if not any(each.inputs for each in layers) and len(layers) > 1:
        return None  # What feeds what is not known.
    ends = [each for each in layers if not run.layers.consumers(each.path)]
    return ends[0] if len(ends) == 1 and ends[0].is_builtin else None


def _activation(layer: LayerFacts | None) -> str:
    if layer is None:
        return ""
    classes = {"ReLU": "relu", "Softmax": "softmax"}
    return classes.get(layer.class_name, layer.activation)


def _units(run: Run, tensor: int) -> int:
    """The last dimension; -1 where it is not known."""
    shape = run.info(tensor).shape
    return shape[-1] if shape is not None and len(shape) > 1 else -1


def _is_of_one_unit(run: Run, tensor: int, loss: LossFacts, last: LayerFacts | None) -> bool:
    if _units(run, tensor) != 1:
        return False
    return loss.class_name not in BINARY or _activation(last) == "softmax"


def _has_zeros(run: Run, tensor: int, seen: Steps) -> bool:
    """Whether predictions are exactly zero, as those of a ReLU are and of a softmax are not."""
    history = run.histories[tensor]
    share = history.column("zero")[seen] / history.column("sampled_elements")[seen]
    return bool(np.median(share) > 0.01)


def _row_sums(run: Run, tensor: int, seen: Steps) -> Matrix:
    """The mean sum of a row, by record."""
    history, units = run.histories[tensor], _units(run, tensor)
    if units < 2:
        return np.zeros(0)
    sums: Matrix = history.column("sum")[seen] * units / history.column("sampled_elements")[seen]
    return sums


def _is_exclusive(run: Run, loss: LossFacts) -> bool:
    """Whether each row has one class: labels are numbers, or rows of targets that sum up to 1."""
    if loss.class_name in SPARSE:
        return True
    targets = [t for t in run.recorded("target") if run.info(t).attribute != "sample_weight"]
    if loss.class_name not in CATEGORICAL or len(targets) != 1:
        return False
    history = run.histories[targets[0]]
    seen = np.flatnonzero(history.column("sampled_finite") > 0)
    sums = _row_sums(run, targets[0], seen)
    return len(sums) > 0 and bool(
        (np.abs(sums - 1) < 1e-4).all() and (history.column("min")[seen] >= 0).all()
    )
