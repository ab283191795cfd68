"""Where it broke, when, why, what to do: on top of the page, and one click away in the heatmap."""

from __future__ import annotations

import re
from collections.abc import Callable

from e2e.tab import Tab
from playwright.sync_api import expect

Visit = Callable[..., Tab]


def test_answers_before_anything_is_clicked(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.headline).to_have_text("Broke at step 37: non-finite input data · input input")
    explained = tab.find(".explained").first
    expect(explained).to_contain_text("step 37")
    expect(explained).to_contain_text("What to do")
    assert explained.locator("code").count() > 0
    expect(tab.find(".victims li button").first).to_be_hidden()
    expect(tab.details).to_contain_text("input · step 37")
    tab.find(".why").click()
    expect(explained).to_have_count(0)
    tab.find(".why").click()
    expect(explained).to_be_visible()


def test_goes_to_where_it_spread_and_back(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    tab.press("Escape")
    expect(tab.details).to_contain_text("Select a cell")
    tab.find(".show-first").click()
    expect(tab.details).to_contain_text("input · step 37")
    view = tab.view
    assert view is not None
    assert view[0] <= 37 <= view[1]
    assert view[1] - view[0] < 70
    tab.find(".victims summary").click()
    victim = tab.find(".victims li button").filter(has_text="mlp/dense/kernel").first
    expect(victim).to_contain_text("step 37")
    victim.click()
    expect(tab.details.locator("h2")).to_have_text("mlp/dense/kernel")
    assert tab.reserved("nan") in tab.colours(tab.point(tab.label("input"), 37, *view))


def test_a_sign_on_the_axis_is_a_way_to_its_finding(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    tab.press("Escape")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    sign = tab.point(tab.label("input"), 37, 0, 239)
    tab.find("canvas.axis").click(position={"x": sign.x, "y": 9})
    expect(tab.details).to_contain_text("input · step 37")


def test_keys_go_through_the_findings(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    tab.press("End", "n")
    expect(tab.details).to_contain_text("input · step 37")
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.steps="))


def test_an_address_of_a_tensor_that_is_gone_is_no_trouble(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", tensor="none", step="200")
    expect(tab.details).to_contain_text("input · step 37")


def test_a_healthy_run_says_so_plainly(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="healthy")
    expect(tab.headline).to_have_text("Nothing non-finite in steps 0–159")
    expect(tab.find(".finding.error")).to_have_count(0)
    expect(tab.details).to_contain_text("Select a cell")
    worth = tab.find(".worth button").first
    expect(worth).to_contain_text("Largest gradient: norm")
    step = re.search(r"at step (\d+)", worth.text_content() or "")
    assert step is not None
    worth.click()
    expect(tab.details).to_contain_text(f"gradient · step {step[1]}")


def test_without_a_diagnosis_the_first_non_finite_value_is_told(
    gallery_url: str, visit: Visit
) -> None:
    page = visit(gallery_url, run="healthy").page
    page.route("**/findings?*", lambda route: route.fulfill(status=500, json={"error": "no"}))
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.headline).to_have_text("First non-finite: step 37, input input: 1 NaN")
    expect(tab.details).to_contain_text("input · step 37")
    assert all("500" in complaint for complaint in tab.complaints)
    tab.complaints.clear()  # The browser itself logs the status.
