"""Compared runs: the same rows and steps, their difference, and where they diverge."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import write_run
from e2e.tab import GUTTER, WIDEST_STEP, Tab
from e2e.test_habits import violations
from playwright.sync_api import FloatRect, Locator, expect

from tb_nanwatch.format.tags import SUBDIRECTORY

Visit = Callable[..., Tab]

_COLORS = """(canvas, [x, y]) => {
  const density = canvas.width / canvas.clientWidth;
  const pixels = canvas.getContext('2d').getImageData(x * density, y * density - 5, 1, 11).data;
  const hex = (at) => '#' + [0, 1, 2]
    .map((part) => pixels[at + part].toString(16).padStart(2, '0')).join('');
  return Array.from({length: pixels.length / 4}, (_, index) => hex(4 * index));
}"""


def shoot(tab: Tab, name: str) -> None:
    """Keeps a picture of the page where a run of the tests asks for them."""
    folder = os.environ.get("NANWATCH_SCREENSHOTS")
    if folder:
        tab.page.screenshot(path=Path(folder) / f"{name}.png")


def test_a_second_run_stands_below_the_first(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    tab.find(".compare-with").select_option("healthy")
    expect(tab.find(".comparison")).to_contain_text(
        "healthy diverges from nan_feature within steps 0–"
    )
    heads = tab.find(".pane-header b")
    expect(heads).to_have_text(["nan_feature", "healthy"])
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.with=healthy"))
    # The same row in both; only the chosen run has the mark.
    expect(tab.find('.tensor-label[title^="input"]')).to_have_count(2)
    expect(tab.find('.tensor-label[title^="input"] .first')).to_have_count(1)
    shoot(tab, "compare")

    tab.find(".comparison select[name=tolerance]").select_option(label="a factor of 10")
    expect(tab.find(".comparison")).to_contain_text(
        "healthy diverges from nan_feature at step 37, first in input"
    )
    expect(tab.find(".comparison")).to_contain_text("1 NaN or Inf in nan_feature, none in healthy")
    tab.press("Escape")
    tab.find(".comparison li button").first.click()
    expect(tab.details).to_contain_text("nan_feature · input · step 37")


def test_a_difference_keeps_what_is_not_finite(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="healthy", **{"with": "nan_feature", "show": "difference"})
    expect(tab.find(".pane-header .palette")).to_contain_text("=")
    below = tab.find("canvas.compared-cells")
    expect(below).to_be_visible()
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    canvas, label = tab.places(below, tab.find('.tensor-label[title^="input"]').nth(1))
    pixels = (canvas["width"] - GUTTER - 12) / 240
    middle = label["y"] + label["height"] / 2 - canvas["y"]

    def colors(step: int) -> set[str]:
        at = [GUTTER + (step + 0.5) * pixels, middle]
        return {str(color) for color in below.evaluate(_COLORS, at)}

    assert tab.reserved("nan-badge") in colors(39), "It is wider than its step."
    assert not {tab.reserved("nan"), tab.reserved("nan-badge")} & colors(20)
    # Inputs of both runs are drawn alike: near the middle of a palette that is gray there.
    red, green, blue = (int(min(colors(20))[at : at + 2], 16) for at in (1, 3, 5))
    assert max(red, green, blue) - min(red, green, blue) < 90
    shoot(tab, "compare-difference")
    tab.page.mouse.move(canvas["x"] + GUTTER + 20.5 * pixels, canvas["y"] + middle)
    expect(tab.find(".tooltip")).to_contain_text("nan_feature · input · step")
    expect(tab.find(".tooltip")).to_contain_text("than in healthy")
    expect(tab.find(".hovered-step")).to_be_visible()


@pytest.fixture(scope="module")
def unlike_url(
    tmp_path_factory: pytest.TempPathFactory, tensorboard: Callable[..., Any]
) -> Iterator[str]:
    """Two runs of which each has a tensor that the other lacks; those of `bad` have a NaN."""
    logs = tmp_path_factory.mktemp("unlike") / "logs"
    for run, layer, bad in (("bad", "old", 2), ("good", "new", -1)):
        names = ["net/first/kernel", f"net/{layer}/kernel", "net/last/kernel"]
        write_run(logs / run / SUBDIRECTORY, names, 1, records=6, window=1, bad=bad)
    with tensorboard(logs) as url:
        yield url


@pytest.mark.parametrize("shown", ["values", "difference"])
def test_a_row_of_one_run_alone_is_marked_and_never_bad_in_the_other(
    unlike_url: str, visit: Visit, shown: str
) -> None:
    tab = visit(unlike_url, run="bad", **{"with": "good", "show": shown})
    expect(tab.find(".pane-header")).to_have_count(2)
    labels = tab.find(".tensor-label")
    expect(labels).to_have_count(8)
    old, new = (tab.find(f'.tensor-label[title^="net/{name}"]') for name in ("old", "new"))
    expect(old.nth(1)).to_have_text("old/kernelonly in bad")
    expect(new).to_have_text(["new/kernelonly in good", "new/kernelonly in good"])
    expect(old.nth(0).locator(".first")).to_have_count(1)
    expect(old.nth(1).locator(".first")).to_have_count(0)
    # The pinned origin, too.
    origins = tab.find(".origin-row")
    expect(origins.nth(0).locator(".origin-step")).to_contain_text("2")
    expect(origins.nth(1)).to_contain_text("only in bad")
    expect(origins.nth(1).locator(".origin-step, svg")).to_have_count(0)
    below = tab.find("canvas.compared-cells")
    canvas, label = tab.places(below, old.nth(1))
    middle = label["y"] + label["height"] / 2 - canvas["y"]
    for step in range(6):
        seen = set(below.evaluate(_COLORS, [GUTTER + (step + 0.5) * WIDEST_STEP, middle]))
        assert not {tab.reserved("nan"), tab.reserved("nan-badge")} & seen
    shoot(tab, f"compare-unlike-{shown}")
    # What the selected run lacks is read from the run that has it.
    new.nth(0).locator(".row-name").click()
    expect(tab.details).to_contain_text("good · gradient · step")
    expect(tab.details.locator("h2")).to_have_text("net/new/kernel")
    expect(tab.find(".numbers[aria-busy=false]")).to_be_visible()


def test_rows_of_both_runs_are_together(unlike_url: str, visit: Visit) -> None:
    tab = visit(unlike_url, run="bad", **{"with": "good"})
    tab.find("select[name=arrange]").select_option(label="by row")
    expect(tab.find(".pane-header")).to_have_count(1)
    expect(tab.find(".pane-header b")).to_have_text(["bad", "good"])
    labels = tab.find(".tensor-label")
    expect(labels).to_have_count(8)
    old = tab.find('.tensor-label[title^="net/old"]')
    expect(old.nth(1)).to_have_text("goodonly in bad")
    above, below = tab.find("canvas.cells"), tab.find("canvas.compared-cells")
    canvas, first, second = tab.places(below, old.nth(0), old.nth(1))
    assert second["y"] == pytest.approx(first["y"] + first["height"], abs=1)

    def colors(element: Locator, label: FloatRect, step: int) -> set[str]:
        middle = label["y"] + label["height"] / 2 - canvas["y"]
        at = [GUTTER + (step + 0.5) * WIDEST_STEP, middle]
        return {str(color) for color in element.evaluate(_COLORS, at)}

    assert tab.reserved("nan-badge") in colors(above, first, 2)
    for step in range(6):
        assert tab.reserved("nan-badge") not in colors(below, second, step)
    last = tab.find('.tensor-label[title^="net/last"]')
    (label,) = tab.places(last.nth(1))
    below.click(position={"x": 40, "y": label["y"] + label["height"] / 2 - canvas["y"]})
    expect(tab.details).to_contain_text("good · gradient · step 1")
    expect(tab.details.locator("h2")).to_have_text("net/last/kernel")
    shoot(tab, "compare-together")
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.arrange=rows"))


def test_a_healthy_run_below_has_no_trouble_of_the_other(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", **{"with": "healthy"})
    below = tab.find('.tensor-label[title^="input"]').nth(1)
    below.locator(".row-name").click()
    expect(tab.details).to_contain_text("healthy · input · step 37")
    expect(tab.find(".numbers[aria-busy=false]")).to_be_visible()
    expect(tab.find(".cell-trouble")).to_have_count(0)
    expect(tab.find(".origin-row").nth(1).locator(".origin-step, svg")).to_have_count(0)


def test_zooming_moves_both_and_a_click_below_reads_that_run(
    gallery_url: str, visit: Visit
) -> None:
    tab = visit(gallery_url, run="healthy", **{"with": "nan_feature"})
    below = tab.find("canvas.compared-cells")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    canvas, label = tab.places(below, tab.find('.tensor-label[title^="input"]').nth(1))
    middle = label["y"] + label["height"] / 2 - canvas["y"]
    before = below.evaluate("canvas => canvas.toDataURL()")
    tab.page.mouse.move(canvas["x"] + 200, canvas["y"] + middle)
    tab.page.mouse.wheel(0, -400)
    expect(tab.find(".visible-range span")).to_be_visible()
    view = tab.view
    assert view is not None
    assert view[1] - view[0] < 200
    tab.until(lambda: below.evaluate("canvas => canvas.toDataURL()") != before)
    below.click(position={"x": 200, "y": middle})
    expect(tab.details).to_contain_text("nan_feature · input · step")


def test_a_run_beside_goes_by_its_cross(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="healthy", **{"with": "nan_feature,gone"})
    expect(tab.find(".pane-header")).to_have_count(2)
    tab.find(".comparison .close").click()
    expect(tab.find(".pane-header")).to_have_count(0)
    expect(tab.find(".comparison")).to_have_count(0)
    expect(tab.find("canvas.cells")).to_be_visible()


def test_replicas_are_apart_alone_or_merged(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="workers")
    expect(tab.details).to_contain_text("on worker1")
    choice = tab.menu("Rows").locator("select[aria-label=Replicas]")
    choice.select_option(label="Separate replicas")
    expect(tab.find(".lane-name").filter(has_text="Gradients · worker1")).to_be_visible()
    expect(tab.find(".whole-lane").filter(has_text="target")).to_have_text(
        ["worker0target", re.compile("^worker1target")]
    )
    shoot(tab, "replicas-separate")
    choice.select_option(label="Only worker0")
    expect(tab.find(".worker").filter(has_text="worker1")).to_have_count(0)
    expect(tab.find(".shown")).to_have_text("19 of 38 tensors")
    choice.select_option(label="Merged replicas")
    target = tab.find(".group").filter(has_text="target")
    expect(target).to_contain_text("1 of 2")
    shoot(tab, "replicas-merged")
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.replicas=merged"))
    # By keys along the merged rows: the worker that is worst at step 20 is read.
    tab.press("Escape", "Home", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowDown")
    expect(tab.details).to_contain_text("target · step 0")
    tab.press("Escape")
    tab.click(tab.point(target, 20, 0, 47))
    expect(tab.details).to_contain_text("target · step 20")
    expect(tab.details).to_contain_text("on worker1")


@pytest.mark.parametrize(("dark", "width"), [(False, 1366), (True, 683)])
def test_axe_finds_nothing_beside_another_run(
    gallery_url: str, open_tab: Callable[..., Tab], dark: bool, width: int
) -> None:
    state = {"with": "healthy", "show": "difference"}
    tab = open_tab(gallery_url, run="nan_feature", width=width, dark=dark, **state)
    expect(tab.find(".pane-header .palette")).to_contain_text("=")
    expect(tab.find(".comparison")).to_contain_text("diverges from")
    shoot(tab, f"compare-{'dark' if dark else 'light'}-{width}")
    assert violations(tab) == []


def test_curves_of_both_runs_are_drawn_in_different_styles(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", **{"with": "healthy"})
    expect(tab.find(".pane-header .line-swatch")).to_have_count(2)
    dashes = [
        sign.get_attribute("stroke-dasharray")
        for sign in tab.find(".pane-header .line-swatch path").all()
    ]
    assert dashes[0] == ""
    assert dashes[1]
    loss = tab.find(".curve").first
    expect(loss.locator(".curve-value")).to_have_count(2)
    expect(loss.locator(".curve-value").nth(1)).to_have_attribute("title", "healthy")
    for value in loss.locator(".curve-value").all():
        expect(value).to_have_text(re.compile(r"^[\d.e-]+$"))
    canvas = loss.locator("canvas")
    strokes = [sign.get_attribute("stroke") for sign in tab.find(".pane-header path").all()]
    painted = """(canvas, wanted) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const hex = (at) => '#' + [0, 1, 2]
        .map((part) => data[at + part].toString(16).padStart(2, '0')).join('');
      const seen = new Set(Array.from({length: data.length / 4}, (_, index) => hex(4 * index)));
      return wanted.map((color) => seen.has(color));
    }"""
    assert canvas.evaluate(painted, strokes) == [True, True]
    tab.find(".comparison .close").click()
    expect(loss.locator(".curve-value")).to_have_count(1)


def test_the_histogram_stands_beside_that_of_another_run(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", tab="tensor", **{"with": "healthy"})
    expect(tab.details).to_contain_text("input · step 37")
    caption = tab.find(".histogram figcaption")
    expect(caption).to_contain_text("steps 32–36")
    caption.locator("select").select_option("healthy")
    expect(caption).to_contain_text("steps 32–47")
    expect(tab.find(".histogram path.outline")).to_have_count(2)
