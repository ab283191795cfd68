"""Whether an operation overflowed on a number that no one would give it, and what stays so."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tb_nanwatch.format.operation_kinds import EXPONENTIALS
from tb_nanwatch.format.rerun import Operation, Trial
from tb_nanwatch.stats.floats import COMPONENT

_EXPONENT = 88.0
"""Above this exp overflows float32."""

_ABSURD_EXPONENT = 1e3
"""No formula means to take exp of this."""

_ABSURD = 1e6
"""Over the data's magnitude: no layer makes this of it that has not run away."""

_ABSURD_LOSS = 1e9

_WIDE = frozenset({"float32", "float64", "bfloat16"})
"""float16 ends so early that what overflows in it may be moderate."""


def overflowed_at(operation: Operation, data: float) -> float:
    """The largest operand on which the operation overflowed, if that is absurd; 0 otherwise.

    Args:
      operation: what made something non-finite of finite operands.
      data: largest magnitude of inputs and targets.
    """
    values = list(_magnitudes(operation))
    largest = max(values, default=0.0)
    if operation.type in EXPONENTIALS:
        return largest if largest > max(_ABSURD_EXPONENT, 10 * data) else 0.0
    return largest if largest >= _ABSURD * max(1.0, data) else 0.0


def exponent(operation: Operation) -> float:
    """The operand on which an exponential overflowed, absurd or not; 0 for another operation."""
    largest = max(_magnitudes(operation), default=0.0)
    return largest if operation.type in EXPONENTIALS and largest > _EXPONENT else 0.0


def is_absurd_gradient(largest: float, data: float) -> bool:
    """Whether a gradient is above what a squared error makes of such data, by far."""
    return largest >= _ABSURD * max(1.0, data) ** 2


def still_absurd(trial: Trial, data: float) -> bool:
    """Whether a step is no better with the operation guarded: it overflows elsewhere, or stays
    finite at a loss that is absurd."""
    if trial.outcome == "finite":
        return trial.loss is not None and abs(trial.loss) >= _ABSURD_LOSS * max(1.0, data**2)
    return trial.operation is not None and overflowed_at(trial.operation, data) > 0


def _magnitudes(operation: Operation) -> Iterator[float]:
    """Of the operands; none where one of them is not finite, or is the end of its dtype, as masks
    are."""
    found = []
    for operand in operation.operands:
        if operand.dtype not in COMPONENT:
            continue
        if operand.dtype not in _WIDE:
            return
        for each in operand.elements:
            try:
                value = float(each.value)
            except ValueError:  # A complex number.
                return
            if not math.isfinite(value) or value <= -3.3e38:
                return
            found.append(abs(value))
    yield from found
