"""What to write in place of an operation that made something non-finite: shown, and run, as code.

The code of a remedy is what a person is told to write and what is run when it is tried on the
failing step, the very text: so the two cannot part. Its names are `tf`, `x` for the first operand
and `y` for the second one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.format.rerun import Pass


class Remedy(NamedTuple):
    """One way to write an operation so that it stays finite.

    Attributes:
      name: what it does, in one word or two; a key of `diagnosis.text`.
      code: an expression.
      producer: type of the operation that makes the first operand, where the remedy takes the place
        of both: `z` is what goes into it. "" otherwise.
    """

    name: str
    code: str
    producer: str = ""

    def run(self, *operands: Any) -> Any:
        """The expression, of these operands; of what goes into the producer, where it names one."""
        values = dict(zip("z" if self.producer else "xy", operands, strict=False))
        return eval(self.code, {"tf": tf, **values})


class _Form(NamedTuple):
    """A remedy before the constants of a dtype are filled in.

    Attributes:
      name, code: as of `Remedy`; `code` with the constants' names in braces.
      where: whether it fits, by the operands; None where it always does.
      producer: as of `Remedy`.
    """

    name: str
    code: str
    where: Callable[..., bool] | None = None
    producer: str = ""


class _Constants(NamedTuple):
    """What the codes take for a dtype.

    Attributes:
      eps: added to what may be 0.
      divisor: added to what is divided by: more, as 1 / 1e-6 is a million.
      edge: how far from the ends of a domain.
      lowest, highest: of a mask; their softmax is 0.
      largest_exponent: that `exp` still takes.
    """

    eps: str = "1e-6"
    divisor: str = "1e-3"
    edge: str = "1e-6"
    lowest: str = "-1e9"
    highest: str = "1e9"
    largest_exponent: str = "20.0"


_CONSTANTS = {
    "float16": _Constants("1e-3", "1e-2", "1e-3", "-1e4", "1e4", "8.0"),  # It ends at 65504.
    "bfloat16": _Constants(edge="1e-2"),
}


def _any(condition: Any) -> bool:
    return bool(tf.reduce_any(condition))


def _is_never_negative(_: Any, divisor: Any) -> bool:
    return not _any(divisor < 0)


def _has_negative(x: Any, *_: Any) -> bool:
    return _any(x < 0)


def _is_positive(x: Any) -> bool:
    return not _any(x <= 0)


def _has_infinite(*operands: Any) -> bool:
    return any(_any(tf.math.is_inf(each)) for each in operands)


def _is_distribution(x: Any) -> bool:
    """Whether its rows may be what a softmax gives."""
    if x.shape.rank is None or x.shape.rank < 1 or x.shape[-1] in (None, 1):
        return False
    sums = tf.cast(tf.reduce_sum(x, axis=-1), tf.float64)
    return not _any(x < 0) and not _any(tf.abs(sums - 1) > 1e-2)


_CLAMP, _EPSILON, _NO_NAN = "clamp", "epsilon", "divide-no-nan"
_ARGUMENT = "clamp-argument"

_FORMS: dict[str, tuple[_Form, ...]] = {
    "Log": (
        _Form("log-softmax", "tf.nn.log_softmax(z)", _is_distribution, "Softmax"),
        _Form(_CLAMP, "tf.math.log(tf.maximum(x, {eps}))"),
    ),
    "Log1p": (_Form(_CLAMP, "tf.math.log1p(tf.maximum(x, {edge} - 1.0))"),),
    "Sqrt": (
        _Form(_EPSILON, "tf.sqrt(x + {eps})", lambda x: not _has_negative(x)),
        _Form(_CLAMP, "tf.sqrt(tf.maximum(x, {eps}))"),
    ),
    "Rsqrt": (
        _Form(_EPSILON, "tf.math.rsqrt(x + {eps})", lambda x: not _has_negative(x)),
        _Form(_CLAMP, "tf.math.rsqrt(tf.maximum(x, {eps}))"),
    ),
    "RealDiv": (
        _Form(_EPSILON, "x / (y + {divisor})", _is_never_negative),
        _Form(_NO_NAN, "tf.math.divide_no_nan(x, y)"),
    ),
    "Reciprocal": (
        _Form(_EPSILON, "1.0 / (x + {eps})", lambda x: not _has_negative(x)),
        _Form(_NO_NAN, "tf.math.reciprocal_no_nan(x)"),
    ),
    # Of a large base it is an overflow, which that does not mend.
    "Pow": (_Form(_CLAMP, "tf.pow(tf.maximum(x, {eps}), y)", lambda x, *_: not _is_positive(x)),),
    "Exp": (_Form("bound-exponent", "tf.exp(tf.minimum(x, {largest_exponent}))"),),
    "Expm1": (_Form("bound-exponent", "tf.math.expm1(tf.minimum(x, {largest_exponent}))"),),
    "Softmax": (_Form("finite-mask", "tf.nn.softmax(tf.maximum(x, {lowest}))"),),
    "LogSoftmax": (_Form("finite-mask", "tf.nn.log_softmax(tf.maximum(x, {lowest}))"),),
    "Mul": (
        _Form(
            "finite-mask",
            "tf.clip_by_value(x, {lowest}, {highest}) * tf.clip_by_value(y, {lowest}, {highest})",
            _has_infinite,
        ),
    ),
    "AddV2": (
        _Form(
            "finite-mask",
            "tf.clip_by_value(x, {lowest}, {highest}) + tf.clip_by_value(y, {lowest}, {highest})",
            _has_infinite,
        ),
    ),
    "Sub": (
        _Form(
            "finite-mask",
            "tf.clip_by_value(x, {lowest}, {highest}) - tf.clip_by_value(y, {lowest}, {highest})",
            _has_infinite,
        ),
    ),
    "Acos": (_Form(_ARGUMENT, "tf.acos(tf.clip_by_value(x, {edge} - 1.0, 1.0 - {edge}))"),),
    "Asin": (_Form(_ARGUMENT, "tf.asin(tf.clip_by_value(x, {edge} - 1.0, 1.0 - {edge}))"),),
    "Atanh": (_Form(_ARGUMENT, "tf.atanh(tf.clip_by_value(x, {edge} - 1.0, 1.0 - {edge}))"),),
    "Acosh": (_Form(_ARGUMENT, "tf.acosh(tf.maximum(x, 1.0 + {edge}))"),),
    "Erfinv": (
        _Form(_ARGUMENT, "tf.math.erfinv(tf.clip_by_value(x, {edge} - 1.0, 1.0 - {edge}))"),
    ),
    "Lgamma": (_Form(_CLAMP, "tf.math.lgamma(tf.maximum(x, {eps}))"),),
    "Digamma": (_Form(_CLAMP, "tf.math.digamma(tf.maximum(x, {eps}))"),),
    "Cholesky": (
        _Form("jitter", "tf.linalg.cholesky(x + {eps} * tf.eye(tf.shape(x)[-1], dtype=x.dtype))"),
    ),
}
_FORMS["Div"] = _FORMS["RealDiv"]
_FORMS["Inv"] = _FORMS["Reciprocal"]
_FORMS["AddV1"] = _FORMS["AddV2"]


def remedies_for(operation_type: str, direction: Pass, operands: Sequence[Any]) -> Iterator[Remedy]:
    """The ways to write an operation, that which changes the least of its meaning first.

    Args:
      operation_type: TensorFlow's name of it.
      direction: the pass in which it made something non-finite; an update is not written anew.
      operands: its inputs, tensors.
    """
    if direction == "update":
        return
    numbers = [each for each in operands if each.dtype.is_floating]
    if not numbers:
        return
    constants = _CONSTANTS.get(numbers[0].dtype.name, _Constants())
    for form in _FORMS.get(operation_type, ()):
        if form.where is None or form.where(*numbers):
            yield Remedy(form.name, form.code.format(**constants._asdict()), form.producer)
