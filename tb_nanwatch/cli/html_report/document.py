"""The whole page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources

import numpy as np

from tb_nanwatch.cli.arguments import version
from tb_nanwatch.cli.console_report import what_was_read
from tb_nanwatch.cli.html_report.findings import card, prose
from tb_nanwatch.cli.html_report.heatmap import MOST_COLUMNS, Cells, heatmap
from tb_nanwatch.cli.html_report.markup import name, text
from tb_nanwatch.cli.html_report.palette import MARKS, color_at
from tb_nanwatch.cli.html_report.rows import pooled, rows
from tb_nanwatch.cli.html_report.snapshots import snapshots, tensor_of
from tb_nanwatch.cli.runs import DiagnosedRun
from tb_nanwatch.diagnosis import Finding, Status, run_headline
from tb_nanwatch.diagnosis.comparison import Comparison
from tb_nanwatch.diagnosis.text.comparison import comparison_text
from tb_nanwatch.diagnosis.text.layout import STATUS_WORDS
from tb_nanwatch.diagnosis.text.numbers import plural
from tb_nanwatch.grid import cells, column_edges
from tb_nanwatch.grid.cells import SCALE_SKIPPED

_STOPS = 11
_GLYPHS = {
    "nan": '<path class="stroke" d="M3 3l5 5M8 3l-5 5"/>',
    "pos": '<path d="M5.5 2.5l3.5 6h-7z"/>',
    "neg": '<path d="M5.5 8.5l3.5-6h-7z"/>',
}
_TEXTURES = {
    "nan": '<path d="M-1 1l2-2M0 6l6-6M5 7l2-2"/>',
    "pos": '<path d="M0 .5h6M0 3.5h6"/>',
    "neg": '<path d="M1 1h1M4 1h1M1 4h1M4 4h1"/>',
}


def html_report(
    logdirs: Sequence[str],
    diagnosed: Sequence[DiagnosedRun],
    comparison: Comparison | None,
    drawn: Callable[[], None],
) -> str:
    """The HTML of the report; calls `drawn` after each run."""
    style = resources.files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    title = f"NaNWatch report: {', '.join(logdirs)}"
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # Even if a name slipped through as markup, it could load and run nothing.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
        f"<title>{text(title, 200)}</title><style>{style}</style></head><body>",
        _symbols(),
        '<header class="top"><h1>NaNWatch report</h1><p>',
        ", ".join(name(logdir) for logdir in logdirs),
        f" · {plural(len(diagnosed), 'run')} · tb-nanwatch {text(version())}</p></header><main>",
    ]
    if len(diagnosed) > 1:
        parts.append(_summary(diagnosed))
    if comparison is not None:
        parts.append(_comparison([run.name for run in diagnosed], comparison))
    for position, run in enumerate(diagnosed):
        parts.append(_run(run, position))
        drawn()
    return "".join([*parts, "</main></body></html>\n"])


def _symbols() -> str:
    """What the page's pictures share: textures and glyphs of the marks."""
    defined = []
    for mark in MARKS:
        defined.append(
            f'<pattern id="texture-{mark.name}" class="texture {mark.name}" width="6" height="6" '
            f'patternUnits="userSpaceOnUse">{_TEXTURES[mark.name]}</pattern>'
        )
        defined.append(
            f'<symbol id="tile-{mark.name}" class="tile {mark.name}" '
            f'viewBox="0 0 11 11"><rect width="11" height="11"/>{_GLYPHS[mark.name]}</symbol>'
        )
    defined.append(
        '<pattern id="texture-none" class="texture none" width="4" height="4" '
        'patternUnits="userSpaceOnUse"><path d="M-1 1l2-2M0 4l4-4M3 5l2-2"/></pattern>'
    )
    stops = "".join(
        f'<stop offset="{n / (_STOPS - 1):.1f}" stop-color="{color_at(n / (_STOPS - 1))}"/>'
        for n in range(_STOPS)
    )
    defined.append(f'<linearGradient id="magnitudes">{stops}</linearGradient>')
    return f'<svg class="symbols" aria-hidden="true"><defs>{"".join(defined)}</defs></svg>'


def _badge(status: Status) -> str:
    return f'<span class="badge {status}">{STATUS_WORDS[status]}</span>'


