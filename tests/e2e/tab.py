"""The NaNWatch tab as a test sees it: a frame within TensorBoard's page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from playwright.sync_api import FloatRect, FrameLocator, Locator, Page

GUTTER, MARGIN, WIDEST_STEP = 5, 12, 28
"""Pixels of the heatmap's canvas left and right of its cells, and of the widest step."""

_PIXEL = """(canvas, [x, y]) => {
  const density = canvas.width / canvas.clientWidth;
  const context = canvas.getContext('2d');
  const [red, green, blue] = context.getImageData(x * density, y * density, 1, 1).data;
  return '#' + [red, green, blue].map((one) => one.toString(16).padStart(2, '0')).join('');
}"""


class Point(NamedTuple):
    """A place in the heatmap, in pixels of the canvas."""

    x: float
    y: float


class Tab:
    """Opened by the fixture `open_tab`. `complaints` are the page's errors so far."""

    def __init__(self, page: Page, complaints: list[str]):
        self.page = page
        self.complaints = complaints

    @property
    def frame(self) -> FrameLocator:
        return self.page.frame_locator("iframe")

    def open(self, url: str, state: Mapping[str, str]) -> Tab:
        parts = [f"p.nanwatch.{key}={quote(value, safe='')}" for key, value in state.items()]
        self.page.goto("#".join([url, "&".join(["nanwatch", *parts])]))
        return self

    def find(self, selector: str) -> Locator:
        return self.frame.locator(selector)

    @property
    def headline(self) -> Locator:
        return self.find("h1")

    @property
    def details(self) -> Locator:
        return self.find(".details")

    def color_by(self, statistic: str) -> None:
        """Chooses what the cells show."""
        self.find("select[name=statistic]").select_option(statistic)

    def show(self, panel: str) -> None:
        """Opens a tab of the panel: `why`, `tensor` or `layers`."""
        self.find(f"#tab-{panel}").click()

    def menu(self, label: str) -> Locator:
        """The items of a menu of the toolbar, opened."""
        menu = self.find(".menu").filter(has=self.frame.locator("summary", has_text=label))
        if menu.get_attribute("open") is None:
            menu.locator("summary").click()
        return menu.locator(".menu-items")

    def label(self, title: str) -> Locator:
        """The label of the first row whose tooltip begins with `title`."""
        return self.find(f'.labels .tensor-label[title^="{title}"]').first

    def point(self, row: Locator, step: int, first: int, last: int) -> Point:
        """The middle of a row's cell at a step of a run that goes from `first` to `last`."""
        canvas, label = self.places(self.find("canvas.cells"), row)
        steps = last - first + 1
        pixels = min((canvas["width"] - GUTTER - MARGIN) / steps, WIDEST_STEP)
        middle = label["y"] + label["height"] / 2 - canvas["y"]
        return Point(GUTTER + (step - first + 0.5) * pixels, middle)

    def places(self, *elements: Locator) -> list[FloatRect]:
        """Where elements are, once the page has come to rest."""
        # Until its cells are drawn a canvas has no size of its own.
        self.find('canvas.cells[style*="width"]').wait_for()
        before: list[FloatRect | None] = []
        for _ in range(50):
            boxes = [each.bounding_box() for each in elements]
            found = [box for box in boxes if box is not None]
            if boxes == before and len(found) == len(boxes):
                return found
            before = boxes
            self.page.wait_for_timeout(50)
        raise AssertionError("The page never came to rest.")

    def until(self, holds: Callable[[], bool]) -> None:
        """Lets the page go on until something holds; 10 seconds at most."""
        for _ in range(100):
            if holds():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError("It never came to hold.")

    def colors(self, point: Point) -> set[str]:
        """The colors about a point, texture and all."""
        canvas = self.find("canvas.cells")
        return {
            canvas.evaluate(_PIXEL, [point.x, point.y + offset])
            for offset in (-7, -6, -5, 4, 5, 6, 7)
        }

    def is_badge(self, point: Point) -> bool:
        """Whether the badge of a first NaN is at a point, or just right of it."""
        badge = self.reserved("nan-badge")
        places = (Point(point.x + right, point.y) for right in (0, 3, 6, 9))
        return any(badge in self.colors(place) for place in places)

    def reserved(self, name: str) -> str:
        """The color reserved for `nan`, `pos-inf` or `neg-inf`; `nan-badge`: of a first NaN."""
        script = f"element => getComputedStyle(element).getPropertyValue('--{name}')"
        return str(self.find("body").evaluate(script)).strip()

    @property
    def view(self) -> tuple[int, int] | None:
        """First and last visible step, where the run is zoomed."""
        text = (
            self.find(".visible-range span").text_content()
            if self.find(".visible-range").count()
            else None
        )
        if text is None:
            return None
        first, last = text.replace(",", "").split("–")
        return int(first), int(last)

    def press(self, *keys: str) -> None:
        """Presses keys, one after another, with the heatmap in focus."""
        self.find(".scroller").focus()
        for key in keys:
            self.page.keyboard.press(key)

    def drag(self, selector: str, start: Point, end: Point) -> None:
        """Drags within an element."""
        box = self.find(selector).bounding_box()
        assert box is not None
        mouse = self.page.mouse
        mouse.move(box["x"] + start.x, box["y"] + start.y)
        mouse.down()
        mouse.move(box["x"] + (start.x + end.x) / 2, box["y"] + (start.y + end.y) / 2)
        mouse.move(box["x"] + end.x, box["y"] + end.y)
        mouse.up()

    def hover(self, point: Point) -> None:
        self.find("canvas.cells").hover(position={"x": point.x, "y": point.y})

    def click(self, point: Point) -> None:
        self.find("canvas.cells").click(position={"x": point.x, "y": point.y})

    def number(self, label: str) -> Locator:
        """The value of one number in the details."""
        name = self.page.locator("dt").get_by_text(label, exact=True)
        return self.find(".cell-number").filter(has=name).locator("dd").first

    def reload_data(self) -> None:
        """Presses TensorBoard's own button."""
        self.page.locator("app-header-reload button").click()
