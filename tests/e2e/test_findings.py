"""Where it broke, when, why, what to do: on top of the page, and one click away in the heatmap."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

from e2e.tab import Tab
from e2e.test_compare import shoot
from playwright.sync_api import Route, expect

Visit = Callable[..., Tab]


def rendered(url: str, run: str) -> Any:
    """What the server says of a run."""
    with urlopen(f"{url}data/plugin/nanwatch/findings?run={run}") as answer:
        return json.load(answer)


def plain(text: str) -> str:
    """A rendered text as the page has it: code is marked by its font."""
    return text.replace("`", "")


def test_answers_before_anything_is_clicked(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    answer = rendered(gallery_url, "nan_feature")
    first = answer["findings"][0]
    assert answer["headline"] == first["headline"]
    assert re.match("NaN in the input data at step 37", first["headline"])
    expect(tab.headline).to_have_text(plain(first["headline"]))
    explained = tab.find(".explained").first
    for text in ("message", "advice"):
        expect(explained).to_contain_text(plain(first[text]))
    expect(explained).to_contain_text("docs/findings.md#nonfinite-input")
    expect(tab.find(".affected li button").first).to_be_hidden()
    expect(tab.details).to_contain_text("input · step 37")
    expect(explained).to_be_visible()
    fix = tab.find(".fix-line code")
    expect(fix).to_contain_text(first["fix_code"].split("\n")[0] + "; ")
    tab.find(".fix-line button").click()
    assert tab.page.evaluate("navigator.clipboard.readText()") == first["fix_code"]


def test_jumps_to_where_it_spread_and_back(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    tab.press("Escape")
    expect(tab.details).to_contain_text("Click a cell")
    tab.find(".jump").click()
    expect(tab.details).to_contain_text("input · step 37")
    view = tab.view
    assert view is not None
    assert view[0] <= 37 <= view[1]
    assert view[1] - view[0] < 70
    tab.find(".affected summary").click()
    affected = tab.find(".affected li button").filter(has_text="mlp/dense/kernel").first
    expect(affected).to_contain_text("step 37")
    affected.click()
    expect(tab.details.locator("h2")).to_have_text("mlp/dense/kernel")
    assert tab.is_badge(tab.point(tab.label("input"), 37, *view))


def test_a_marker_on_the_axis_opens_its_finding(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    tab.press("Escape")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    marker = tab.point(tab.label("input"), 37, 0, 239)
    tab.find("canvas.axis").click(position={"x": marker.x, "y": 9})
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
    expect(tab.headline).to_have_text(plain(rendered(gallery_url, "healthy")["headline"]))
    expect(tab.headline).to_contain_text("Healthy: ")
    expect(tab.find(".finding.error")).to_have_count(0)
    expect(tab.details).to_contain_text("Click a cell")
    expect(tab.find("#tab-layers")).to_have_attribute("aria-selected", "true")
    tab.show("tensor")
    highlight = tab.find(".highlights button").first
    expect(highlight).to_contain_text("Largest gradient: L2 norm")
    step = re.search(r"at step (\d+)", highlight.text_content() or "")
    assert step is not None
    highlight.click()
    expect(tab.details).to_contain_text(f"gradient · step {step[1]}")


def test_a_diagnosis_that_fails_can_be_tried_again(gallery_url: str, visit: Visit) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=500, json={"error": "no <b>diagnosis</b>"})

    page = visit(gallery_url, run="healthy").page
    page.route("**/findings?run=nan_feature*", refuse)
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.find(".verdict .server-message")).to_have_text("no <b>diagnosis</b>")
    # The list of runs has the headline, and the heatmap is there.
    expect(tab.headline).to_contain_text("step 37")
    expect(tab.find(".tensor-label").first).to_be_visible()
    page.unroute("**/findings?run=nan_feature*")
    tab.find(".verdict button").filter(has_text="Try again").click()
    expect(tab.details).to_contain_text("input · step 37")
    expect(tab.find(".verdict .server-message")).to_have_count(0)
    assert all("500" in complaint for complaint in tab.complaints)
    tab.complaints.clear()  # The browser itself logs the status.


def test_pending_runs_are_asked_for_until_they_are_diagnosed(
    gallery_url: str, visit: Visit
) -> None:
    answers: list[bool] = []
    diagnosed = False

    def answer_runs(route: Route) -> None:
        answers.append(diagnosed)
        answer = route.fetch().json()
        for run in answer["runs"]:
            if run["status"] != "empty" and not diagnosed:
                run |= {"status": "pending", "headline": "", "finding": None}
        route.fulfill(json=answer)

    visit(gallery_url, run="healthy").page.route("**/nanwatch/runs", answer_runs)
    tab = visit(gallery_url)
    state = tab.find(".run-item").filter(has_text="bad_checkpoint").locator(".run-state")
    expect(state).to_have_text("not diagnosed yet")
    expect(tab.find(".run-item.pending")).to_have_count(7)
    diagnosed = True
    expect(state).to_contain_text("NaN in a weight")
    expect(tab.find(".run-item.pending")).to_have_count(0)
    # Nobody has chosen a run: the one with the earliest trouble is shown.
    expect(tab.find(".run-item[aria-current=true]")).to_contain_text("bad_checkpoint")
    tab.page.wait_for_timeout(2500)
    assert answers.count(True) == 1, "Nothing is pending any more."


def test_code_of_a_fix_is_shown_and_copied(gallery_url: str, visit: Visit) -> None:
    code = "x = tf.where(ok, x, 1.0)\ny = tf.where(ok, tf.math.log(x), 0.0)"

    def with_code(route: Route) -> None:
        answer = route.fetch().json()
        answer["findings"][0] |= {"fix_code": code, "record_also": ["activation"]}
        route.fulfill(json=answer)

    visit(gallery_url, run="healthy").page.route("**/findings?run=nan_feature*", with_code)
    tab = visit(gallery_url, run="nan_feature")
    blocks = tab.find(".explained .code-block")
    expect(blocks.first.locator("code")).to_have_text(code)
    blocks.first.locator("button").click()
    expect(blocks.first.locator("button")).to_have_text("Copied")
    assert tab.page.evaluate("navigator.clipboard.readText()") == code
    expect(tab.find(".record-also")).to_contain_text("also record activations:")
    more = blocks.nth(1).locator("code")
    expect(more).to_contain_text('nanwatch.Callback(log_dir, watch=["default", "activation"])')
    expect(more).to_contain_text("watcher.observe(activation=...)")


def test_the_failing_operation_is_shown_with_its_source(gallery_url: str, visit: Visit) -> None:
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

    visit(gallery_url, run="healthy").page.route("**/findings?run=nan_feature*", with_operation)
    tab = visit(gallery_url, run="nan_feature")
    shown = tab.find(".operation")
    expect(shown).to_contain_text("Log in the backward pass of layer encoder/gate")
    expect(shown).to_contain_text("model.py:57, in call")
    expect(shown.locator(".failing")).to_have_count(1)
    expect(shown.locator(".failing")).to_contain_text("▸57")
    expect(shown.locator("pre")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(shown.locator("thead th")).to_have_text(
        ["Index", "xfloat32, 32 × 8", re.compile("result")]
    )
    expect(shown.locator("tbody tr")).to_have_text(["[3, 0]0.0-inf"])
    expect(shown).to_contain_text("Batch rows 3, 11")
    expect(shown).to_contain_text("✓ Reproduced when re-run eagerly.")
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