def _summary(diagnosed: Sequence[DiagnosedRun]) -> str:
    lines = []
    for position, run in enumerate(diagnosed):
        others = len(run.verdict.findings) - 1
        what = prose(run_headline(run.verdict))
        more = f" (+{plural(others, 'more finding')})" if others > 0 else ""
        lines.append(
            f'<tr><td><a href="#run-{position}">{name(run.name)}</a></td>'
            f"<td>{_badge(run.verdict.status)}</td><td>{what}{more}</td></tr>"
        )
    return (
        '<section><div class="scroll"><table><thead><tr><th>Run</th><th>Status</th>'
        f"<th>Finding</th></tr></thead><tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _comparison(names: Sequence[str], comparison: Comparison) -> str:
    return (
        f"<section><h2>Comparison of {name(names[0])} and {name(names[1])}</h2>"
        f"<p>{prose(comparison_text(names, comparison))}</p></section>"
    )


def _run(run: DiagnosedRun, position: int) -> str:
    index = run.index
    notes = "".join(f"<li>{prose(problem)}</li>" for problem in index.problems)
    cards = [_card(run, finding) for finding in run.verdict.findings]
    if run.verdict.status == "healthy":
        cards.insert(0, f'<p class="calm">{prose(run_headline(run.verdict))}.</p>')
    return (
        f'<section id="run-{position}"><h2>{name(run.name)} {_badge(run.verdict.status)}</h2>'
        f'<p class="read">{text(what_was_read(index))}</p>'
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
        + "".join(cards)
        + _heatmap(run)
        + "</section>"
    )


def _card(run: DiagnosedRun, finding: Finding) -> str:
    tensor = tensor_of(run.found, finding)
    dtype = "" if tensor is None else run.index.tensors[tensor].info.dtype
    return card(finding, snapshots(run.found, finding), dtype)


def _heatmap(run: DiagnosedRun) -> str:
    index, found = run.index, run.found
    if index.first_step is None or index.last_step is None or not index.tensors:
        return ""
    edges = column_edges(index.first_step, index.last_step, MOST_COLUMNS)
    value, flags = cells(
        found.reader.records(found.access, index, index.first_step, index.last_step),
        np.arange(len(index.tensors)),
        edges,
        "norm",
    )
    drawn = rows([t.info for t in index.tensors], [t.worker for t in index.tensors])
    serious = [finding for finding in run.verdict.findings if finding.severity != "info"]
    origins = {tensor_of(found, finding) for finding in serious}
    shown = Cells(
        drawn,
        edges,
        *pooled(drawn, value, flags),
        frozenset(n for n, row in enumerate(drawn) if origins & set(row.tensors)),
        sorted({finding.step for finding in serious}),
    )
    what = "Each row is one tensor"
    if len(drawn) < len(index.tensors):
        what = (
            f"{len(index.tensors):,} tensors in {len(drawn)} rows; each row shows its worst tensor"
        )
    return (
        f'<figure class="overview"><div class="scroll">{heatmap(shown)}</div>'
        f"<figcaption>{_legend(shown)}<p>Largest norm in the steps of each cell. {what}"
        ".</p></figcaption></figure>"
    )


def _legend(shown: Cells) -> str:
    low, high = (str(end).replace("-", "−") for end in shown.span())
    swatch = '<svg viewBox="0 0 11 11">{}</svg>{}'
    entries = [swatch.format(f'<use href="#tile-{mark.name}"/>', mark.label) for mark in MARKS]
    cell = '<rect class="{}" width="11" height="11"/>'
    entries.append(swatch.format(cell.format("zero"), "zero"))
    entries.append(swatch.format(cell.format("none"), "not recorded"))
    if (shown.flags & SCALE_SKIPPED).any():
        foot = '<path class="skipped" d="M0 9h11"/>'
        entries.append(swatch.format(foot, "step skipped by LossScaleOptimizer"))
    ramp = (
        '<svg class="ramp" viewBox="0 0 100 11" preserveAspectRatio="none">'
        '<rect width="100" height="11" fill="url(#magnitudes)"/></svg>'
    )
    return (
        f'<div class="legend"><span>10<sup>{low}</sup>{ramp}10<sup>{high}</sup></span>'
        + "".join(f"<span>{entry}</span>" for entry in entries)
        + "</div>"
    )
