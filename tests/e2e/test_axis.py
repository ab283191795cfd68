"""The horizontal axis: steps, their logarithm, wall time; everything is in step with it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
from e2e.tab import GUTTER, MARGIN, Point, Tab
from playwright.sync_api import Locator, Route, expect

Visit = Callable[..., Tab]
OpenTab = Callable[..., Tab]


def axis(tab: Tab) -> Locator:
    return tab.find("select[name=axis]")


def width(tab: Tab) -> float:
    """Pixels from the first step to the end of the last one."""
    tab.find('canvas.cells[style*="width"]').wait_for()
    box = tab.find("canvas.cells").bounding_box()
    assert box is not None
    return box["width"] - GUTTER - MARGIN


def decades(step: float) -> float:
    return math.log10(1 + step)


@pytest.mark.parametrize(("window", "dark"), [(600, False), (600, True), (1400, False)])
def test_steps_stand_by_their_logarithm(
    gallery_url: str, open_tab: OpenTab, window: int, dark: bool
) -> None:
    tab = open_tab(gallery_url, run="nan_feature", axis="log", width=window, dark=dark)
    expect(tab.details).to_contain_text("input · step 37")
    expect(axis(tab)).to_have_value("log")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    y = tab.point(tab.label("input"), 0, 0, 239).y

    def at(step: float) -> Point:
        return Point(GUTTER + width(tab) * decades(step + 0.5) / decades(240), y)

    assert tab.is_badge(at(37))
    assert not tab.is_badge(at(60))
    assert not tab.is_badge(at(15)), "Which is past the middle of the axis."
    assert at(15).x > GUTTER + width(tab) / 2
    tab.hover(at(3))
    expect(tab.find(".tooltip .where")).to_have_text("input · step 3")


def test_a_logarithmic_axis_is_zoomed_panned_and_brushed(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    axis(tab).select_option("log")
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.axis=log"))

    def x(step: float) -> float:
        return GUTTER + width(tab) * decades(step) / decades(240)

    tab.drag("canvas.axis", Point(x(10), 30), Point(x(100), 30))
    expect(tab.find(".visible-range span")).to_have_text(re.compile(r"^(9|10)–(99|100)$"))
    tab.hover(Point(GUTTER + width(tab) / 2, 20))
    tab.page.mouse.wheel(0, -300)
    expect(tab.find(".visible-range span")).not_to_have_text(re.compile(r"^(9|10)–"))
    view = tab.view
    assert view is not None
    # About the middle of the decade, which is no middle of its steps.
    assert 10 < view[0] < 31 < view[1] < 100
    before = decades(view[1] + 1) - decades(view[0])
    tab.press("d")
    expect(tab.find(".visible-range span")).not_to_have_text(f"{view[0]}–{view[1]}")
    panned = tab.view
    assert panned is not None
    assert panned[0] > view[0]
    assert decades(panned[1] + 1) - decades(panned[0]) == pytest.approx(before, abs=0.05)
    expect(tab.page).to_have_url(re.compile(rf"steps={panned[0]}\.\.{panned[1]}"))
    tab.page.reload()
    expect(axis(tab)).to_have_value("log")
    expect(tab.find(".visible-range span")).to_have_text(f"{panned[0]}–{panned[1]}")


def test_wall_time_shows_a_pause_and_tells_when(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="resumed", tab="why")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    for name in ("log", "wall"):
        tab.press("l")
        expect(axis(tab)).to_have_value(name)
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.axis=wall"))
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    y = tab.point(tab.label("input"), 0, 0, 159).y
    left, middle = (tab.colors(Point(GUTTER + x, y)) for x in (0.5, width(tab) / 2))
    assert left.isdisjoint(middle), "There is an hour between the sessions."
    tab.hover(Point(GUTTER + 0.5, y))
    when = r"^[\d.]+ s after start, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"
    expect(tab.find(".tooltip .when")).to_have_text(re.compile(when))
    tab.hover(Point(GUTTER + width(tab) - 0.3, y))
    expect(tab.find(".tooltip .where")).to_contain_text(re.compile(r"1[45]\d$"))
    expect(tab.find(".tooltip .when")).to_contain_text(re.compile(r"^1 h( \d+ s)? after start"))
    tab.press("l")
    expect(axis(tab)).to_have_value("step")
    expect(tab.page).not_to_have_url(re.compile(r"p\.nanwatch\.axis"))


def test_a_run_that_tells_no_time_has_no_axis_of_it(gallery_url: str, visit: Visit) -> None:
    def timeless(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "times": None})

    visit(gallery_url, run="healthy").page.route("**/nanwatch/run?*", timeless)
    tab = visit(gallery_url, run="nan_feature", axis="wall")
    expect(tab.details).to_contain_text("input · step 37")
    expect(axis(tab).locator("option[value=wall]")).to_be_disabled()
    expect(axis(tab)).to_have_value("step")
    tab.press("l", "l")
    expect(axis(tab)).to_have_value("step")


@pytest.mark.parametrize("name", ["log", "wall"])
def test_a_bad_step_of_a_long_run_is_seen_on_every_axis(
    outsize_url: str, visit: Visit, name: str
) -> None:
    tab = visit(outsize_url, run="long", axis=name)
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    expect(tab.details).to_contain_text("First step with NaN or Inf50,048")
    place = decades(50_048) / decades(100_000) if name == "log" else 50_048 / 100_000
    y = tab.point(tab.label("net/dense/kernel"), 0, 0, 1).y
    x = GUTTER + width(tab) * place
    assert any(tab.is_badge(Point(x + offset, y)) for offset in range(-6, 7))
