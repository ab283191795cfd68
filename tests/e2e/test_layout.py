"""The page as a newcomer meets it: the heatmap's share of it, the origin, the panel, the runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from e2e.tab import Tab
from e2e.test_compare import shoot
from playwright.sync_api import Locator, Route, expect

OpenTab = Callable[..., Tab]
Visit = Callable[..., Tab]

_ROW = """(canvas, y) => {
  const density = canvas.width / canvas.clientWidth;
  const context = canvas.getContext('2d');
  const { data } = context.getImageData(0, Math.round(y * density), canvas.width, 1);
  return Array.from({length: canvas.width}, (_, x) => '#' + [0, 1, 2]
    .map((part) => data[4 * x + part].toString(16).padStart(2, '0')).join(''));
}"""


def box(element: Locator) -> Any:
    found = element.bounding_box()
    assert found is not None
    return found


@pytest.mark.parametrize("run", ["nan_feature", "healthy"])
def test_the_heatmap_has_the_page(gallery_url: str, open_tab: OpenTab, run: str) -> None:
    tab = open_tab(gallery_url, run=run, width=1366, height=768)
    tab.places(tab.find("canvas.cells"))
    page = box(tab.page.locator("iframe"))
    assert box(tab.find(".scroller"))["height"] >= 0.6 * page["height"]
    assert box(tab.find(".plot"))["height"] >= 0.5 * page["height"]
    assert box(tab.find(".toolbar"))["height"] <= 45, "One row."
    assert box(tab.find(".verdict"))["height"] <= 70, "Two lines."
    shoot(tab, f"layout-{run}")


def test_the_verdict_is_read_at_once(gallery_url: str, open_tab: OpenTab) -> None:
    tab = open_tab(gallery_url, run="nan_feature", width=1366, height=768)
    expect(tab.headline).to_have_text("NaN in the input data at step 37")
    expect(tab.find(".fix-line")).to_contain_text("np.isfinite(np.asarray(x))")
    expect(tab.find("[role=tab]")).to_have_text(["Why and fix", "Tensor", "Layers"])
    expect(tab.find("#tab-why")).to_have_attribute("aria-selected", "true")
    expect(tab.find(".prose").first).to_be_visible()
    tab.press("ArrowRight")
    expect(tab.find("#tab-tensor")).to_have_attribute("aria-selected", "true")
    tab.find("#tab-tensor").focus()
    tab.page.keyboard.press("ArrowRight")
    expect(tab.find("#tab-layers")).to_be_focused()
    expect(tab.find(".layer-table tbody tr")).to_have_count(4)
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.tab=layers"))


def test_the_origin_is_pinned_and_wide_at_any_zoom(outsize_url: str, visit: Visit) -> None:
    tab = visit(outsize_url, run="long")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    expect(tab.find(".origin-name")).to_contain_text("dense/kernel")
    expect(tab.find(".origin-step")).to_contain_text("50,048")
    alarm = str(
        tab.find("body").evaluate("body => getComputedStyle(body).getPropertyValue('--alarm')")
    ).strip()
    badge = str(
        tab.find("body").evaluate("body => getComputedStyle(body).getPropertyValue('--nan-badge')")
    ).strip()

    def widths() -> list[int]:
        """Of what is drawn of the origin, in its pinned row and in its own."""
        found = []
        canvas, label = tab.places(tab.find("canvas.cells"), tab.label("net/dense/kernel"))
        middle = label["y"] + label["height"] / 2 - canvas["y"]
        for each, y in (
            (tab.find("canvas.origin-cells"), 14.0),
            (tab.find("canvas.cells"), middle),
        ):
            at = [
                x for x, color in enumerate(each.evaluate(_ROW, y - 3)) if color in (alarm, badge)
            ]
            found.append(max(at) - min(at) + 1 if at else 0)
        return found

    assert all(width >= 10 for width in widths()), "In a run of 100,000 steps."
    tab.press("Escape")
    assert all(width >= 10 for width in widths()), "Not selected."
    tab.find(".jump").click()
    expect(tab.find(".visible-range span")).to_have_text("50,016–50,080")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    tab.until(lambda: all(width >= 10 for width in widths()))


def test_the_front_of_the_cascade_is_seen(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    badge = str(
        tab.find("body").evaluate("body => getComputedStyle(body).getPropertyValue('--nan-badge')")
    ).strip()
    first = tab.point(tab.label("mlp/dense/bias"), 37, 0, 239)
    later = tab.point(tab.label("mlp/dense/bias"), 120, 0, 239)
    row = tab.find("canvas.cells").evaluate(_ROW, first.y)
    near = {row[round(first.x) + offset] for offset in range(0, 10)}
    assert badge in near
    plain = {row[round(later.x) + offset] for offset in range(-20, 20)}
    assert plain == {tab.reserved("nan"), "#9a9aa6"}, "Stripes that print keeps."


def test_jump_lands_on_the_origin_from_anywhere(gallery_url: str, open_tab: OpenTab) -> None:
    tab = open_tab(gallery_url, run="nan_feature", height=560, **{"with": "healthy"})
    expect(tab.find(".origin-row")).to_have_count(2)
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    tab.find("#rows-filter").fill("weight")
    tab.find(".lane button").first.click()
    tab.find(".jump").click()
    expect(tab.find("#rows-filter")).to_have_value("")
    expect(tab.find(".labels .tensor-label.selected").first).to_have_text(re.compile("^input"))
    scroller = tab.find(".scroller")
    scroller.evaluate("element => { element.scrollTop = 400; }")
    expect(tab.find(".origin-row").first).to_be_visible()
    expect(tab.label("input")).to_have_count(0)
    # The same place again, which is selected already.
    tab.find(".origin-row button").nth(1).click()
    expect(tab.label("input")).to_be_visible()
    expect(tab.details).to_contain_text("input · step 37")


def test_the_header_of_a_lane_stays_on_top(gallery_url: str, open_tab: OpenTab) -> None:
    tab = open_tab(gallery_url, run="nan_feature", height=560)
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    expect(tab.find(".lane.sticky")).to_have_count(0)
    tab.find(".scroller").evaluate("element => { element.scrollTop = 120; }")
    sticky = tab.find(".lane.sticky")
    expect(sticky).to_contain_text("Gradients")
    assert box(sticky)["y"] == pytest.approx(box(tab.find(".plot"))["y"], abs=1)


def test_a_window_tells_the_exact_first_step(outsize_url: str, visit: Visit) -> None:
    tab = visit(outsize_url, run="long", tab="tensor")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    tab.hover(tab.point(tab.label("net/dense/kernel"), 50_050, 0, 99_999))
    expect(tab.find(".tooltip")).to_contain_text("First NaN or Inf at step 50,048")
    trouble = tab.find(".cell-trouble")
    expect(trouble).to_contain_text("1 NaN of")
    expect(trouble).to_contain_text("First at step 50,048, in the record of steps ")
    tab.press("Home")
    expect(trouble).to_have_text("First NaN or Inf at step 50,048")
    trouble.locator("button").click()
    expect(trouble).to_contain_text("First at step 50,048")


def test_layers_are_sorted_and_filter_the_heatmap(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", tab="layers")
    lines = tab.find(".layer-table tbody tr")
    expect(lines).to_have_count(4)
    names = tab.find(".layer-table tbody .link")
    expect(names).to_have_text(["dense", "dense_1", "dense_2", "logits"])
    expect(lines.first.locator("td").last).to_have_text("37")
    tab.find(".layer-table thead button").filter(has_text="Params").click()
    expect(tab.find(".layer-table th[aria-sort=descending]")).to_have_text(re.compile("Params"))
    sizes = [
        int((cell.text_content() or "").replace(",", ""))
        for cell in tab.find(".layer-table tbody td:nth-child(2)").all()
    ]
    assert sizes == sorted(sizes, reverse=True)
    names.get_by_text("dense", exact=True).click()
    expect(tab.find(".labels .tensor-label")).to_have_count(4)
    expect(tab.find(".chip")).to_contain_text("layer dense")
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.layer=dense"))
    tab.find(".chip").click()
    expect(tab.find(".labels .tensor-label")).to_have_count(19)


@pytest.mark.parametrize(
    ("statistic", "words", "cell"),
    [
        ("headroom", ["ample room", "overflows"], "could grow [0-9^,x]+ before it overflows"),
        ("update_ratio", ["a thousandth", "equal norms"], "update / weight ratio [0-9.e-]+"),
    ],
)
def test_colors_come_with_words(
    gallery_url: str, visit: Visit, statistic: str, words: list[str], cell: str
) -> None:
    tab = visit(gallery_url, run="healthy", **{"with": "nan_feature"})
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    tab.color_by(statistic)
    for word in words:
        expect(tab.find(".legend")).to_contain_text(word)
    for steps in (None, "40..60"):
        first, last = (0, 239) if steps is None else (40, 60)
        if steps:
            tab = visit(gallery_url, run="healthy", statistic=statistic, steps=steps)
            expect(tab.find(".visible-range span")).to_have_text("40–60")
            expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
        tab.hover(tab.point(tab.label("mlp/dense/kernel"), 50, first, last))
        expect(tab.find(".tooltip .known").first).to_have_text(re.compile(cell))


def test_runs_are_searched_sorted_and_gone_through_by_keys(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="healthy")
    expect(tab.find(".run-item.pending")).to_have_count(0)
    expect(tab.find(".run-counts")).to_have_text("4 NaN · 3 healthy · 1 empty")
    assert tab.find(".run-item[tabindex='0']").count() == 1
    tab.find(".run-item[tabindex='0']").focus()
    tab.page.keyboard.press("Home")
    expect(tab.find(".run-item").first).to_be_focused()
    tab.page.keyboard.press("ArrowDown")
    expect(tab.find(".run-item").nth(1)).to_be_focused()
    tab.page.keyboard.press("Enter")
    expect(tab.find(".run-item[aria-current=true]")).to_contain_text("workers")
    tab.find("#runs-filter").fill("input nan")
    expect(tab.find(".run-name")).to_have_text(["nan_feature"])
    tab.find("#runs-filter").fill("no such run")
    expect(tab.find(".no-run")).to_be_visible()


def test_a_thousand_runs_are_listed_as_they_are_scrolled_to(gallery_url: str, visit: Visit) -> None:
    def many(route: Route) -> None:
        answer = route.fetch().json()
        (run,) = (run for run in answer["runs"] if run["run"] == "healthy")
        others = [run | {"run": f"sweep/seed_{index}"} for index in range(1000)]
        route.fulfill(json={"runs": [run, *others]})

    visit(gallery_url, run="healthy").page.route("**/nanwatch/runs", many)
    tab = visit(gallery_url, run="healthy")
    items = tab.find(".run-item")
    expect(items.nth(20)).to_be_visible()
    assert items.count() < 100
    tab.find(".runs ul").evaluate("list => { list.scrollTop = list.scrollHeight; }")
    tab.until(lambda: 100 < items.count() < 200)
    tab.find("#runs-filter").fill("seed_99")
    expect(items).to_have_count(11)
    tab.find("#runs-filter").fill("")
    items.first.focus()
    tab.page.keyboard.press("End")
    expect(items.last).to_be_focused()
    expect(items.last).to_contain_text("seed_999")


def test_a_search_of_runs_and_their_order_survive_a_reload(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="healthy")
    tab.find("#runs-filter").fill("healthy")
    tab.find("select[aria-label='Order of the runs']").select_option("time")
    expect(tab.page).to_have_url(re.compile(r"search=healthy.*sort=time"))
    tab.page.reload()
    expect(tab.find("#runs-filter")).to_have_value("healthy")
    expect(tab.find("select[aria-label='Order of the runs']")).to_have_value("time")
    expect(tab.find(".run-item")).to_have_count(3)


def test_the_list_of_runs_is_resized_by_keys_and_by_mouse(
    gallery_url: str, open_tab: OpenTab
) -> None:
    tab = open_tab(gallery_url, run="healthy", width=1366)
    edge = tab.find("[role=separator]")
    expect(edge).to_have_attribute("aria-valuenow", "212")
    edge.focus()
    tab.page.keyboard.press("ArrowRight")
    expect(edge).to_have_attribute("aria-valuenow", "228")
    assert box(tab.find("nav.runs"))["width"] == pytest.approx(228, abs=1)
    tab.page.keyboard.press("Home")
    expect(edge).to_have_attribute("aria-valuenow", "140")
    place, frame = box(edge), box(tab.page.locator("iframe"))
    tab.page.mouse.move(place["x"] + 3, place["y"] + 200)
    tab.page.mouse.down()
    tab.page.mouse.move(frame["x"] + 333, place["y"] + 210)
    tab.page.mouse.up()
    expect(edge).to_have_attribute("aria-valuenow", "333")
    tab.page.mouse.move(frame["x"] + 500, place["y"] + 210)
    tab.page.reload()
    expect(edge).to_have_attribute("aria-valuenow", "333")
    edge.dblclick(position={"x": 2, "y": 300})
    expect(edge).to_have_attribute("aria-valuenow", "212")


def test_the_hint_of_the_first_visit_goes_for_good(gallery_url: str, open_tab: OpenTab) -> None:
    tab = open_tab(gallery_url, run="healthy")
    hint = tab.find(".hint")
    expect(hint).to_contain_text("A row is a tensor, a column is time")
    hint.locator("button").click()
    expect(hint).to_have_count(0)
    tab.page.reload()
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    expect(hint).to_have_count(0)


def test_back_undoes_a_change_of_run(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature", steps="30..49")
    expect(tab.find(".visible-range span")).to_have_text("30–49")
    tab.find(".run-item").filter(has_text="healthy").first.click()
    expect(tab.headline).to_have_text(re.compile("^Healthy"))
    expect(tab.page).to_have_url(re.compile(r"p\.nanwatch\.run=healthy"))
    tab.page.go_back()
    expect(tab.headline).to_have_text(re.compile("^NaN in the input data"))
    expect(tab.find(".visible-range span")).to_have_text("30–49")
    tab.page.go_forward()
    expect(tab.headline).to_have_text(re.compile("^Healthy"))


def test_an_open_run_is_never_replaced(gallery_url: str, visit: Visit) -> None:
    asked: list[str] = []

    def late(route: Route) -> None:
        asked.append(route.request.url)
        answer = route.fetch().json()
        for run in answer["runs"]:
            if run["run"] != "healthy" and len(asked) < 6:
                run |= {"status": "pending", "headline": "", "finding": None}
                run |= {"nonfinite_tensors": 0}
        route.fulfill(json=answer)

    visit(gallery_url, run="healthy").page.route("**/nanwatch/runs", late)
    tab = visit(gallery_url)
    current = tab.find(".run-item[aria-current=true] .run-name")
    expect(current).to_be_visible()
    opened = current.text_content()
    expect(tab.find(".run-item.pending")).to_have_count(0, timeout=60_000)
    assert len(asked) >= 6
    expect(current).to_have_text(opened or "")


def test_the_palette_finds_runs_tensors_and_actions(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.find(".heatmap[aria-busy=false]")).to_be_visible()
    tab.press("Control+k")
    palette = tab.find(".command-palette")
    expect(palette.locator("input")).to_be_focused()
    expect(palette.locator("[role=option]").first).to_contain_text("NaN in the input data")
    shoot(tab, "palette")
    palette.locator("input").fill("logits bias weight")
    expect(palette.locator("[role=option]")).to_have_text(["Tensorweight mlp/logits/bias"])
    tab.page.keyboard.press("Enter")
    expect(palette).to_be_hidden()
    expect(tab.details.locator("h2")).to_have_text("mlp/logits/bias")
    tab.find(".palette-button").click()
    palette.locator("input").fill("color headroom")
    tab.page.keyboard.press("Enter")
    expect(tab.find("select[name=statistic]")).to_have_value("headroom")
    tab.press("Control+k")
    palette.locator("input").fill("loss_scaling")
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("ArrowUp")
    tab.page.keyboard.press("Enter")
    expect(tab.headline).to_have_text(re.compile("^Healthy: .*96 steps"))


def test_a_finding_is_copied_as_an_issue(gallery_url: str, visit: Visit) -> None:
    tab = visit(gallery_url, run="nan_feature")
    expect(tab.headline).to_have_text(re.compile("^NaN"))
    tab.menu("Share").get_by_text("Copy as issue").click()
    expect(tab.find("text=Issue copied")).to_be_visible()
    text = tab.page.evaluate("navigator.clipboard.readText()")
    assert text.startswith("## NaN in the input data at step 37\n")
    assert "```python\n" in text
    assert "Run `nan_feature`, steps 0 to 239" in text


def test_minus_inf_is_never_broken(gallery_url: str, visit: Visit) -> None:
    def long(route: Route) -> None:
        answer = route.fetch().json()
        answer["findings"][0]["message"] = "It is -Inf here. " * 60
        route.fulfill(json=answer)

    visit(gallery_url, run="healthy").page.route("**/findings?run=nan_feature*", long)
    tab = visit(gallery_url, run="nan_feature")
    marks = tab.find(".prose .nowrap")
    expect(marks).to_have_count(60)
    lines = marks.evaluate_all("all => all.map((each) => each.getClientRects().length)")
    assert set(lines) == {1}
