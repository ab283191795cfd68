"""The report as one HTML file to attach to a bug report: no script, nothing from elsewhere.

- `document`: the whole page.
- `findings`: a finding as a card.
- `snapshots`, `histograms`: how its tensor looked, as data and as a picture.
- `rows`, `heatmap`: the heatmap, as data and as a picture.
- `palette`, `png`, `markup`: colours, pictures of cells, and text that is no markup.
"""

from __future__ import annotations

from tb_nanwatch.cli.page.document import page

__all__ = ["page"]
