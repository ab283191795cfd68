"""What running a step once more, operation by operation, has found; and its form as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tb_nanwatch.format.json_facts import expecting, integer, pack_facts, unpack_facts

Pass = Literal["forward", "backward", "update"]
Mode = Literal["eager", "graph", "xla"]
Outcome = Literal["finite", "nonfinite", "failed"]


@dataclass(frozen=True)
class Element:
    """One element of a tensor.

    Attributes:
      index: its place, one number a dimension.
      value: as text, so that "nan", "-inf" and every digit travel.
    """

    index: tuple[int, ...]
    value: str


@dataclass(frozen=True)
class Operand:
    """A tensor that an operation takes or gives.

    Attributes:
      name: what it is to the operation.
      dtype: NumPy's name of the dtype.
      shape: of the batch that was run.
      elements: a few of those that matter; none where they cannot be told.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: tuple[Element, ...] = ()


@dataclass(frozen=True)
class SourceLine:
    """A line of source code; `line` counts from 1."""

    line: int
    text: str


@dataclass(frozen=True)
class Operation:
    """The operation that made something non-finite.

    Attributes:
      type: TensorFlow's name of the operation, such as "Log".
      direction: the pass in which it did so; "update" for what is made of the gradients.
      layer: path of the layer that ran it; "" for what runs outside of layers, such as the loss.
      file: of the person's own source, relative to the working directory where it lies below it; ""
        where the operation is not called from there.
      line: in that file, counted from 1; 0 without a file.
      function: name of the function around the line.
      source: that line and those around it.
      operands: what goes into the operation.
      result: what comes out of it; backward the gradient of its input.
      columns: where in the line the call begins and ends, as offsets in UTF-8; None where it is not
        known.
      optimizer: name of the optimizer that ran it, such as "keras.optimizers.Adam"; "" for none.
    """

    type: str
    direction: Pass
    layer: str = ""
    file: str = ""
    line: int = 0
    function: str = ""
    source: tuple[SourceLine, ...] = ()
    operands: tuple[Operand, ...] = ()
    result: Operand | None = None
    optimizer: str = ""
    columns: tuple[int, int] | None = None

    @property
    def code(self) -> str:
        """The line itself, without its indentation; "" where there is none."""
        return next((each.text.strip() for each in self.source if each.line == self.line), "")


@dataclass(frozen=True)
class Trial:
    """One remedy, tried on the step: the step was run once more with it.

    Attributes:
      remedy: its name; a key of `diagnosis.text`.
      code: what was run in place of the operation, or what the person is to write.
      outcome: "finite" where loss and gradients all were, "nonfinite" where one was not, "failed"
        where the step could not be run so.
      loss: of that run; None where there was none, or where it is not finite.
      gradients: how many gradients there were.
      nonfinite_gradients: how many of them were not finite.
      operation: the operation that then made something non-finite; None for none.
    """

    remedy: str
    code: str
    outcome: Outcome
    loss: float | None = None
    gradients: int = 0
    nonfinite_gradients: int = 0
    operation: Operation | None = None


@dataclass(frozen=True)
class Rerun:
    """What came of running a step that went non-finite once more.

    Attributes:
      step: the step.
      reproduced: whether it went non-finite again, in `mode`.
      mode: in which it was looked at.
      failure: the framework's error, where the step could not be run operation by operation; "".
      operation: the origin; None where there is none to name.
      examples: rows of the batch in which it happened, from 0; () where they cannot be told.
      bad_data: the same of each part of the batch that is non-finite itself, by its name.
      tried: remedies, in the order in which they were tried.
      draws_random: whether the step draws random numbers that cannot be drawn again.
      is_of_batch: whether the non-finite values were in the batch.
      is_of_weight: whether a weight was non-finite before the step.
    """

    step: int
    reproduced: bool
    mode: Mode
    failure: str = ""
    operation: Operation | None = None
    examples: tuple[int, ...] = ()
    bad_data: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    tried: tuple[Trial, ...] = ()
    draws_random: bool = False
    is_of_batch: bool = False
    is_of_weight: bool = False


def operation_to_json(operation: Operation) -> dict[str, Any]:
    """The operation as `origin.operation` of a finding; keys are there where they say something."""
    answer: dict[str, Any] = {"type": operation.type, "pass": operation.direction}
    if operation.layer:
        answer["layer"] = operation.layer
    if operation.optimizer:
        answer["optimizer"] = operation.optimizer
    if operation.file:
        answer |= {
            "file": operation.file,
            "line": operation.line,
            "code": operation.code,
            "function": operation.function,
            "source": [{"line": each.line, "text": each.text} for each in operation.source],
        }
    if operation.columns is not None:
        answer["columns"] = list(operation.columns)
    if operation.operands:
        answer["operands"] = [_operand_to_json(each) for each in operation.operands]
    if operation.result is not None:
        answer["result"] = _operand_to_json(operation.result)
    return answer


