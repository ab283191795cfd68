"""Zooming and panning: by wheel, by dragging, by brushing, by keys, and by address."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from e2e.tab import GUTTER, Point, Tab
from playwright.sync_api import Request, Route, expect

Visit = Callable[..., Tab]


@pytest.fixture
def tab(gallery_url: str, visit: Visit) -> Tab:
    """The run `nan_feature`, steps 0 to 239, with its picture."""
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    return tab


def width_of_a_step(tab: Tab, steps: int) -> float:
    row = tab.label("input")
    return tab.point(row, 1, 0, steps - 1).x - tab.point(row, 0, 0, steps - 1).x


def test_the_wheel_zooms_about_the_pointer_and_a_double_click_resets(tab: Tab) -> None:
    point = tab.point(tab.label("mlp/dense/bias"), 120, 0, 239)
    tab.hover(point)
    tab.page.mouse.wheel(0, -600)
    expect(tab.find(".visible-range")).to_be_visible()
    view = tab.view
    assert view is not None
    assert 60 < view[0] < 120 < view[1] < 180
    tab.hover(Point(point.x + 1, point.y))
    expect(tab.find(".tooltip .where")).to_contain_text("120")
    tab.page.mouse.wheel(0, 5000)
    expect(tab.find(".visible-range")).to_have_count(0)
    tab.page.mouse.wheel(0, -600)
    expect(tab.find(".visible-range")).to_be_visible()
    tab.find("canvas.cells").dblclick(position={"x": point.x, "y": point.y})
    expect(tab.find(".visible-range")).to_have_count(0)


def test_dragging_pans_and_selects_nothing(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", steps="100..119")
    expect(tab.find(".visible-range span")).to_have_text("100–119")
    expect(tab.details).to_contain_text("input · step 37")
    pixels = width_of_a_step(tab, 20)
    start = tab.point(tab.label("target"), 110, 100, 119)
    tab.drag("canvas.cells", start, Point(start.x + 5 * pixels, start.y))
    expect(tab.find(".visible-range span")).to_have_text("95–114")
    expect(tab.details).to_contain_text("input · step 37")


def test_brushing_the_axis_zooms_to_the_steps(tab: Tab) -> None:
    pixels = width_of_a_step(tab, 240)
    tab.drag("canvas.axis", Point(GUTTER + 30 * pixels, 30), Point(GUTTER + 60 * pixels, 30))
    expect(tab.find(".visible-range span")).to_have_text(re.compile(r"^(29|30)–(59|60)$"))
    assert tab.view is not None
    x, y = tab.point(tab.label("mlp/dense/bias"), 45, *tab.view)
    # Its ends may be within a step: one of the places is not between two cells.
    assert tab.reserved("nan") in tab.colors(Point(x, y)) | tab.colors(Point(x + 4, y))
    assert tab.reserved("nan") not in tab.colors(
        tab.point(tab.label("mlp/dense/bias"), 34, *tab.view)
    )
    tab.find(".visible-range button").click()
    expect(tab.find(".visible-range")).to_have_count(0)


def test_keys_zoom_pan_and_reset(tab: Tab) -> None:
    tab.press("+", "+")
    expect(tab.find(".visible-range")).to_be_visible()
    first = tab.view
    assert first is not None
    assert first[0] <= 37 <= first[1]
    tab.press("d")
    expect(tab.find(".visible-range span")).not_to_have_text(f"{first[0]}–{first[1]}")
    tab.press("a", "f")
    expect(tab.find(".visible-range")).to_be_visible()
    tab.press("0")
    expect(tab.find(".visible-range")).to_have_count(0)
    tab.press("End")
    expect(tab.details).to_contain_text("input · step 239")


def test_the_view_follows_the_selection(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", steps="30..49")
    expect(tab.details).to_contain_text("input · step 37")
    tab.press("End")
    expect(tab.details).to_contain_text("input · step 239")
    expect(tab.find(".visible-range span")).to_have_text("220–239")
    tab.press("Home", "ArrowRight")
    expect(tab.details).to_contain_text("input · step 1")
    expect(tab.find(".visible-range span")).to_have_text("0–19")


def test_the_address_keeps_the_steps(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", steps="30..49")
    expect(tab.find(".visible-range span")).to_have_text("30–49")
    tab.press("d")
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.steps=35\.\.54"))
    tab.page.reload()
    expect(tab.find(".visible-range span")).to_have_text("35–54")


def test_what_was_seen_stays_until_the_new_picture_comes(outsize_url: str, visit: Visit) -> None:
    # The curves take the heatmap's own norms: no other grid is asked for.
    tab = visit(outsize_url, run="long", statistic="norm")
    expect(tab.details).to_contain_text("gradient · steps 49,920–50,175")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    held: list[Route] = []
    cancelled: list[Request] = []
    tab.page.route("**/nanwatch/grid?*", lambda route: held.append(route))

    def failed(request: Request) -> None:
        if "/nanwatch/grid?" in request.url:  # And not what is asked for the details.
            cancelled.append(request)

    tab.page.on("requestfailed", failed)
    tab.press("f")
    expect(tab.find(".visible-range span")).to_have_text("50,016–50,080")
    label = tab.label("net/dense/kernel")
    assert tab.reserved("nan") in tab.colors(tab.point(label, 50_075, 50_016, 50_080)), (
        "The column of 256 steps, stretched."
    )
    tab.until(lambda: len(held) > 0)
    outdated = held[-1].request
    tab.press(*"dddddddd")
    # A slow page may come to rest between two keys, and ask there, too.
    tab.until(lambda: outdated in cancelled)
    tab.until(lambda: cancelled == [route.request for route in held[:-1]])
    held[-1].continue_()
    tab.page.unroute("**/nanwatch/grid?*")
    tab.press("f")
    expect(tab.details).to_contain_text("gradient · step 50,048")
    colors = tab.colors(tab.point(label, 50_075, 50_016, 50_080))
    assert tab.reserved("nan") not in colors, "One bad step, once its picture is there."


def test_the_sheet_of_keys_opens_and_closes(tab: Tab) -> None:
    tab.press("?")
    sheet = tab.find("dialog.help")
    expect(sheet).to_be_visible()
    expect(sheet).to_contain_text("zoom at the pointer")
    tab.page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    tab.find(".help-button").click()
    expect(sheet).to_be_visible()
    tab.page.keyboard.press("?")
    expect(sheet).to_be_hidden()


def test_two_fingers_zoom_about_what_is_between_them(
    gallery_url: str, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(gallery_url, run="nan_feature")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    box = tab.find("canvas.cells").bounding_box()
    assert box is not None
    middle, y = box["x"] + box["width"] / 2, box["y"] + 60
    device = tab.page.context.new_cdp_session(tab.page)
    device.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})

    def touch(kind: str, *apart: int) -> None:
        points = [
            {"x": middle + side * each, "y": y, "id": side + 1}
            for each in apart
            for side in (-1, 1)
        ]
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 40)
    for apart in (60, 90, 120, 160):
        touch("touchMove", apart)
    touch("touchEnd")
    expect(tab.find(".visible-range")).to_be_visible()
    view = tab.view
    assert view is not None
    steps = view[1] - view[0] + 1
    assert 50 <= steps <= 80, "A quarter of 240."
    assert (view[0] + view[1]) / 2 == pytest.approx(120, abs=8)


def test_both_sides_are_loaded_before_one_pans_to_them(outsize_url: str, visit: Visit) -> None:
    # The curves take the heatmap's own norms: no other grid is asked for.
    tab = visit(outsize_url, run="long", statistic="norm")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    asked: set[tuple[str, str]] = set()

    def note(request: Request) -> None:
        if "/grid?" in request.url:
            query = parse_qs(urlsplit(request.url).query)
            asked.add((query["first"][0], query["last"][0]))

    answered: list[Request] = []
    tab.page.on("request", note)
    tab.page.on("requestfinished", lambda each: answered.extend([each] * ("/grid?" in each.url)))
    tab.press("f")
    expect(tab.find(".visible-range span")).to_have_text("50,016–50,080")
    tab.until(lambda: len(answered) >= 3)  # The visible steps, and both sides of them.
    tab.page.wait_for_timeout(500)
    known = len(asked)
    tab.press(*"dddd")
    expect(tab.find(".visible-range span")).to_have_text("50,080–50,144")
    tab.page.wait_for_timeout(200)
    tab.press(*"aaaa")
    assert len(asked) <= known + 1, (
        "To the right and back there was nothing to ask for but what is further."
    )
