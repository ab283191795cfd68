"""The selected tensor: its number formats, over time, and beside its last good step."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from e2e.tab import Tab
from playwright.sync_api import Route, expect
from synthetic_logs import mlp_manifest, mlp_values

Visit = Callable[..., Tab]

STEP = 38
"""A step with a record of its own."""


def test_what_float16_would_lose_agrees_with_numpy(gallery_url: str, visit: Visit) -> None:
    manifest = mlp_manifest()
    row = next(
        row for row, each in enumerate(manifest.tensors) if each.role == "weight" and row % 5 == 4
    )
    tensor = manifest.tensors[row]
    array = mlp_values(manifest, seed=1)(STEP)[row]
    half = np.abs(array.astype(np.float16).astype(np.float32))
    assert np.all(half > 0)
    imprecise = np.mean(half < 2.0**-14)
    tab = visit(gallery_url, run="nan_feature", tab="tensor")
    expect(tab.details).to_contain_text("input · step 37")
    label = tab.find(f'.tensor-label[title^="{tensor.name}"]').last
    tab.click(tab.point(label, STEP, 0, 239))
    sentence = tab.find(".formats .summary")
    expect(sentence).to_have_text(
        re.compile(r"^Fits in float16, but [\d.]+% of this weight would lose precision\.$")
    )
    shown = float((sentence.text_content() or "").split("but ")[1].split("%")[0])
    assert shown == float(f"{100 * imprecise:.2g}")


def test_over_time_is_painted_and_a_click_selects_the_step(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", tab="tensor")
    expect(tab.details).to_contain_text("input · step 37")
    chart = tab.find(".over-time canvas").first
    expect(chart).to_have_attribute("aria-label", re.compile(r"Magnitudes from 2\^-\d+ to 2\^"))
    colors = chart.evaluate(
        """canvas => {
          const context = canvas.getContext('2d');
          const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    assert colors > 20
    box = chart.bounding_box()
    assert box is not None
    chart.click(position={"x": 34 + (box["width"] - 34) / 2 + 0.5, "y": 60})
    expect(tab.details).to_contain_text(re.compile("input · step (119|120|121)"))
    charts = tab.find(".chart p")
    expect(charts).to_have_text(["L2 norm max abs", "NaN/Inf elements", "% zeros"])
    tab.click(tab.point(tab.label("target"), 120, 0, 239))
    expect(tab.details).to_contain_text("target · step 120")
    expect(charts).to_have_text(["L2 norm max abs", "% zeros"])


def test_the_last_good_histogram_is_the_outline(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", tab="tensor")
    expect(tab.details).to_contain_text("input · step 37")
    caption = tab.find(".histogram figcaption")
    expect(caption).to_contain_text("Outline: steps 32–36, the last good window")
    expect(tab.find(".histogram path.outline")).to_have_count(2)
    tab.press("Home")
    expect(tab.details).to_contain_text("input · step 0")
    expect(caption).not_to_contain_text("Outline")


def test_the_call_graph_leads_upstream_and_downstream(gallery_url: str, visit: Visit) -> None:
    def with_inputs(route: Route) -> None:
        answer = route.fetch().json()
        ids = {(each["role"], each["name"]): each["id"] for each in answer["tensors"]}
        inputs = {
            ("gradient", "mlp/dense/kernel"): ids["gradient", "mlp/dense_1/kernel"],
            ("gradient", "mlp/dense_1/kernel"): ids["gradient", "mlp/logits/kernel"],
        }
        for each in answer["tensors"]:
            known = inputs.get((each["role"], each["name"]))
            each["inputs"] = [known] if known else []
        route.fulfill(json=answer)

    visit(gallery_url, run="healthy").page.route("**/nanwatch/run?*", with_inputs)
    tab = visit(gallery_url, run="nan_feature", tab="tensor")
    expect(tab.details).to_contain_text("input · step 37")
    tab.click(tab.point(tab.label("mlp/dense/kernel"), 37, 0, 239))
    expect(tab.find(".details .where")).to_have_text("gradient · step 37")
    neighbors = tab.find(".neighbors")
    expect(neighbors).to_contain_text("↑ Upstreamgradient mlp/dense_1/kernel")
    expect(neighbors).not_to_contain_text("Downstream")
    neighbors.get_by_role("button", name="weight NaN/Inf from step 37").click()
    expect(tab.find(".details .where")).to_have_text("weight · step 37")
    expect(tab.details.locator("h2")).to_have_text("mlp/dense/kernel")
    expect(neighbors).not_to_contain_text("Upstream")
    neighbors.get_by_role("button", name="gradient").click()
    neighbors.get_by_role("button", name="gradient mlp/dense_1/kernel").click()
    expect(tab.details.locator("h2")).to_have_text("mlp/dense_1/kernel")
    expect(neighbors).to_contain_text("↓ Downstreamgradient mlp/dense/kernel")


def test_without_a_call_graph_nothing_is_guessed(gallery_url: str, visit: Visit) -> None:
    def without_inputs(route: Route) -> None:
        answer = route.fetch().json()
        for each in answer["tensors"]:
            each["inputs"] = []
        route.fulfill(json=answer)

    visit(gallery_url, run="healthy").page.route("**/nanwatch/run?*", without_inputs)
    tab = visit(gallery_url, run="nan_feature", tab="tensor")
    expect(tab.find(".neighbors")).to_have_text("The call graph was not recorded.")


def test_the_loss_scale_has_a_curve(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="loss_scaling")
    expect(tab.find(".curve-name")).to_have_text(["Loss", "Gradient norm", "Loss scale"])
    tab.press("ArrowDown", "Home")
    expect(tab.find(".curve-value").nth(2)).to_have_text("1024")
    tab.press("End")
    expect(tab.find(".curve-value").nth(2)).to_have_text("512")


def test_a_range_of_steps_is_summed_up_for_the_tensor(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    kernel = tab.label("mlp/dense/kernel")
    start, end = tab.point(kernel, 20, 0, 239), tab.point(kernel, 60, 0, 239)
    tab.page.keyboard.down("Shift")
    tab.drag("canvas.cells", start, end)
    tab.page.keyboard.up("Shift")
    found = tab.find(".range-statistics")
    expect(found.locator("h3")).to_have_text("Selected steps 20–60")
    expect(tab.details.locator("h2")).to_have_text("mlp/dense/kernel")
    assert tab.view is None, "Neither zoomed nor panned."
    expect(found).to_contain_text("steps 16–71, 7 windows")
    # From step 37 on, to the end of the window in which step 60 is.
    expect(found).to_contain_text("35 of 56 steps, first at step 37")
    manifest = mlp_manifest()
    bad = [(tensor.role, tensor.name) for tensor in manifest.tensors]
    row = bad.index(("gradient", "mlp/dense/kernel"))
    values = mlp_values(manifest, seed=1)

    def norm(step: int) -> float:
        array = np.array(values(step)[row], np.float64).reshape(-1)
        # The first three elements are NaN, +Inf and -Inf from step 37 on.
        return float(np.linalg.norm(array[3:] if step >= 37 else array))

    windows = [(16, 31), (32, 36), (37, 37), (38, 38), (39, 39), (40, 55), (56, 71)]
    norms = [max(norm(step) for step in range(first, last + 1)) for first, last in windows]
    for label, wanted in (("Min L2 norm", min(norms)), ("Median", np.median(norms))):
        shown = found.locator(".cell-number").filter(has_text=label).locator("dd")
        assert float(shown.text_content() or "") == pytest.approx(wanted, rel=1e-3)
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.range=20\.\.60"))
    tab.page.reload()
    expect(found.locator("h3")).to_have_text("Selected steps 20–60")
    expect(tab.find(".selected-range")).to_be_visible()
    tab.press("Escape")
    expect(found).to_have_count(0)
    expect(tab.details.locator("h2")).to_have_text("mlp/dense/kernel")
    # By keys, from the selected step on.
    tab.press("Shift+ArrowRight", "Shift+ArrowRight")
    expect(found.locator("h3")).to_have_text("Selected steps 20–22")
    expect(found).to_contain_text("none in 16 steps")
