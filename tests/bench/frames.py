"""How long frames take while one pans and zooms a large run; tests/bench/README.md says more.

python tests/bench/frames.py --tensors 2000 --steps 100000
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "bench")]

from long_logs import write_session  # noqa: E402
from playwright.sync_api import Frame, Page, sync_playwright  # noqa: E402
from serving import LOADERS, tensorboard, wait_for  # noqa: E402
from serving import records as records_read  # noqa: E402

from tb_nanwatch.format.tags import SUBDIRECTORY  # noqa: E402

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ROUNDS = 40

_WATCH = """() => {
  window.nanwatchFrames = [];
  let last;
  const tick = (now) => {
    if (last !== undefined) window.nanwatchFrames.push(now - last);
    last = now;
    window.nanwatchTick = requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}"""
_STOP = """() => {
  cancelAnimationFrame(window.nanwatchTick);
  return window.nanwatchFrames;
}"""


def watched(page: Page, frame: Frame, name: str, gesture: str) -> str:
    """Does a gesture over the middle of the heatmap; gives its frames' times in words."""
    box = frame.locator("canvas.cells").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    frame.evaluate(_WATCH)
    if gesture == "pan":
        page.mouse.down()
    for number in range(ROUNDS):
        if gesture == "zoom":
            page.mouse.wheel(0, -60 if number < ROUNDS / 2 else 60)
        elif gesture == "pan":
            page.mouse.move(x + 6 * (number % 20 - 10), y)
        elif gesture == "scroll":
            frame.locator(".scroller").evaluate("(element) => element.scrollBy(0, 40)")
        page.wait_for_timeout(8)
    if gesture == "pan":
        page.mouse.up()
    times = [float(time) for time in frame.evaluate(_STOP)]
    high = statistics.quantiles(times, n=20)[-1]
    return f"{name:<8} median {statistics.median(times):5.1f} ms, 95 % {high:5.1f} ms, {len(times)}"


def measure(url: str) -> None:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(url.replace("/data/plugin/nanwatch/", "/#nanwatch"))
        page.frame_locator("iframe").locator(".heatmap[aria-busy=false]").wait_for()
        frame = page.frames[1]
        frame.locator(".tensor-label, .group").first.wait_for()
        page.wait_for_timeout(2000)
        print(watched(page, frame, "idle", "none"))
        print(watched(page, frame, "zooming", "zoom"))
        page.mouse.wheel(0, -1500)
        page.wait_for_timeout(1500)
        print(watched(page, frame, "panning", "pan"))
        print(watched(page, frame, "scrolling", "scroll"))
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tensors", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--window", type=int, default=256, help="steps in a record")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        logs, entry_point = Path(folder, "logs"), Path(folder, "entry_point")
        info = entry_point / "tb_nanwatch-0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tb-nanwatch\nVersion: 0\n")
        (info / "entry_points.txt").write_text(
            "[tensorboard_plugins]\nnanwatch = tb_nanwatch.plugin:NaNWatchLoader\n"
        )
        made = -(-arguments.steps // arguments.window)
        write_session(
            logs / SUBDIRECTORY,
            "0a",
            made,
            width=arguments.window,
            bad=[arguments.steps // 2],
            tensors=arguments.tensors,
        )
        print(f"{arguments.tensors:,} tensors, {arguments.steps:,} steps in {made:,} records")
        with tensorboard(logs, entry_point, LOADERS["data server"]) as (url, _):
            wait_for(lambda: records_read(url) == made)
            measure(url)


if __name__ == "__main__":
    main()
