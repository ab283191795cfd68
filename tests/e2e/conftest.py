"""Real TensorBoard processes in both load modes, and Debian's Chromium to look at them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.tab import Tab
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
LOAD_MODES = ("--load_fast=true", "--load_fast=false")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    assert path, f"No browser on PATH; looked for {', '.join(names)}."
    built = ROOT / "tb_nanwatch" / "static" / "index.js"
    assert built.is_file(), "The tab is not built: python setup.py build_frontend --inplace"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session", params=LOAD_MODES)
def load_mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def served(gallery: Path, tensorboard: Callable[..., Any], load_mode: str) -> Iterator[str]:
    """The URL of a TensorBoard that serves the gallery."""
    with tensorboard(gallery, load_mode) as url:
        yield url


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Opens the tab: `open_tab(url, run="healthy")`. At the end, no page may have complained."""
    contexts = []
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        where = message.location["url"]
        # Under a path prefix TensorBoard asks for its own fonts without it.
        if message.type == "error" and "/font-roboto/" not in where:
            complaints.append(f"{where}: {message.text}")

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("console", listen)

    def start(
        url: str, *, width: int = 1280, height: int = 860, dark: bool = False, **kept: str
    ) -> Tab:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        watch(page)
        return Tab(page, complaints).open(url, kept)

    yield start
    for context in contexts:
        context.close()
    assert complaints == []