def rerun_to_json(rerun: Rerun) -> dict[str, Any]:
    """All of it, as it is kept on disk and in the record."""
    answer: dict[str, Any] = {
        "step": rerun.step,
        "reproduced": rerun.reproduced,
        "mode": rerun.mode,
        "failure": rerun.failure,
        "draws_random": rerun.draws_random,
        "is_of_batch": rerun.is_of_batch,
        "is_of_weight": rerun.is_of_weight,
        "examples": list(rerun.examples),
        "bad_data": {name: list(rows) for name, rows in rerun.bad_data.items()},
        "tried": [trial_to_json(each) for each in rerun.tried],
    }
    if rerun.operation is not None:
        answer["operation"] = operation_to_json(rerun.operation)
    return answer


def trial_to_json(trial: Trial) -> dict[str, Any]:
    """A remedy that was tried, as an element of `tried`."""
    answer: dict[str, Any] = {
        "remedy": trial.remedy,
        "code": trial.code,
        "outcome": trial.outcome,
        "loss": trial.loss,
        "gradients": trial.gradients,
        "nonfinite_gradients": trial.nonfinite_gradients,
    }
    if trial.operation is not None:
        answer["operation"] = operation_to_json(trial.operation)
    return answer


def rerun_from_json(content: Any) -> Rerun:
    """The inverse of `rerun_to_json`; FormatError where `content` is nothing of the kind."""
    with expecting("what a rerun found"):
        found = content.get("operation")
        return Rerun(
            step=integer(content["step"]),
            reproduced=bool(content["reproduced"]),
            mode=_known(content["mode"], Mode),
            failure=str(content["failure"]),
            operation=None if found is None else _operation(found),
            examples=tuple(map(integer, content["examples"])),
            bad_data={
                str(name): tuple(map(integer, rows)) for name, rows in content["bad_data"].items()
            },
            tried=tuple(map(_trial, content["tried"])),
            draws_random=bool(content["draws_random"]),
            is_of_batch=bool(content["is_of_batch"]),
            is_of_weight=bool(content["is_of_weight"]),
        )


def pack_rerun(rerun: Rerun) -> bytes:
    """The rerun as bytes, the same for the same rerun."""
    return pack_facts(rerun_to_json(rerun))


def unpack_rerun(content: bytes) -> Rerun:
    """The rerun; raises FormatError for anything else, VersionError for a newer one."""
    return rerun_from_json(unpack_facts(content, "what a rerun found"))


def _trial(content: Mapping[str, Any]) -> Trial:
    operation, loss = content.get("operation"), content["loss"]
    return Trial(
        remedy=str(content["remedy"]),
        code=str(content["code"]),
        outcome=_known(content["outcome"], Outcome),
        loss=None if loss is None or not math.isfinite(loss) else float(loss),
        gradients=integer(content["gradients"]),
        nonfinite_gradients=integer(content["nonfinite_gradients"]),
        operation=None if operation is None else _operation(operation),
    )


def _operand_to_json(operand: Operand) -> dict[str, Any]:
    return {
        "name": operand.name,
        "dtype": operand.dtype,
        "shape": list(operand.shape),
        "elements": [{"index": list(each.index), "value": each.value} for each in operand.elements],
    }


def _operation(content: Mapping[str, Any]) -> Operation:
    result = content.get("result")
    return Operation(
        type=str(content["type"]),
        direction=_known(content["pass"], Pass),
        layer=str(content.get("layer", "")),
        file=str(content.get("file", "")),
        line=integer(content.get("line", 0)),
        function=str(content.get("function", "")),
        source=tuple(
            SourceLine(integer(each["line"]), str(each["text"]))
            for each in content.get("source", ())
        ),
        operands=tuple(_operand(each) for each in content.get("operands", ())),
        result=None if result is None else _operand(result),
        optimizer=str(content.get("optimizer", "")),
        columns=_columns(content.get("columns")),
    )


def _columns(content: Any) -> tuple[int, int] | None:
    if content is None:
        return None
    start, end = content
    return integer(start), integer(end)


def _operand(content: Mapping[str, Any]) -> Operand:
    return Operand(
        str(content["name"]),
        str(content["dtype"]),
        tuple(map(integer, content["shape"])),
        tuple(
            Element(tuple(map(integer, each["index"])), str(each["value"]))
            for each in content["elements"]
        ),
    )


def _known(value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise ValueError(f"Expected one of {', '.join(get_args(kind))}, got {value!r:.100}.")
    return value
