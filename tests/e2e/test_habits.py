"""What a page is expected to do: links, files, a screen reader's words, narrow windows, curves."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from e2e.tab import Tab
from playwright.sync_api import expect

Visit = Callable[..., Tab]
OpenTab = Callable[..., Tab]

AXE = Path(__file__).resolve().parents[2] / "frontend/node_modules/axe-core/axe.min.js"


def violations(tab: Tab) -> list[str]:
    """What axe finds wrong within our frame."""
    (frame,) = (frame for frame in tab.page.frames if frame != tab.page.main_frame)
    frame.evaluate(AXE.read_text())
    found = frame.evaluate("axe.run()")["violations"]
    return [f"{each['id']}: {[node['target'] for node in each['nodes']]}" for each in found]


def test_a_link_leads_to_the_same_view(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", steps="30..49", order="largest")
    expect(tab.details).to_contain_text("input · step 37")
    tab.menu("Share").get_by_text("Copy link").click()
    expect(tab.find("text=Link copied")).to_be_visible()
    address = unquote(tab.page.evaluate("navigator.clipboard.readText()"))
    assert address.startswith(gallery_url)
    for part in ("run=nan_feature", "steps=30..49", "order=largest", "step=37"):
        assert f"p.nanwatch.{part}" in address


def test_the_visible_heatmap_is_saved_as_png(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    with tab.page.expect_download() as download:
        tab.menu("Share").get_by_text("Save PNG").click()
    assert download.value.suggested_filename == "nan_feature.png"
    data = Path(download.value.path()).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    stage, legend = (tab.find(each).bounding_box() for each in (".stage", ".legend"))
    row = tab.find(".labels .tensor-label").last.bounding_box()
    assert stage is not None
    assert legend is not None
    assert row is not None
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert stage["width"] <= width <= legend["width"] + 25
    # Three lines above, all rows, and the legend.
    rows = row["y"] + row["height"] - stage["y"]
    assert abs(height - (26 + 2 * 18 + rows + legend["height"] + 24)) < 8


def test_the_image_has_the_rows_that_are_scrolled_out_of_sight(
    gallery_url: str, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(gallery_url, run="nan_feature", height=520)
    expect(tab.details).to_contain_text("input · step 37")
    with tab.page.expect_download() as download:
        tab.menu("Share").get_by_text("Save SVG").click()
    root = ElementTree.parse(download.value.path()).getroot()
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert tab.find(".labels .tensor-label").count() < 17
    assert len([text for text in texts if text.endswith(("kernel", "bias"))]) == 16
    assert any(text.startswith("Fix: ") for text in texts)
    assert {"NaN", "+Inf", "−Inf", "not recorded", "1,000x above"} <= set(texts)


def test_the_visible_heatmap_is_saved_as_svg(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", **{"with": "healthy"})
    expect(tab.details).to_contain_text("input · step 37")
    expect(tab.find(".pane-header")).to_have_count(2)
    with tab.page.expect_download() as download:
        tab.menu("Share").get_by_text("Save SVG").click()
    assert download.value.suggested_filename == "nan_feature.svg"
    root = ElementTree.parse(download.value.path()).getroot()
    space = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in root.iter(f"{space}text")]
    assert (texts[0] or "").startswith("NaN in the input data at step 37")
    assert texts.count("input") == 4  # The row and the pinned origin of two runs.
    assert {"nan_feature", "healthy"} <= set(texts)
    images = [element.attrib for element in root.iter(f"{space}image")]
    # The axis, two curves, origins and cells of two runs; the legend.
    assert len(images) == 7 + 6
    assert all(image["href"].startswith("data:image/png;base64,") for image in images)


def test_the_selection_is_saved_as_numbers(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.details).to_contain_text("input · step 37")
    with tab.page.expect_download() as download:
        tab.menu("Share").get_by_text("Save CSV").click()
    assert download.value.suggested_filename == "nan_feature-input-input.csv"
    with open(download.value.path(), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["first_step"] for row in rows] == [str(step) for step in range(240)]
    assert [int(row["first_step"]) for row in rows if row["nan"] == "1"] == [37]
    assert float(rows[37]["nonfinite"]) == 1


def test_curves_stand_above_and_tell_the_value_of_the_step(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.find(".curve-name")).to_have_text(["Loss", "Gradient norm"])
    expect(tab.find(".curve-value").nth(1)).to_have_text("NaN/Inf")
    tab.press("Home")
    expect(tab.details).to_contain_text("input · step 0")
    norm = float(tab.find(".curve-value").nth(1).text_content() or "")
    total = 0.0
    for row in range(3, 3 + 8):
        tab.press("ArrowDown", *(["ArrowDown"] * 2 if row == 3 else []))
        expect(tab.find(".tensor-label.selected")).to_have_count(1)
        title = tab.find(".tensor-label.selected").get_attribute("title") or ""
        expect(tab.details.locator("h2")).to_have_text(title.split("\n")[0])
        expect(tab.find(".details .where")).to_have_text(re.compile("^gradient · step 0$"))
        expect(tab.find(".numbers[aria-busy=false]")).to_be_visible()
        total += float(tab.number("Largest L2 norm").text_content() or "") ** 2
    assert norm == pytest.approx(total**0.5, rel=2e-3)
    # Another statistic asks for norms of its own.
    tab.color_by("zero_share")
    expect(tab.find(".curve-value").nth(1)).to_have_text(re.compile(r"^[\d.]+$"))
    tab.menu("Rows").get_by_text("Loss and gradient curves").click()
    expect(tab.find(".curve")).to_have_count(0)
    expect(tab.page).to_have_url(re.compile("curves=off"))


def test_a_table_lists_the_tensors_with_nan(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    rows = tab.find("table.unseen tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.first).to_have_text("37inputinput1")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [683, 1366])
def test_axe_finds_nothing(gallery_url: str, open_tab: OpenTab, dark: bool, width: int) -> None:
    """Also at a zoom of 200 %, where a page of 1,366 pixels has 683."""
    tab = open_tab(gallery_url, run="nan_feature", range="20..60", width=width, dark=dark)
    expect(tab.details).to_contain_text("input · step 37")
    expect(tab.find(".explained")).to_be_visible()
    assert violations(tab) == []
    tab.show("tensor")
    expect(tab.find(".over-time canvas").first).to_be_visible()
    expect(tab.find(".range-statistics dl")).to_contain_text("of 56 steps")
    assert violations(tab) == []
    tab.show("layers")
    expect(tab.find(".layer-table tbody tr")).to_have_count(4)
    assert violations(tab) == []
    tab.press("?")
    expect(tab.find("dialog.help")).to_be_visible()
    assert violations(tab) == []
    tab.page.keyboard.press("Escape")
    tab.press("Control+k")
    expect(tab.find(".command-palette")).to_be_visible()
    assert violations(tab) == []
    tab.page.keyboard.press("Escape")
    tab.find(".run-item").filter(has_text="healthy").first.click()
    expect(tab.headline).to_have_text(re.compile("^Healthy"))
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    assert violations(tab) == []
