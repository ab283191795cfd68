"""A finding as a card."""

from __future__ import annotations

import math
import re

from tb_nanwatch.cli.page.histograms import Snapshot, histograms
from tb_nanwatch.cli.page.markup import name, text
from tb_nanwatch.cli.page.operation import operation_html
from tb_nanwatch.cli.text import turn_on_text, victims_text, when
from tb_nanwatch.diagnosis import Finding, Place


def card(finding: Finding, snapshots: list[Snapshot], dtype: str) -> str:
    """The HTML of a finding, with the magnitudes of its tensor where there are some."""
    facts = [("Origin", _place(finding.origin))]
    if finding.victims:
        facts.append(("Reached", text(victims_text(finding.victims))))
    if finding.evidence:
        facts.append(("Evidence", _evidence(finding)))
    if finding.turn_on:
        facts.append(("Turn on", prose(turn_on_text(finding.turn_on))))
    rerun = "" if finding.rerun is None else operation_html(finding.rerun)
    picture = ""
    if snapshots:
        title = "Magnitudes of " + (finding.origin.tensor or finding.origin.role)
        picture = (
            f'<h4>{text(title, 120)} <span class="aside">number of elements by power of two, '
            f"logarithmic</span></h4>{histograms(snapshots, dtype)}"
        )
    return (
        f'<article class="finding {finding.severity}"><header>'
        f'<span class="pill">{finding.severity}</span>'
        f"<h3>{text(_title(finding.cause))}</h3>"
        f'<span class="when">{text(when(finding))}</span></header>'
        f'<p class="message">{prose(finding.message)}</p>'
        f"{rerun}"
        f'<div class="advice"><h4>What to do</h4><p>{prose(finding.advice)}</p></div>'
        "<dl>" + "".join(f"<dt>{key}</dt><dd>{value}</dd>" for key, value in facts) + "</dl>"
        f"{picture}</article>"
    )


def prose(words: str) -> str:
    """Text with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text(words))


def _title(cause: str) -> str:
    """ "Loss domain" for "loss-domain"."""
    return cause.replace("-", " ").capitalize().replace("Nonfinite", "Non-finite")


def _place(place: Place) -> str:
    said = text(place.role.replace("_", " "))
    if place.tensor != place.role:
        said += f" {name(place.tensor)}"
    if place.layer and place.layer != place.tensor:
        said += f" in layer {name(place.layer)}"
    return f"{said} (worker {name(place.worker)})" if place.worker else said


_COUNTS = {"nan": "NaN", "pos_inf": "+Inf", "neg_inf": "−Inf"}


def _evidence(finding: Finding) -> str:
    return "".join(
        f'<span class="evidence">{text(_COUNTS.get(key) or key.replace("_", " "))} '
        f"<b>{number(value)}</b></span>"
        for key, value in finding.evidence.items()
    )


def number(value: float) -> str:
    """A number for people: integers whole, others to four digits."""
    if not math.isfinite(value):
        return str(value).replace("inf", "Inf").replace("nan", "NaN")
    return f"{int(value):,}" if value == int(value) and abs(value) < 1e7 else f"{value:.4g}"
