"""The page of `nanwatch report --html` in a browser, from the disk, as it is sent around."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def report(gallery: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    done = subprocess.run(
        [sys.executable, "-m", "tb_nanwatch", "report", gallery, "--html", file],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert done.returncode == 1, done.stderr
    return file


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Open]:
    """Opens the page; it may ask for nothing, and complain of nothing."""
    complaints: list[str] = []
    asked: list[str] = []
    contexts = []

    def start(width: int = 1280, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report.as_uri())
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []
    outside = [url for url in asked if url != report.as_uri() and not url.startswith("data:")]
    assert outside == []


@pytest.mark.parametrize("width", [360, 1280, 1900])
def test_the_page_fits_every_width(opened: Open, width: int) -> None:
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("section[id]").count() == 8
    assert page.locator("svg.heatmap").count() == 7


def test_the_page_follows_the_dark_mode(opened: Open) -> None:
    grounds = []
    for dark in (False, True):
        page = opened(dark=dark)
        style = "getComputedStyle(document.body).{}.match(/\\d+/g).map(Number)"
        ground, ink = (page.evaluate(style.format(name)) for name in ("backgroundColor", "color"))
        assert abs(sum(ground) - sum(ink)) > 400
        grounds.append(sum(ground))
    assert grounds[0] > 700 > 200 > grounds[1]


def test_hostile_names_stay_text(opened: Open) -> None:
    page = opened()
    assert page.locator("img").count() == 0
    assert "<img src=x onerror=alert(1)>" in page.locator("body").inner_text()


def test_nonfinite_cells_are_painted(opened: Open) -> None:
    page = opened()
    row = page.locator("section", has_text="nan_feature").last.locator("path.band.nan")
    assert row.evaluate("path => getComputedStyle(path).fill") == "rgb(224, 0, 155)"
    box = row.bounding_box()
    assert box is not None
    assert box["width"] > 600
