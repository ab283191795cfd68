"""The tab without a server: the file of `nanwatch report --html`, and a notebook's cell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.conftest import watch
from e2e.tab import Tab
from playwright.sync_api import Browser, Page, expect

import tb_nanwatch as nanwatch
from tb_nanwatch.cli import main

ROOT = Path(__file__).parents[2]
OpenPage = Callable[..., Tab]

PICTURE = "canvas => canvas.toDataURL()"
WHITE, DARK = "rgb(255, 255, 255)", "rgb(20, 23, 28)"


class PageTab(Tab):
    """The tab that is a page of its own."""

    @property
    def frame(self) -> Page:  # type: ignore[override]
        return self.page


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
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens a page from the disk; it may ask for nothing, and complain of nothing."""
    complaints: list[str] = []
    asked: list[str] = []
    contexts = []

    def start(file: Path, *, width: int = 1280, dark: bool = False, **state: str) -> Tab:
        context = browser.new_context(
            viewport={"width": width, "height": 860}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        watch(page, complaints)
        page.on("request", lambda request: asked.append(request.url))
        return PageTab(page, complaints).open(file.as_uri(), state)

    yield start
    for context in contexts:
        context.close()
    assert complaints == []
    outside = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    assert outside == []


def test_the_page_is_the_tab(
    report: Path, open_page: OpenPage, gallery_url: str, open_tab: Callable[..., Tab]
) -> None:
    page, served = open_page(report, run="nan_feature"), open_tab(gallery_url, run="nan_feature")
    # TensorBoard has a bar above.
    height = served.find("body").evaluate("() => innerHeight")
    page.page.set_viewport_size({"width": 1280, "height": height})

    def agree(look: Callable[[Tab], str]) -> None:
        page.until(lambda: look(page) == look(served) != "")

    for statistic in ("instability", "headroom"):
        for tab in (page, served):
            tab.color_by(statistic)
            tab.places(tab.find("canvas.cells"))
        agree(lambda tab: str(tab.find("canvas.cells").evaluate(PICTURE)))
    for panel in ("why", "tensor", "layers"):
        for tab in (page, served):
            tab.show(panel)
        agree(lambda tab: tab.find(".panel").inner_text())


def test_everything_of_the_tab_works(report: Path, open_page: OpenPage) -> None:
    tab = open_page(report)
    expect(tab.find(".freshness")).to_contain_text("as of 20")
    expect(tab.find(".run-item").filter(has_text="<img src=x onerror=alert(1)>")).to_have_count(1)
    tab.find(".run-item").filter(has_text="nan_feature").first.click()
    expect(tab.headline).to_contain_text("NaN in the input data at step 37")
    tab.find("select[name=axis]").select_option("log")
    tab.show("tensor")
    expect(tab.details).to_contain_text("input · step 37")
    tab.find("select.compare-with").select_option("healthy")
    expect(tab.find(".comparison")).to_contain_text("healthy")
    # The address has it all, and a reload of the file shows it again.
    tab.until(lambda: "nan_feature" in tab.page.url and "axis=log" in tab.page.url)
    tab.page.reload()
    expect(tab.headline).to_contain_text("NaN in the input data at step 37")
    expect(tab.find("select[name=axis]")).to_have_value("log")


def test_the_page_says_which_details_it_lacks(
    open_page: OpenPage, gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tb_nanwatch.page.answers.DETAILS", 1)
    file = tmp_path / "page.html"
    assert main(["report", str(gallery / "nan_feature"), "--html", str(file)]) == 1
    tab = open_page(file, run=".")
    expect(tab.details).to_contain_text("input · step 37")
    expect(tab.details).not_to_contain_text("This page has no details")
    tab.press("ArrowRight", "ArrowRight", "ArrowRight")
    expect(tab.details).to_contain_text("This page has no details of step 40")


@pytest.mark.parametrize("ground", [WHITE, DARK])
def test_a_notebook_shows_the_tab(
    open_page: OpenPage, gallery: Path, tmp_path: Path, ground: str
) -> None:
    cell = nanwatch.show(gallery / "nan_feature", height=500)._repr_html_()
    notebook = tmp_path / "notebook.html"
    body = f"<body style='background: {ground}'><h1>Mine</h1>{cell}</body>"
    notebook.write_text(f"<meta charset=windows-1252>{body}", encoding="ascii")
    page = open_page(notebook, run="?").page
    frame = page.frame_locator("iframe")
    expect(frame.locator("h1")).to_contain_text("NaN in the input data at step 37")
    expect(frame.locator("body")).to_have_css("background-color", ground)
    expect(frame.locator(".runs")).to_have_count(0)  # There is one run alone.
    frame.locator("#tab-layers").click()
    expect(frame.locator(".layer-table")).to_be_visible()
    page.wait_for_timeout(300)
    assert page.url.endswith("nanwatch.run=%3F")  # The notebook's address is its own.
    assert page.locator("iframe").bounding_box()["height"] == 500


def test_the_page_is_readable_without_scripts(report: Path, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    text = page.evaluate("document.body.innerText")
    assert "nan_feature: NaN in the input data at step 37" in text
    assert page.locator("img").count() == 0
    context.close()
