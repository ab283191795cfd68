"""Real TensorBoard processes in both load modes, and Debian's Chromium to look at them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.tab import Tab
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from synthetic_logs import StreamWriter

from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.records import new_window
from tb_nanwatch.format.tags import SUBDIRECTORY, Stream
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.record import Record, empty_columns

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


@pytest.fixture(scope="session")
def gallery_url(gallery: Path, tensorboard: Callable[..., Any]) -> Iterator[str]:
    """The same in the default load mode, for what does not depend on it."""
    with tensorboard(gallery) as url:
        yield url


@pytest.fixture(scope="session")
def outsize_url(
    tmp_path_factory: pytest.TempPathFactory, tensorboard: Callable[..., Any]
) -> Iterator[str]:
    """A run of 5,000 tensors, `wide`, and one of 100,000 steps, `long`; one NaN in each."""
    logs = tmp_path_factory.mktemp("outsize") / "logs"
    names = [f"encoder/block_{index // 16}/part_{index % 16}/kernel" for index in range(5000)]
    write_run(logs / "wide" / SUBDIRECTORY, names, 4321, records=2, window=1, bad=1)
    names = [f"net/{layer}/{part}" for layer in ("dense", "head") for part in ("kernel", "bias")]
    write_run(logs / "long" / SUBDIRECTORY, names, 0, records=2000, window=50, bad=1000)
    with tensorboard(logs) as url:
        yield url


def write_run(
    folder: Path, names: list[str], tensor: int, *, records: int, window: int, bad: int
) -> None:
    """A run of gradients, all of them 1; `tensor` has a NaN at the 48th step of record `bad`."""
    infos = tuple(TensorInfo("gradient", "", name, (2,), "float32") for name in names)
    manifest = Manifest(infos, "Callback")
    with StreamWriter(folder, Stream("0c01"), manifest) as writer:
        for record in range(records):
            columns = empty_columns(len(names))
            for name in ("steps", "elements", "sum_squares"):
                columns[:, COLUMN[name]] = window
            columns[:, COLUMN["largest_norm"]] = 1
            first = record * window
            if record == bad:
                step = first + min(48, window - 1)
                for name in ("nan", "nonfinite_steps"):
                    columns[tensor, COLUMN[name]] = 1
                for name in ("first_nonfinite_step", "last_nonfinite_step"):
                    columns[tensor, COLUMN[name]] = step
            row = new_window(manifest.hash(), record, first, first + window - 1)
            writer.put(Record(row, columns, None))


@pytest.fixture(scope="session")
def reused_page(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """One page for many tests, and its complaints."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 1500},
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = context.new_page()
    complaints: list[str] = []
    watch(page, complaints)
    yield page, complaints
    context.close()


@pytest.fixture
def visit(reused_page: tuple[Page, list[str]]) -> Iterator[Callable[..., Tab]]:
    """Opens the tab anew in the page that is reused: `visit(url, run="healthy")`."""
    page, complaints = reused_page
    complaints.clear()

    def go(url: str, **state: str) -> Tab:
        # The same address with another fragment would be no new page.
        page.goto("about:blank")
        return Tab(page, complaints).open(url, state)

    yield go
    page.unroute_all(behavior="ignoreErrors")
    assert complaints == []


def watch(page: Page, complaints: list[str]) -> None:
    """Writes down whatever a page complains of."""

    def listen(message: ConsoleMessage) -> None:
        where = message.location["url"]
        # Under a path prefix TensorBoard asks for its own fonts without it; and a page that lives
        # longer than the test's server asks in vain how the diagnosis goes.
        is_expected = "/font-roboto/" in where or "ERR_CONNECTION_REFUSED" in message.text
        if message.type == "error" and not is_expected:
            complaints.append(f"{where}: {message.text}")

    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    page.on("console", listen)


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Opens the tab: `open_tab(url, run="healthy")`. At the end, no page may have complained."""
    contexts = []
    complaints: list[str] = []

    def start(
        url: str, *, width: int = 1280, height: int = 860, dark: bool = False, **state: str
    ) -> Tab:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        watch(page, complaints)
        return Tab(page, complaints).open(url, state)

    yield start
    for context in contexts:
        context.close()
    assert complaints == []
