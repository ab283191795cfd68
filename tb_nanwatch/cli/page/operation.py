"""The operation that a finding names: its source with the line marked, operands, rows."""

from __future__ import annotations

from collections.abc import Iterator

from tb_nanwatch.cli.page.markup import name, text
from tb_nanwatch.format.rerun import Operand, Operation, Rerun

_ROWS = 10
"""So many rows of the batch are named."""


def operation_html(rerun: Rerun) -> str:
    """What running a step again has found, as HTML; "" where that is nothing to show."""
    parts = []
    if rerun.operation is not None:
        parts = [_head(rerun.operation), _source(rerun.operation), _operands(rerun.operation)]
    if rerun.examples:
        rest = len(rerun.examples) - _ROWS
        rows = ", ".join(f"{each:,}" for each in rerun.examples[:_ROWS])
        plural = "s" if len(rerun.examples) > 1 else ""
        parts.append(
            f"<p>Row{plural} {rows}{f' and {rest:,} more' if rest > 0 else ''} of the batch</p>"
        )
    again = "happened again" if rerun.reproduced else "did not happen again"
    note = f" {text(rerun.note)}" if rerun.note else ""
    parts.append(
        f'<p class="aside">It {again} when the step was run once more ({rerun.mode}).{note}</p>'
    )
    return f'<section class="operation">{"".join(parts)}</section>'


def _head(operation: Operation) -> str:
    during = "update" if operation.direction == "update" else f"{operation.direction} pass"
    where = f" of layer {name(operation.layer)}" if operation.layer else ""
    where = f" of {name(operation.optimizer)}" if operation.optimizer else where
    return f"<h4>{name(operation.type)} in the {during}{where}</h4>"


def _source(operation: Operation) -> str:
    if not operation.file:
        return ""
    lines = "".join(
        f'<span class="line{" broke" if each.line == operation.line else ""}">'
        f"{'▸' if each.line == operation.line else ' '}{each.line:>6}  {text(each.text)}\n</span>"
        for each in operation.source
    )
    place = f"{operation.file}:{operation.line}"
    return (
        f"<figure><figcaption>{name(place)}, in {name(operation.function)}</figcaption>"
        f"<pre>{lines}</pre></figure>"
    )


def _operands(operation: Operation) -> str:
    results = () if operation.result is None else (operation.result,)
    rows = "".join(_operand_rows([*operation.operands, *results]))
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{each}</th>' for each in ("Operand", "At", "Value"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _operand_rows(operands: list[Operand]) -> Iterator[str]:
    for operand in operands:
        shape = " × ".join(map(str, operand.shape)) or "scalar"
        elements = [(str(list(each.index)), each.value) for each in operand.elements]
        for number, (index, value) in enumerate(elements or [("", "")]):
            head = ""
            if not number:
                head = (
                    f'<th scope="row" rowspan="{max(1, len(elements))}">{name(operand.name)} '
                    f'<span class="aside">{text(operand.dtype)}, {shape}</span></th>'
                )
            yield f"<tr>{head}<td>{index}</td><td>{text(value)}</td></tr>"
