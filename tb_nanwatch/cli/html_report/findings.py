"""A finding as a card."""

from __future__ import annotations

import re

from tb_nanwatch.cli.html_report.histograms import Snapshot, histograms
from tb_nanwatch.cli.html_report.markup import text
from tb_nanwatch.cli.html_report.operation import operation_html
from tb_nanwatch.diagnosis import Finding, advice, explanation, fix_code, headline
from tb_nanwatch.diagnosis.text.layout import record_also, seen_on, spread_to
from tb_nanwatch.diagnosis.text.names import steps
from tb_nanwatch.diagnosis.text.numbers import number
from tb_nanwatch.diagnosis.text.rerun import trials

_COUNTS = {"nan": "NaN", "pos_inf": "+Inf", "neg_inf": "−Inf"}


def card(finding: Finding, snapshots: list[Snapshot], dtype: str) -> str:
    """The HTML of a finding, with the magnitudes of its tensor where there are some."""
    facts = [
        ("Cause", text(f"{finding.cause} ({steps(finding)})")),
        ("Seen on", prose(seen_on(finding.origin))),
        ("Spread to", prose(spread_to(finding.affected))),
        ("Evidence", _evidence(finding)),
        ("Record more", prose(record_also(finding))),
    ]
    rerun = "" if finding.rerun is None else operation_html(finding.rerun)
    code = fix_code(finding)
    picture = ""
    if snapshots:
        title = "Magnitudes of " + (finding.origin.tensor or finding.origin.role)
        picture = (
            f'<h4>{text(title, 120)} <span class="aside">number of elements by power of two, '
            f"log scale</span></h4>{histograms(snapshots, dtype)}"
        )
    return (
        f'<article class="finding {finding.severity}"><header>'
        f'<span class="badge">{finding.severity}</span>'
        f"<h3>{prose(headline(finding))}</h3></header>"
        f'<p class="message">{prose(explanation(finding))}</p>'
        f"{rerun}"
        f'<div class="advice"><h4>Fix</h4><p>{prose(advice(finding))}</p>'
        + (f"<pre>{text_of_code(code)}</pre>" if code else "")
        + "".join(f'<p class="tried">Tried: {prose(each)}</p>' for each in trials(finding.rerun))
        + "</div><dl>"
        + "".join(f"<dt>{key}</dt><dd>{value}</dd>" for key, value in facts if value)
        + f"</dl>{picture}</article>"
    )


def prose(words: str) -> str:
    """Text with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code><bdi>\1</bdi></code>", text(words))


def text_of_code(code: str) -> str:
    """Code of several lines."""
    return "\n".join(text(line) for line in code.splitlines())


def _evidence(finding: Finding) -> str:
    return "".join(
        f'<span class="evidence">{text(_COUNTS.get(key) or key.replace("_", " "))} '
        f"<b>{number(value)}</b></span>"
        for key, value in finding.evidence.items()
    )
