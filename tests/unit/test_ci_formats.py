"""The report as CI systems read it: GitHub's annotations, and JUnit XML."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree

import pytest

from tb_nanwatch.cli.github_annotations import annotation_lines
from tb_nanwatch.cli.junit import junit
from tb_nanwatch.diagnosis import Finding, Place, Verdict, advice, explanation, headline
from tb_nanwatch.format.rerun import Operation, Rerun, SourceLine
from tb_nanwatch.logdir.runs import DiagnosedRun


@dataclass
class Index:
    first_step: int | None = 0
    last_step: int | None = 40
    read: int = 41
    written: int = 41
    scale_skipped_steps: int = 0
    problems: tuple[str, ...] = ()
    began: float | None = 1.0
    is_shared: bool = False


@dataclass
class Found:
    name: str
    index: Index


OPERATION = Operation(
    *("Log", "forward", "gate", "src/100%, of: it/model.py", 57, "call"),
    (SourceLine(57, "    return tf.math.log(x)"),),
)
EVIDENCE = {"nan": 3, "pos_inf": 0, "neg_inf": 0}
ERROR = Finding(
    *("layer-forward", "error", 17, 40, Place("prediction", "gate", "prediction")),
    variant="invalid",
    evidence=EVIDENCE,
    rerun=Rerun(17, True, "eager", "", OPERATION, (0,)),
)
WARNING = replace(ERROR, severity="warning", step=3, rerun=None)


def run(*findings: Finding, name: str = "a/run", problems: tuple[str, ...] = ()) -> DiagnosedRun:
    found: Any = Found(name, Index(problems=problems))
    return DiagnosedRun(found, Verdict(findings, 41, 9, frozenset({"gradient"})))


EMPTY = DiagnosedRun(
    Found("empty", Index(None, None, 0, 0)),  # type: ignore[arg-type]
    Verdict((), 0, 0, frozenset()),
)


def unescaped(text: str, *more: tuple[str, str]) -> str:
    """As GitHub's runner does it: the percent sign last."""
    for code, character in (("%0D", "\r"), ("%0A", "\n"), *more, ("%25", "%")):
        text = text.replace(code, character)
    return text


def parsed(line: str) -> tuple[str, dict[str, str], str]:
    """Command, properties and message of a workflow command, by GitHub's rules."""
    match = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
    assert match is not None, line
    pairs = (each.split("=", 1) for each in match[2].split(","))
    properties = {name: unescaped(value, ("%3A", ":"), ("%2C", ",")) for name, value in pairs}
    return match[1], properties, unescaped(match[3])


def test_an_annotation_at_the_line() -> None:
    ((command, properties, message),) = map(parsed, annotation_lines([run(ERROR)]))
    assert command == "error"
    assert properties == {
        "file": "src/100%, of: it/model.py",
        "line": "57",
        "title": headline(ERROR).replace("`", ""),
    }
    assert message.startswith(f"Run a/run. {explanation(ERROR)}\n{advice(ERROR)}")


def test_a_command_for_each_severity_and_no_place_where_none_is_known() -> None:
    info = replace(WARNING, severity="info")
    lines = [parsed(line) for line in annotation_lines([run(ERROR, WARNING), run(info), EMPTY])]
    assert [command for command, _, _ in lines] == ["error", "warning", "notice"]
    assert "file" not in lines[1][1]


def test_a_name_begins_no_command_of_its_own() -> None:
    evil = run(ERROR, name="a\n::set-output name=x::%0Ay\x1b[31m", problems=("b\r\n::c::",))
    lines = list(annotation_lines([evil]))
    assert len(lines) == 2
    assert all("\n" not in line and "\r" not in line and "\x1b" not in line for line in lines)
    assert parsed(lines[1])[2].startswith("Run a\n::set-output name=x::%0Ay\\x1b[31m.")


def test_junit() -> None:
    runs = [run(ERROR, WARNING, name="bad"), run(WARNING, name="meh"), run(name="good"), EMPTY]
    text = junit(runs)
    assert text.isascii()
    (suite,) = ElementTree.fromstring(text)
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    bad, meh, good, empty = suite
    assert (bad.get("name"), bad.get("file"), bad.get("line")) == ("bad", OPERATION.file, "57")
    (failure,) = bad
    assert (failure.get("type"), failure.get("message")) == (
        "layer-forward",
        headline(ERROR).replace("`", ""),
    )
    assert failure.text is not None
    assert "why " in failure.text
    assert failure.text.count("\n") > 5
    assert [child.tag for child in meh] == ["system-out"]
    assert list(good) == []
    assert [child.tag for child in empty] == ["skipped"]


@pytest.mark.parametrize("name", ["\x00\x1b\x85<&]]>", "\ud800", "\U0001f4a5", "a\nb"])
def test_junit_is_well_formed_whatever_a_name_holds(name: str) -> None:
    operation = replace(OPERATION, file=name, layer=name)
    found = replace(ERROR, rerun=replace(ERROR.rerun, operation=operation))
    case = ElementTree.fromstring(junit([run(found, name=name)])).find(".//testcase")
    assert case is not None
    assert case.get("name")
