"""The tab within TensorBoard's page: dark mode, reload, being hidden, errors, a path prefix."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from e2e.tab import Tab
from playwright.sync_api import Route, expect
from synthetic_logs import (
    NAN,
    START,
    Stream,
    StreamWriter,
    healthy,
    mlp_manifest,
    mlp_values,
    nan_feature,
)

OpenTab = Callable[..., Tab]
TensorBoard = Callable[..., Any]

WHITE, DARK = "rgb(255, 255, 255)", "rgb(20, 23, 28)"
HEADLINE = re.compile("^NaN in the input data at step 37")
MESSAGE = "Unknown statistic <b>'nrom'</b>. Known statistics: nonfinite, norm."


def test_follows_dark_mode(gallery_url: str, open_tab: OpenTab) -> None:
    tab = open_tab(gallery_url, dark=True)
    expect(tab.headline).to_be_visible()
    expect(tab.find("body")).to_have_css("background-color", DARK)
    tab.page.evaluate("document.body.classList.remove('dark-mode')")
    expect(tab.find("body")).to_have_css("background-color", WHITE)
    tab.page.evaluate("document.body.classList.add('dark-mode')")
    expect(tab.find("body")).to_have_css("background-color", DARK)


def test_survives_being_hidden(gallery_url: str, open_tab: OpenTab) -> None:
    tab = open_tab(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    frame = tab.page.locator("iframe")
    frame.evaluate("frame => { frame.style.display = 'none'; }")
    tab.page.wait_for_timeout(300)
    tab.reload_data()
    frame.evaluate("frame => { frame.style.display = ''; }")
    expect(tab.details).to_contain_text("input · step 37")
    point = tab.point(tab.label("mlp/dense/bias"), 120, 0, 239)
    assert tab.reserved("nan") in tab.colors(point)


def test_error_is_shown_as_it_is_and_can_be_retried(gallery_url: str, open_tab: OpenTab) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=400, json={"error": MESSAGE})

    tab = open_tab(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    tab.page.route("**/nanwatch/grid?*", refuse)
    tab.color_by("zero_share")
    expect(tab.find("[role=alert] .server-message")).to_have_text(MESSAGE)
    tab.page.unroute("**/nanwatch/grid?*")
    tab.find("text=Try again").click()
    expect(tab.find("[role=alert]")).to_have_count(0)
    expect(tab.find(".legend")).to_contain_text("100%")
    assert [complaint for complaint in tab.complaints if "400" not in complaint] == []
    tab.complaints.clear()  # The browser itself logs the status.


def test_works_under_a_path_prefix(
    gallery: Path, tensorboard: TensorBoard, open_tab: OpenTab
) -> None:
    with tensorboard(gallery, "--path_prefix=/some/where", prefix="/some/where/") as url:
        tab = open_tab(url, run="nan_feature")
        expect(tab.headline).to_have_text(HEADLINE)
        expect(tab.number("NaN")).to_have_text("1")
        tab.page.close()  # Before the server is gone, whatever it still asks for.


def test_works_in_the_frame_of_a_notebook(gallery_url: str, open_tab: OpenTab) -> None:
    cell = f'<iframe src="{gallery_url}#nanwatch" width="700" height="800"></iframe>'

    class Notebook(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(cell.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    page = open_tab(gallery_url).page
    with ThreadingHTTPServer(("127.0.0.1", 0), Notebook) as server:  # Another port.
        Thread(target=server.serve_forever).start()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        tab = page.frame_locator("iframe").frame_locator("iframe")
        expect(tab.locator("h1")).to_contain_text("NaN in a weight")
        expect(tab.locator(".details")).to_contain_text("weight · step 0")
        tab.locator("select[name=statistic]").select_option("zero_share")
        expect(tab.locator(".legend")).to_contain_text("100%")
        page.close()
        server.shutdown()


def test_without_data_it_says_how_to_record(
    tmp_path: Path, tensorboard: TensorBoard, open_tab: OpenTab
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    with tensorboard(logs) as url:
        tab = open_tab(url)
        expect(tab.find("h2")).to_have_text(f"No NaNWatch data in {logs}")
        expect(tab.find(".code-block code").first).to_contain_text("nanwatch.Callback(")
        tab.find(".code-block button").nth(1).click()
        expect(tab.find(".code-block button").nth(1)).to_have_text("Copied")
        copied = tab.page.evaluate("navigator.clipboard.readText()")
        assert 'nanwatch.summary("gradients", zip(grads, model.trainable_variables)' in copied


def test_reload_brings_new_data_and_keeps_what_is_chosen(
    tmp_path: Path, tensorboard: TensorBoard, load_mode: str, open_tab: OpenTab
) -> None:
    logs = tmp_path / "logs"
    healthy(logs)
    with tensorboard(logs, load_mode) as url:
        tab = open_tab(url, run="healthy", statistic="largest_magnitude", height=600)
        expect(tab.headline).to_have_text(re.compile(r"^Healthy: .*\b160 steps"))
        tab.click(tab.point(tab.label("target"), 100, 0, 159))
        expect(tab.details).to_contain_text("target · step 100")
        scroller = tab.find(".scroller")
        scroller.evaluate("element => { element.scrollTop = 40; }")

        nan_feature(logs)
        manifest = mlp_manifest()
        stream = Stream("0b01")
        with StreamWriter(logs / "healthy" / "nanwatch", stream, manifest) as writer:
            writer.write(160, 175, mlp_values(manifest))
        for _ in range(40):
            tab.reload_data()
            tab.page.wait_for_timeout(500)
            if (
                "176 steps" in (tab.headline.text_content() or "")
                and tab.find(".run-name").count() == 2
            ):
                break
        expect(tab.headline).to_have_text(re.compile(r"^Healthy: .*\b176 steps"))
        expect(tab.find(".run-name")).to_have_text(["nan_feature", "healthy"])
        expect(tab.details).to_contain_text("target · step 100")
        expect(tab.find("select[name=statistic]")).to_have_value("largest_magnitude")
        assert scroller.evaluate("element => element.scrollTop") == 40
        # The last of what it asks for, before the server goes away.
        expect(tab.find('.over-time canvas[aria-label*="0 to 175"]')).to_have_count(1)


def test_a_run_that_grows_is_followed(
    tmp_path: Path, tensorboard: TensorBoard, open_tab: OpenTab
) -> None:
    logs = tmp_path / "logs"
    manifest = mlp_manifest()
    with (
        StreamWriter(logs / "run" / "nanwatch", Stream("0a01"), manifest, time.time()) as writer,
        tensorboard(logs) as url,
    ):
        writer.write(0, 31, mlp_values(manifest))
        writer.flush()
        tab = open_tab(url, run="run")
        expect(tab.headline).to_have_text(re.compile(r"^Healthy: .*\b32 steps"))
        tab.click(tab.point(tab.label("target"), 10, 0, 31))
        expect(tab.details).to_contain_text("target · step 10")
        expect(tab.find(".over-time canvas").first).to_be_visible()
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url))
        tab.page.wait_for_timeout(6000)
        routes = {url.split("/nanwatch/")[1].split("?")[0] for url in asked if "/nanwatch/" in url}
        assert routes <= {"runs"}, "Nothing else is asked for until something changed."
        writer.write(32, 47, mlp_values(manifest))
        writer.flush()
        expect(tab.headline).to_have_text(re.compile(r"^Healthy: .*\b48 steps"))
        expect(tab.find(".freshness")).to_have_text(re.compile(r"^updated \d+ s ago · live$"))
        expect(tab.details).to_contain_text("target · step 10")
        tab.page.close()  # Before the server is gone, whatever it still asks for.


def test_a_server_that_goes_away_leaves_what_was_known_and_may_come_back(
    gallery_url: str, open_tab: OpenTab
) -> None:
    tab = open_tab(gallery_url, run="nan_feature")
    expect(tab.headline).to_have_text(HEADLINE)
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    tab.page.route("**/plugin/nanwatch/**", lambda route: route.abort())
    tab.reload_data()
    stale = tab.find(".stale")
    expect(stale).to_contain_text("TensorBoard is not responding. Is it still running?")
    expect(tab.headline).to_have_text(HEADLINE)
    assert tab.is_badge(tab.point(tab.label("input"), 37, 0, 239))
    tab.press("f")
    expect(tab.find(".visible-range span")).to_have_text("5–69")
    tab.page.unroute("**/plugin/nanwatch/**")
    stale.locator("button").click()
    expect(stale).to_have_count(0)
    expect(tab.find(".visible-range span")).to_have_text("5–69")
    tab.complaints.clear()  # The browser itself logs that nobody answered.


def test_a_page_recovers_from_a_restart_of_its_server(
    tmp_path: Path, tensorboard: TensorBoard, open_tab: OpenTab
) -> None:
    """It shows the second training of a directory, whose name is not listed before the directory
    is read, and to which something is written meanwhile; nobody tells the page to reload."""
    logs, manifest = tmp_path / "logs", mlp_manifest()
    folder = logs / "exp/nanwatch"
    with StreamWriter(folder, Stream("0a0"), manifest, START) as writer:
        writer.write(0, 7, mlp_values(manifest))
    nan_feature(logs)  # What would be opened in its place.
    with StreamWriter(folder, Stream("0a1"), manifest, START + 100) as writer:
        writer.write(0, 8, mlp_values(manifest))
        writer.flush()
        with tensorboard(logs) as url:
            tab = open_tab(url, run="exp/2")
            expect(tab.headline).to_contain_text("Healthy: no NaN or Inf (9 steps")
            tab.click(tab.point(tab.label("target"), 5, 0, 8))
            expect(tab.details).to_contain_text("target · step 5")
        tab.color_by("zero_share")
        stale = tab.find(".stale")
        expect(stale).to_contain_text("TensorBoard is not responding. Is it still running?")
        expect(tab.headline).to_contain_text("Healthy: no NaN or Inf (9 steps")
        writer.write(9, 9, mlp_values(manifest, lambda *_: (NAN,)))
        writer.flush()
        with tensorboard(logs, port=urlsplit(url).port):
            expect(tab.headline).to_contain_text("at step 9")
            expect(tab.find("[role=alert]")).to_have_count(0)
            expect(tab.find(".run-name")).to_have_text(["exp/2", "nan_feature", "exp"])
            expect(tab.details).to_contain_text("target · step 5")
            expect(tab.find(".legend")).to_contain_text("100%")
            point = tab.point(tab.label("target"), 9, 0, 9)
            tab.until(lambda: tab.is_badge(point))
            tab.page.close()  # Before the server is gone, whatever it still asks for.
    tab.complaints.clear()  # The browser itself logs that nobody answered.
