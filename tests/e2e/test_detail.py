"""The selected tensor: in words, over time, and beside its healthy self."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from e2e.tab import Tab
from playwright.sync_api import expect
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
    fewer_digits = np.mean(half < 2.0**-14)
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    label = tab.find(f'.tensor-label[title^="{tensor.name}"]').last
    tab.click(tab.point(label, STEP, 0, 239))
    sentence = tab.find(".formats .loss")
    expect(sentence).to_have_text(
        re.compile(r"^float16 holds all of this weight, [\d.]+% of it with fewer digits\.$")
    )
    said = float((sentence.text_content() or "").split(", ")[1].split("%")[0])
    assert said == float(f"{100 * fewer_digits:.2g}")


def test_over_time_is_painted_and_a_click_selects_the_step(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
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
    expect(charts).to_have_text(["Norm largest magnitude", "Non-finite elements", "Zeros"])
    tab.click(tab.point(tab.label("target"), 120, 0, 239))
    expect(tab.details).to_contain_text("target · step 120")
    expect(charts).to_have_text(["Norm largest magnitude", "Zeros"])


def test_the_histogram_stands_beside_the_last_healthy_one(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    caption = tab.find(".histogram figcaption")
    expect(caption).to_contain_text("outline: steps 32–36")
    expect(tab.find(".histogram path.earlier")).to_have_count(2)
    tab.press("Home")
    expect(tab.details).to_contain_text("input · step 0")
    expect(caption).not_to_contain_text("outline")


def test_neighbors_in_the_flow_of_a_step_lead_to_one_another(
    gallery_url: str, visit: Visit
) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    tab.click(tab.point(tab.label("mlp/dense/kernel"), 37, 0, 239))
    expect(tab.find(".details .where")).to_have_text("gradient · step 37")
    neighbors = tab.find(".neighbors")
    expect(neighbors).to_contain_text("before itgradient mlp/dense_1/bias")
    neighbors.get_by_role("button", name="weight non-finite from 37").click()
    expect(tab.find(".details .where")).to_have_text("weight · step 37")
    expect(tab.details.locator("h2")).to_have_text("mlp/dense/kernel")
    expect(neighbors).not_to_contain_text("before it")
    neighbors.get_by_role("button", name="gradient").click()
    neighbors.get_by_role("button", name="gradient mlp/dense_1/bias").click()
    expect(tab.details.locator("h2")).to_have_text("mlp/dense_1/bias")


def test_the_loss_scale_stands_above(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="loss_scaling")
    expect(tab.find(".curve-name")).to_have_text(["Loss", "Gradient norm", "Loss scale"])
    tab.press("ArrowDown", "Home")
    expect(tab.find(".curve-value").nth(2)).to_have_text("1024")
    tab.press("End")
    expect(tab.find(".curve-value").nth(2)).to_have_text("512")
