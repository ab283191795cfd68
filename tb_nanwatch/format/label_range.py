"""Labels that name no class, as TensorFlow's error or the operation's operands have them."""

from __future__ import annotations

import re
from typing import NamedTuple

from tb_nanwatch.format.rerun import Operation, Rerun

_ERROR = re.compile(r"label value of (-?\d+) which is outside the valid range of \[0, (\d+)\)")

_FROM_LABELS = "SparseSoftmaxCrossEntropyWithLogits"


class LabelOutOfRange(NamedTuple):
    """A label, and how many classes there are."""

    label: int
    classes: int


def label_out_of_range(rerun: Rerun) -> LabelOutOfRange | None:
    """The label that made a loss NaN; None where that is not known to be why.

    The CPU raises an error, which says so; a GPU returns NaN for such a label.
    """
    found = _ERROR.search(rerun.failure)
    if found:
        return LabelOutOfRange(int(found[1]), int(found[2]))
    return None if rerun.operation is None else _of_operands(rerun.operation)


def _of_operands(operation: Operation) -> LabelOutOfRange | None:
    operands = {each.name: each for each in operation.operands}
    features, labels = operands.get("features"), operands.get("labels")
    if operation.type != _FROM_LABELS or features is None or labels is None:
        return None
    classes = features.shape[-1]
    values = [int(each.value) for each in labels.elements]
    bad = [value for value in values if not 0 <= value < classes]
    return LabelOutOfRange(bad[0], classes) if bad else None
