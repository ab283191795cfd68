"""The tab on the gallery; what reads the log, in both load modes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from e2e.tab import Tab
from playwright.sync_api import expect

from tb_nanwatch.stats.statistics import STATISTICS

OpenTab = Callable[..., Tab]
Visit = Callable[..., Tab]


def test_opens_with_the_earliest_trouble(served: str, open_tab: OpenTab) -> None:
    tab = open_tab(served)
    expect(tab.headline).to_contain_text("NaN in a weight before the first step")
    expect(tab.find(".circumstances span")).to_have_text(
        "NaN or Inf reached 1 of 19 tensors · 16 steps recorded"
    )
    expect(tab.find(".run-name")).to_have_text(
        [
            "bad_checkpoint",
            "workers",
            "nan_feature",
            "every_hundredth",
            "healthy",
            "loss_scaling",
            "resumed",
            "empty",
        ]
    )
    expect(tab.find(".run-item[aria-current=true]")).to_contain_text("bad_checkpoint")
    expect(tab.details).to_contain_text("mlp/dense_1/kernel")


def test_another_run_is_chosen_by_a_click(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url)
    tab.find(".run-item").filter(has_text="healthy").first.click()
    expect(tab.headline).to_have_text(re.compile(r"^Healthy: .*\b160 steps"))
    expect(tab.details).to_contain_text("Click a cell")
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.run=healthy"))


def test_a_nan_cell_has_the_reserved_color(served: str, open_tab: OpenTab) -> None:
    tab = open_tab(served, run="nan_feature", height=1000)
    expect(tab.details).to_contain_text("input · step 37")
    bias = tab.label("mlp/dense/bias")
    for step in (37, 120, 239):
        assert tab.reserved("nan") in tab.colors(tab.point(bias, step, 0, 239)), step
    for step in (0, 20):
        assert tab.reserved("nan") not in tab.colors(tab.point(bias, step, 0, 239)), step
    infinite = tab.colors(tab.point(tab.label("mlp/dense/kernel"), 120, 0, 239))
    assert {tab.reserved("nan"), tab.reserved("neg-inf")} <= infinite


def test_tooltip_has_exact_numbers(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", statistic="nonfinite")
    expect(tab.details).to_contain_text("input · step 37")
    tab.hover(tab.point(tab.label("mlp/dense/kernel"), 37, 0, 239))
    tooltip = tab.find(".tooltip")
    expect(tooltip).to_contain_text("gradient · step 37")
    expect(tooltip).to_contain_text("NaN, +Inf, −Inf; 3 NaN/Inf")
    expect(tooltip.locator(".exact dd").nth(0)).to_have_text("1")
    expect(tooltip.locator(".exact dd").nth(3)).to_have_text("128")


def test_cells_are_colored_by_instability_first(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="healthy")
    choices = tab.find("select[name=statistic]")
    expect(choices.locator("option")).to_have_text([each.label for each in STATISTICS])
    expect(choices).to_have_value("instability")
    legend = tab.find(".legend")
    for text in ("1,000x below", "10x below", "usual level", "10x above", "1,000x above"):
        expect(legend).to_contain_text(text)
    kernel = tab.point(tab.label("mlp/dense/kernel"), 80, 0, 159)
    tab.hover(kernel)
    expect(tab.find(".tooltip .known")).to_have_text(re.compile("its usual level of [0-9.]+$"))
    tab.click(kernel)
    expect(tab.find(".departure")).to_have_text(
        re.compile("^L2 norm .* its usual level of [0-9.]+$")
    )
    expect(tab.number("Usual L2 norm")).to_have_text(re.compile("^[0-9.]+$"))


def test_click_shows_the_histogram_and_every_number(served: str, open_tab: OpenTab) -> None:
    tab = open_tab(served, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    tab.click(tab.point(tab.label("mlp/dense/kernel"), 38, 0, 239))
    expect(tab.details).to_contain_text("gradient · step 38")
    expect(tab.details).to_contain_text("layer dense · 8 × 16 float32")
    expect(tab.number("NaN or Inf")).to_have_text("3")
    expect(tab.number("Elements")).to_have_text("128")
    assert tab.find(".histogram rect.positive").count() > 8
    expect(tab.find(".counts")).to_have_text(re.compile(r"NaN1\+Inf1−Inf1$"))


def test_keys_select_and_the_address_remembers(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    spoken = tab.find("[aria-live=polite]")
    expect(spoken).to_contain_text(re.compile("input, step 37: NaN; .*its usual level$"))
    tab.find(".scroller").focus()
    tab.page.keyboard.press("ArrowRight")
    expect(spoken).to_contain_text(re.compile("step 38: .*its usual level$"))
    tab.page.keyboard.press("ArrowDown")
    expect(spoken).to_contain_text("target, step 38")
    tab.page.keyboard.press("End")
    expect(tab.details).to_contain_text("target · step 239")
    tab.page.keyboard.press("Home")
    expect(tab.details).to_contain_text("target · step 0")
    tab.page.keyboard.press("Enter")
    expect(tab.details).to_be_focused()
    tab.page.keyboard.press("Escape")
    expect(tab.find(".scroller")).to_be_focused()
    tab.color_by("zero_share")
    tab.find(".lane button").filter(has_text="Weights").click()
    expect(tab.page).to_have_url(re.compile(r"folds=.*tensor="))
    tab.page.reload()
    expect(tab.details).to_contain_text("target · step 0")
    expect(tab.find("select[name=statistic]")).to_have_value("zero_share")
    expect(tab.find(".lane.closed")).to_contain_text("Weights")
    assert tab.label("mlp/dense/kernel").count() == 1


def test_names_are_text(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="every_hundredth")
    expect(tab.details.locator("h2")).to_contain_text("<img src=x onerror=alert(1)>/")
    expect(tab.details.locator("h2")).to_contain_text("&amp;␊")
    assert tab.find("img").count() == 0


def test_steps_skipped_by_loss_scaling_are_no_trouble(served: str, open_tab: OpenTab) -> None:
    tab = open_tab(served, run="loss_scaling")
    expect(tab.headline).to_have_text(re.compile(r"^Healthy: .*\b96 steps"))
    # Said once, by the finding.
    expect(tab.find(".finding.info .finding-headline")).to_have_count(1)
    expect(tab.headline).not_to_contain_text("skipped")
    expect(tab.find(".legend")).to_contain_text("skipped by loss scaling")
    reserved = {tab.reserved(name) for name in ("nan", "pos-inf", "neg-inf")}
    assert not reserved & tab.colors(tab.point(tab.label("mlp/dense/kernel"), 60, 0, 95))


def test_run_without_a_record_says_how_to_record(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="empty")
    expect(tab.find(".no-data h2")).to_have_text("No NaNWatch data in empty")


@pytest.mark.parametrize("width", [600, 1800])
def test_fits_its_width(gallery_url: str, open_tab: OpenTab, width: int) -> None:
    tab = open_tab(gallery_url, run="nan_feature", width=width)
    expect(tab.details).to_contain_text("input · step 37")
    overflow = "body => document.documentElement.scrollWidth - window.innerWidth"
    assert tab.find("body").evaluate(overflow) <= 0
    assert tab.is_badge(tab.point(tab.label("input"), 37, 0, 239))
