"""The report as JUnit XML, as CI systems read it: a run is a test case, an error its failure."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from tb_nanwatch.cli.console_report import run_lines
from tb_nanwatch.cli.terminal import Terminal
from tb_nanwatch.diagnosis import headline
from tb_nanwatch.logdir.runs import DiagnosedRun
from tb_nanwatch.printable import visible


def junit(diagnosed: Sequence[DiagnosedRun]) -> str:
    """The whole document, in ASCII.

    The failure has the text of the report, and so does the output of a run with warnings alone. A
    run without records is skipped.
    """
    cases = [_case(run) for run in diagnosed]
    counts = {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": 0,
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }
    attributes = {name: str(count) for name, count in counts.items()}
    suite = ElementTree.Element("testsuite", {"name": "NaNWatch", **attributes})
    suite.extend(cases)
    root = ElementTree.Element("testsuites", {"name": "NaNWatch", **attributes})
    root.append(suite)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return document.decode("ascii")


def _case(run: DiagnosedRun) -> ElementTree.Element:
    case = ElementTree.Element("testcase", {"classname": "nanwatch", "name": visible(run.name)})
    text = "\n".join(run_lines(Terminal(), run))
    errors = [each for each in run.verdict.findings if each.severity == "error"]
    if run.verdict.status == "empty":
        ElementTree.SubElement(case, "skipped", {"message": "nothing recorded yet"})
    elif errors:
        operation = errors[0].operation
        if operation is not None and operation.file:
            case.attrib.update(file=visible(operation.file), line=str(operation.line))
        message = visible(headline(errors[0]).replace("`", ""))
        failure = ElementTree.SubElement(case, "failure", message=message, type=errors[0].cause)
        failure.text = text
    elif run.verdict.findings:
        ElementTree.SubElement(case, "system-out").text = text
    return case
