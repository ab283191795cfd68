"""Where it broke, when, why, what to do: on top of the page, and one click away in the heatmap."""

from __future__ import annotations

import re
from collections.abc import Callable

from e2e.tab import Tab
from e2e.test_compare import shoot
from playwright.sync_api import Route, expect

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
    assert tab.reserved("nan") in tab.colors(tab.point(tab.label("input"), 37, *view))


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


def test_the_operation_that_broke_is_shown_with_its_source(gallery_url: str, visit: Visit) -> None:
    element = {"index": [3, 0], "value": "0.0"}
    operation = {
        "type": "Log",
        "pass": "backward",
        "layer": "encoder/gate",
        "file": "model.py",
        "line": 57,
        "code": "return tf.where(x > 0, tf.math.log(x), 0.0)",
        "function": "call",
        "source": [
            {"line": 56, "text": "    def call(self, x):  # <img src=x onerror=alert(1)>"},
            {"line": 57, "text": "        return tf.where(x > 0, tf.math.log(x), 0.0)"},
        ],
        "operands": [{"name": "x", "dtype": "float32", "shape": [32, 8], "elements": [element]}],
        "result": {
            "dtype": "float32",
            "shape": [32, 8],
            "elements": [{**element, "value": "-inf"}],
        },
    }

    def with_operation(route: Route) -> None:
        answer = route.fetch().json()
        answer["findings"][0]["origin"] |= {"operation": operation, "examples": [3, 11]}
        note = "Eagerly it gave the same."
        answer["findings"][0]["rerun"] = {"reproduced": True, "mode": "eager", "note": note}
        route.fulfill(json=answer)

    visit(gallery_url, run="healthy").page.route("**/findings?*", with_operation)
    tab = visit(gallery_url, run="nan_feature")
    shown = tab.find(".operation")
    expect(shown).to_contain_text("Log in the backward pass of layer encoder/gate")
    expect(shown).to_contain_text("model.py:57, in call")
    expect(shown.locator(".broke")).to_have_count(1)
    expect(shown.locator(".broke")).to_contain_text("▸57")
    expect(shown.locator("pre")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(shown.locator("thead th")).to_have_text(["At", "xfloat32, 32 × 8", re.compile("result")])
    expect(shown.locator("tbody tr")).to_have_text(["[3, 0]0.0-inf"])
    expect(shown).to_contain_text("2 rows of the batch: 3, 11")
    expect(shown).to_contain_text("Happened again when the step was run again (eager).")
    shoot(tab, "operation")


def test_rows_stay_where_they_are_when_the_curves_arrive(gallery_url: str, visit: Visit) -> None:
    held: list[Route] = []
    visit(gallery_url, run="healthy").page.route(
        re.compile(r"grid\?.*role=loss"), lambda route: held.append(route)
    )
    tab = visit(gallery_url, run="nan_feature", statistic="nonfinite")
    label = tab.label("input")
    expect(tab.details).to_contain_text("input · step 37")
    expect(tab.find(".curve")).to_have_count(2)
    before = label.bounding_box()
    assert held
    for route in held:
        route.continue_()
    expect(tab.find(".curve-value").first).to_have_text(re.compile(r"\d"))
    assert label.bounding_box() == before
