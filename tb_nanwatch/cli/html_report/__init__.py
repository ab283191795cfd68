"""The report as one HTML file to attach to a bug report: no script, nothing from elsewhere.

- `document`: the whole page.
- `findings`: a finding as a card.
- `snapshots`, `histograms`: how its tensor looked, as data and as a picture.
- `rows`, `heatmap`: the heatmap, as data and as a picture.
- `palette`, `png`, `markup`: colors, pictures of cells, and text that is not markup.
"""

from __future__ import annotations

from tb_nanwatch.cli.html_report.document import html_report

__all__ = ["html_report"]
