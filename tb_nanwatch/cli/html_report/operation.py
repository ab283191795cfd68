"""The operation that a finding names: its source with the line marked, operands, rows."""

from __future__ import annotations

from collections.abc import Iterator

from tb_nanwatch.cli.html_report.markup import name, text
from tb_nanwatch.diagnosis.text.names import sentence
from tb_nanwatch.diagnosis.text.numbers import element
from tb_nanwatch.diagnosis.text.operation import (
    operands,
    rows_text,
    shape_text,
    source_line,
)
from tb_nanwatch.diagnosis.text.rerun import note, outcome
from tb_nanwatch.format.rerun import Operation, Rerun


def operation_html(rerun: Rerun) -> str:
    """What re-running the step has found, as HTML."""
    parts = []
    if rerun.operation is not None:
        parts = [_source(rerun.operation), _operands(rerun.operation)]
    rows = rows_text(rerun)
    if rows:
        parts.append(f"<p>{text(sentence(rows))}</p>")
    more = note(rerun)
    said = f"{sentence(outcome(rerun))}. {more}".strip()
    parts.append(f'<p class="aside">{text(said)}</p>')
    return f'<section class="operation">{"".join(parts)}</section>'


def _source(operation: Operation) -> str:
    if not operation.file:
        return ""
    lines = "".join(
        f'<span class="line{" broke" if each.line == operation.line else ""}">'
        f"{'▸' if each.line == operation.line else ' '}{each.line:>6}  {text(each.text)}\n</span>"
        for each in operation.source
    )
    return (
        f"<figure><figcaption>{name(source_line(operation))}, in {name(operation.function)}"
        f"</figcaption><pre>{lines}</pre></figure>"
    )


def _operands(operation: Operation) -> str:
    rows = "".join(_operand_rows(operation))
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{each}</th>' for each in ("Operand", "Index", "Value"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _operand_rows(operation: Operation) -> Iterator[str]:
    for operand in operands(operation):
        found = [(str(list(each.index)), element(each.value)) for each in operand.elements]
        for number, (index, value) in enumerate(found or [("", "")]):
            head = ""
            if not number:
                head = (
                    f'<th scope="row" rowspan="{max(1, len(found))}">{name(operand.name)} '
                    f'<span class="aside">{text(operand.dtype)}, {shape_text(operand)}</span></th>'
                )
            yield f"<tr>{head}<td>{index}</td><td>{text(value)}</td></tr>"
