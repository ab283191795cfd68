"""The tab in a cell of a notebook, without a TensorBoard."""

from __future__ import annotations

import html
import os
import sys
import warnings
from contextlib import ExitStack

from tb_nanwatch.diagnosis import Thresholds, run_headline
from tb_nanwatch.logdir import runs
from tb_nanwatch.logdir.loading import NotReadableError
from tb_nanwatch.logdir.progress import Progress
from tb_nanwatch.page import NotBuiltError, html_page
from tb_nanwatch.printable import visible


class Shown:
    """What `show` returns. Notebooks draw it; elsewhere its text has one line a run."""

    def __init__(self, page: str, text: str, height: int):
        self._page, self._text, self._height = page, text, height

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        # A frame of its own: neither the notebook's style nor its scripts meet ours.
        return (
            f'<iframe title="NaNWatch" srcdoc="{html.escape(self._page)}" '
            f'style="width:100%;height:{self._height}px;border:0"></iframe>'
        )


def show(log_dir: str | os.PathLike[str], *, height: int = 640) -> Shown:
    """Shows what was recorded as the last value of a notebook cell: the tab, with its data inside.

    It shows the runs as they are now, and loads nothing: it needs no TensorBoard server, and it is
    still there when the notebook is opened again or exported.

    Args:
      log_dir: a log directory, or one above several; whatever TensorBoard can read.
      height: of the frame, in pixels; 300 at least.

    Returns:
      An object that Jupyter, Colab and VS Code draw. As text it has a line for each run.

    Raises:
      ValueError: `log_dir` has no NaNWatch data, or `height` is less than 300.
      RuntimeError: in a source tree whose tab is not built.
    """
    if isinstance(height, bool) or not isinstance(height, int) or height < 300:
        raise ValueError(f"Got height={height!r}. Expected an integer of at least 300, in pixels.")
    path = os.fspath(log_dir)
    with Progress(sys.stderr) as progress, ExitStack() as opened:
        try:
            found = list(runs.find([path], progress, opened, _warn))
        except NotReadableError as error:
            raise ValueError(f"Cannot show it: {error}") from None
        diagnosed = list(runs.diagnosed(found, Thresholds(), progress))
        try:
            page = html_page(f"NaNWatch: {path}", diagnosed)
        except NotBuiltError as error:
            raise RuntimeError(f"Cannot show it: {error}") from None
    lines = [visible(f"{each.name}: {run_headline(each.verdict)}") for each in diagnosed]
    return Shown(page, "\n".join(lines), height)


def _warn(problem: str) -> None:
    warnings.warn(f"NaNWatch: {problem}", stacklevel=4)
