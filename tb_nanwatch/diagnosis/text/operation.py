"""An operation, its operands, and the rows of the batch, in words."""

from __future__ import annotations

from collections.abc import Iterator

from tb_nanwatch.diagnosis.text.names import code
from tb_nanwatch.diagnosis.text.numbers import element, is_finite, magnitude, plural
from tb_nanwatch.format.operation_kinds import EXPONENTIALS, SUMMING
from tb_nanwatch.format.rerun import Operand, Operation, Rerun
from tb_nanwatch.stats.floats import COMPONENT

_ROWS = 6
_MOST_RECORDED_ROWS = 16
"""The recorder stops counting rows there."""

_DIVISIONS = frozenset({"RealDiv", "Div", "FloorDiv", "TruncateDiv", "Xdivy"})

_BINARY = frozenset({"Pow", "Sub", "Mul", "Add", "AddV2", "Xlogy", "Xlog1py", "Atan2"})


_LEAVES_RANGE = SUMMING | EXPONENTIALS | {"Cast", "Mul", "AddV2", "Sub", "Square", "Pow", "BiasAdd"}
"""Operations whose result is infinite of finite operands where it is too large for the dtype."""


def operation_name(operation: Operation, otherwise: str = "") -> str:
    """ "`Sqrt` in layer `length`, backward": what ran where; `otherwise` outside of layers."""
    place = otherwise
    if operation.layer:
        place = f" in layer {code(operation.layer)}"
    elif operation.optimizer:
        place = f" in {code(operation.optimizer)}"
    return f"{code(operation.type)}{place}, {operation.direction}"


def power_overflows(operation: Operation) -> bool:
    """Whether it is a power of a base that has one, beyond the largest number."""
    result, operands = operation.result, operation.operands
    if operation.type != "Pow" or not operands or result is None or result.name == "gradient":
        return False
    base, power = (_first(each) for each in (operands[0], result))
    return power in ("Inf", "-Inf") and is_finite(base) and abs(float(base)) > 1


def source_line(operation: Operation) -> str:
    """ "model.py:57"; "" where it is not known."""
    return f"{operation.file}:{operation.line}" if operation.file else ""


def operation_sentence(operation: Operation, rerun: Rerun) -> str:
    """ "`Log` in layer `gate`, forward (model.py:57), returns -Inf for an input of 0.0 (batch row
    3).": what it did, of which numbers, and in which rows."""
    line = source_line(operation)
    where = f" ({line})" if line else ""
    rows = rows_text(rerun)
    did = _did(operation) + _range(operation)
    return f"{operation_name(operation)}{where}, {did}{f' ({rows})' if rows else ''}."


def _did(operation: Operation) -> str:
    result = operation.result
    made = _first(result) or "NaN or Inf"
    numbers = [each for each in operation.operands if each.dtype in COMPONENT]
    if any(0 in each.shape for each in numbers):
        return f"returns {made} for an input without elements"
    given = [value for value in map(_first, numbers) if value]
    if operation.type in SUMMING:
        return _summed(made, given, is_gradient=result is not None and result.name == "gradient")
    if result is not None and result.name == "gradient":
        of = f" where the input is {given[0]}" if given else ""
        return f"has a gradient of {made}{of}"
    if operation.type in _DIVISIONS and len(given) > 1:
        return f"divides {given[0]} by {given[1]} and returns {made}"
    if operation.type in _BINARY and len(given) > 1:
        return f"returns {made} for inputs of {given[0]} and {given[1]}"
    return f"returns {made}" + (f" for an input of {given[0]}" if given else "")


def _range(operation: Operation) -> str:
    """ ": float16 ends at 65,504", where that is why the result is infinite."""
    result = operation.result
    if result is None or result.dtype != "float16" or operation.type not in _LEAVES_RANGE:
        return ""
    numbers = [each for each in operation.operands if each.dtype in COMPONENT and each.elements]
    finite = all(is_finite(each.value) for one in numbers for each in one.elements)
    is_infinite = _first(result) in ("Inf", "-Inf")
    return ": float16 ends at 65,504" if numbers and finite and is_infinite else ""


def _summed(made: str, given: list[str], *, is_gradient: bool) -> str:
    """Of sums: the largest elements of what is summed, or multiplied and summed."""
    did = f"has a gradient of {made}" if is_gradient else f"returns {made}"
    if not given:
        return did
    word = "an input" if len(given) == 1 else "inputs"
    largest = " and ".join(map(magnitude, given))
    of = "up to " if all(map(is_finite, given)) else ""
    return f"{did} for {word} of {of}{largest}"


def _first(operand: Operand | None) -> str:
    """The first element that is named; "" for none."""
    if operand is None or not operand.elements:
        return ""
    return element(operand.elements[0].value)


def rows_text(rerun: Rerun) -> str:
    """ "batch row 3", "batch rows 3 and 5", "all 32 rows of the batch", "16 of 32 batch rows"."""
    rows = rerun.examples
    if not rows:
        return ""
    size = _batch_size(rerun.operation)
    if len(rows) == 1:
        return f"batch row {rows[0]:,}"
    if size is not None and len(rows) == size:
        return f"all {size:,} rows of the batch"
    if len(rows) <= _ROWS:
        return f"batch rows {', '.join(f'{row:,}' for row in rows[:-1])} and {rows[-1]:,}"
    least = "at least " if len(rows) >= _MOST_RECORDED_ROWS else ""
    return (
        f"{least}{plural(len(rows), 'batch row')}"
        if size is None
        else (f"{least}{len(rows):,} of {size:,} batch rows")
    )


def _batch_size(operation: Operation | None) -> int | None:
    """The first dimension of what came out; None where it is not known."""
    if operation is None or operation.result is None or not operation.result.shape:
        return None
    return operation.result.shape[0]


def operand_lines(operation: Operation) -> Iterator[str]:
    """Operands and result: "x[0, 0, 0] = 0.0 (float32, 8 x 8 x 16)"; each shape once."""
    for operand in operands(operation):
        shape = f"({operand.dtype}, {shape_text(operand)})"
        if not operand.elements:
            yield f"{operand.name} {shape}"
        for position, each in enumerate(operand.elements):
            index = f"[{', '.join(map(str, each.index))}]" if each.index else ""
            yield f"{operand.name}{index} = {element(each.value)}" + (
                "" if position else f" {shape}"
            )


def operands(operation: Operation) -> list[Operand]:
    """What goes in and, last, what comes out."""
    results = () if operation.result is None else (operation.result,)
    return [*operation.operands, *results]


def shape_text(operand: Operand) -> str:
    """ "8 x 8 x 16", "scalar"."""
    return " x ".join(map(str, operand.shape)) or "scalar"
