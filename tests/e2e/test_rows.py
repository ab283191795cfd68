"""The rows: folded, filtered, ordered, pinned, and thousands of them."""

from __future__ import annotations

import re
from collections.abc import Callable

from e2e.tab import Tab
from playwright.sync_api import expect

Visit = Callable[..., Tab]


def rows(tab: Tab) -> list[str]:
    """The names of the rows, from top to bottom."""
    labels = tab.find(".tensor-label")
    boxes = [(label.bounding_box(), label.get_attribute("title")) for label in labels.all()]
    placed = sorted((box["y"], title) for box, title in boxes if box and title)
    return [title.split("\n")[0] for _, title in placed]


def test_a_filter_leaves_what_matches(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.find(".tensor-label")).to_have_count(19)
    tab.press("/")
    filter_ = tab.find("#rows-filter")
    expect(filter_).to_be_focused()
    filter_.fill("gradient KERNEL")
    expect(tab.find(".tensor-label")).to_have_count(4)
    expect(tab.find(".shown")).to_have_text("4 of 19 tensors")
    filter_.fill("/dense_[12]/")
    expect(tab.find(".tensor-label")).to_have_count(8)
    filter_.fill("/(/")
    expect(tab.find(".shown")).to_have_text("Invalid regular expression: /(/")
    expect(tab.find(".tensor-label")).to_have_count(19)
    filter_.fill("nothing like it")
    tab.find("text=Show all").click()
    expect(tab.find(".tensor-label")).to_have_count(19)
    expect(filter_).to_have_value("")


def test_only_trouble_and_its_order(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    tab.find(".rows-bar label").filter(has_text="Only affected").click()
    expect(tab.find(".tensor-label")).to_have_count(5)
    tab.menu("Rows").locator("select").first.select_option("largest")
    tab.find("select[aria-label=Roles]").select_option("weight")
    expect(tab.find(".tensor-label")).to_have_count(2)
    expect(tab.page).to_have_url(re.compile("role=weight.*order=largest.*only=affected"))
    tab.page.reload()
    expect(tab.find(".tensor-label")).to_have_count(2)


def test_a_click_on_a_name_selects_the_tensor(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    kernel = tab.find('.tensor-label[title^="mlp/dense_1/kernel"]').last
    tab.click(tab.point(kernel, 120, 0, 239))
    expect(tab.find(".details .where")).to_have_text("weight · step 120")
    tab.label("mlp/logits/bias").locator(".row-name").click()
    expect(tab.details.locator("h2")).to_have_text("mlp/logits/bias")
    expect(tab.find(".details .where")).to_have_text("gradient · step 120")
    # The keys go on from there.
    tab.page.keyboard.press("ArrowLeft")
    expect(tab.find(".details .where")).to_have_text("gradient · step 119")
    tab.label("mlp/dense/kernel").locator(".first").click()
    expect(tab.details.locator("h2")).to_have_text("mlp/dense/kernel")
    expect(tab.find(".details .where")).to_have_text("gradient · step 37")


def test_a_pinned_row_stands_on_top_and_survives_a_reload(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    bias = tab.label("mlp/logits/bias")
    bias.hover()
    bias.locator(".pin").click()
    expect(tab.find(".lane").first).to_contain_text("Pinned")
    assert rows(tab)[0] == "mlp/logits/bias"
    expect(tab.page).to_have_url(re.compile("pinned="))
    tab.page.reload()
    expect(tab.find(".lane").first).to_contain_text("Pinned")
    tab.find("#rows-filter").fill("target")
    expect(tab.find(".tensor-label")).to_have_count(2)
    tab.press("Home", "p")
    expect(tab.find(".lane")).to_have_count(0)
    expect(tab.find(".tensor-label.whole-lane")).to_have_text("target")


def test_a_tree_folds_and_a_folded_group_shows_its_worst(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", layout="tree")
    expect(tab.details).to_contain_text("input · step 37")
    dense = tab.find('.group button[title="mlp/dense"]').first
    expect(dense).to_contain_text("2 of 2")
    expect(tab.find(".tensor-label")).to_have_count(19)
    dense.click()
    expect(tab.find(".tensor-label")).to_have_count(17)
    expect(dense.locator(".first-bad")).to_have_text("kernel")
    colors = tab.colors(tab.point(dense, 120, 0, 239))
    assert {tab.reserved("nan"), tab.reserved("neg-inf")} & colors
    expect(tab.page).to_have_url(re.compile("folds="))
    tab.page.reload()
    expect(tab.find(".tensor-label")).to_have_count(17)
    # A finding's place is unfolded.
    tab.find(".affected summary").click()
    tab.find(".affected li button").filter(has_text="mlp/dense/kernel").first.click()
    expect(tab.find(".tensor-label")).to_have_count(19)


def test_five_thousand_rows_are_no_burden(outsize_url: str, visit: Visit) -> None:
    tab = visit(outsize_url, run="wide")
    expect(tab.details.locator("h2")).to_have_text("encoder/block_270/part_1/kernel")
    expect(tab.find(".tensor-label.selected")).to_be_visible()
    assert tab.find(".tensor-label, .group").count() < 80
    tab.menu("Rows").get_by_text("Group by path").click()
    scroller = tab.find(".scroller")
    scroller.evaluate("element => { element.scrollTop = element.scrollHeight; }")
    expect(tab.label("encoder/block_312/part_7/kernel")).to_be_visible()
    assert tab.find(".tensor-label, .group").count() < 80


def test_a_key_folds_and_opens_the_group_of_the_selected_row(
    gallery_url: str, visit: Visit
) -> None:
    tab = visit(gallery_url, run="nan_feature", layout="tree")
    expect(tab.details).to_contain_text("input · step 37")
    tab.click(tab.point(tab.find('.tensor-label[title^="mlp/dense/kernel"]').first, 37, 0, 239))
    expect(tab.find(".details .where")).to_have_text("gradient · step 37")
    opened = tab.find(".group.open").count()
    tab.press("o")
    expect(tab.find(".group.open")).to_have_count(opened - 1)
    expect(tab.details.locator("h2")).to_have_text("mlp/dense/kernel")
    tab.press("o")
    expect(tab.find(".group.open")).to_have_count(opened)
