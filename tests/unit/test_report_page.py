"""The pictures of the report's page, read back by others: Pillow, and an XML parser."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from tb_nanwatch.cli.html_report.findings import card, prose
from tb_nanwatch.cli.html_report.heatmap import Cells, heatmap, ticks
from tb_nanwatch.cli.html_report.histograms import Snapshot, histograms
from tb_nanwatch.cli.html_report.markup import name, text
from tb_nanwatch.cli.html_report.operation import operation_html
from tb_nanwatch.cli.html_report.palette import inks
from tb_nanwatch.cli.html_report.png import png
from tb_nanwatch.cli.html_report.rows import MOST_ROWS, Row, pooled, rows
from tb_nanwatch.diagnosis import Affected, Finding, Place
from tb_nanwatch.format.rerun import Element, Operand, Operation, Rerun, SourceLine
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.grid.cells import NAN, POS_INF, RECORDED, SCALE_SKIPPED

HOSTILE = '<img src=x onerror=alert(1)>/"\x1b[31m\u202e&amp;\n'


def parsed(markup: str) -> ElementTree.Element:
    """The markup as XML, which every one of our fragments is."""
    return ElementTree.fromstring(markup)


def picture(svg: ElementTree.Element) -> np.ndarray:
    """The pixels, RGBA, of the image in a heatmap."""
    (image,) = svg.iter("image")
    kind, data = image.attrib["href"].split(",")
    assert kind == "data:image/png;base64"
    return np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


def test_a_png_is_what_others_read() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (13, 31)).astype(np.uint8)
    read = np.array(Image.open(io.BytesIO(png(pixels, inks()))).convert("RGBA"))
    assert np.array_equal(read, np.array(inks(), np.uint8)[pixels])


def test_the_palette_rises_evenly_in_lightness() -> None:
    colors = np.array(inks()[2:], float)[:, :3] / 255
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(luminance) - 16
    steps = np.diff(lightness)
    assert len(colors) == 254
    assert steps.min() >= 0  # Of 254 colors a few are the same in 8 bits.
    assert steps.max() < 3 * steps.mean()


def cells(
    value: Sequence[Sequence[float]],
    flags: Sequence[Sequence[int]],
    labels: Sequence[tuple[str, str]],
    origin: int = -1,
    steps: Sequence[int] = (),
) -> Cells:
    columns = len(value[0])
    return Cells(
        [Row(role, label, (n,)) for n, (role, label) in enumerate(labels)],
        np.arange(columns + 1),
        np.array(value, np.float32),
        np.array(flags, np.uint8),
        frozenset({origin} - {-1}),
        steps,
    )


def test_cells_have_the_colors_of_their_magnitudes() -> None:
    nothing, low, high, zero = np.nan, -2.0, 3.0, -np.inf
    shown = cells(
        [[low, high, zero, nothing], [high, low, 0.5, low]],
        [[RECORDED] * 3 + [0], [RECORDED] * 4],
        [("gradient", "a"), ("weight", "b")],
    )
    assert shown.span() == (-2, 3)
    pixels = picture(parsed(heatmap(shown)))
    colors = [tuple(each) for each in pixels[0].tolist()]
    palette = inks()
    assert colors == [palette[2], palette[255], palette[1], palette[0]]
    assert tuple(pixels[-2, 2]) == palette[2 + round(253 / 2)]
    assert not pixels[16, :, 3].any()  # Between the rows of two roles there is nothing.


def test_marks_cover_what_is_nonfinite_and_nothing_else() -> None:
    both = NAN | POS_INF | RECORDED
    shown = cells(
        [[0.0] * 10] * 2,
        [
            [RECORDED] * 4 + [NAN | RECORDED] * 3 + [both] + [RECORDED] * 2,
            [RECORDED | SCALE_SKIPPED] + [RECORDED] * 9,
        ],
        [("loss", "loss"), ("gradient", "dense/kernel")],
        origin=0,
        steps=[4],
    )
    svg = parsed(heatmap(shown))
    boxes: dict[str, list[tuple[float, ...]]] = {}
    for path in svg.iter("path"):
        kind = path.attrib.get("class", "")
        if kind.startswith("band"):
            found = re.findall(r"M([\d.]+) ([\d.]+)H([\d.]+)v([\d.]+)", path.attrib["d"])
            boxes[kind] = [tuple(map(float, box)) for box in found]
    assert set(boxes) == {"band nan", "band pos"}
    (alone, upper), (lower,) = boxes["band nan"], boxes["band pos"]
    width = (alone[2] - alone[0]) / 3
    assert upper[0] == pytest.approx(alone[2]) == pytest.approx(lower[0])
    assert upper[2] - upper[0] == pytest.approx(width, abs=0.2)
    assert (upper[3], lower[3], lower[1]) == (alone[3] / 2, alone[3] / 2, upper[1] + upper[3])
    used = [use.attrib["href"] for use in svg.iter("use")]
    assert used == ["#tile-nan", "#tile-pos"]
    assert sum(path.attrib.get("class") == "skipped" for path in svg.iter("path")) == 1
    texts = {element.text: element.attrib["class"] for element in svg.iter("text")}
    assert texts["loss"] == "role origin"
    assert texts["step 4"] == "when"
    assert "Non-finite: loss." in svg.attrib["aria-label"]


def test_one_bad_cell_among_many_is_seen() -> None:
    flags = np.full((1, 210), RECORDED, np.uint8)
    flags[0, 100] |= NAN
    shown = cells(np.zeros((1, 210)).tolist(), flags.tolist(), [("loss", "loss")])
    (band,) = (
        path
        for path in parsed(heatmap(shown)).iter("path")
        if path.attrib.get("class") == "band nan"
    )
    left, right = re.findall(r"M([\d.]+) .*?H([\d.]+)", band.attrib["d"])[0]
    assert float(right) - float(left) >= 3


@given(st.integers(0, 10**7), st.integers(0, 10**7))
@example(first=0, length=9)
def test_ticks_are_few_round_and_inside(first: int, length: int) -> None:
    found = ticks(first, first + length)
    assert found[0] == first
    assert found == sorted(set(found))
    assert found[-1] <= first + length
    assert len(found) <= 9
    distances = set(np.diff(found[1:]).tolist())
    assert len(distances) <= 1
    assert all(re.fullmatch(r"[125]0*", str(distance)) for distance in distances)


def test_hostile_names_are_text() -> None:
    shown = cells([[0.0]], [[RECORDED | NAN]], [("gradient", HOSTILE)], origin=0)
    svg = parsed(heatmap(shown))
    assert {element.tag for element in svg.iter()} <= {"svg", "rect", "image", "path", "use"} | {
        "text",
        "title",
    }
    assert "<img src=x onerror=alert(1)>" in "".join(svg.itertext())
    for markup in (name(HOSTILE), f"<p>{text(HOSTILE)}</p>", f"<p>{prose(HOSTILE)}</p>"):
        said = "".join(parsed(markup).itertext())
        assert said == r'<img src=x onerror=alert(1)>/"\x1b[31m\u202e&amp;\n'


def model(layers: int) -> list[TensorInfo]:
    """Kernel and bias of each of some layers, in blocks of ten, by two roles; and a loss."""
    found = [
        TensorInfo(role, f"m/block_{n // 10}/dense_{n}", f"dense_{n}/{part}", (4,), "float32")
        for role in ("gradient", "weight")
        for n in range(layers)
        for part in ("kernel", "bias")
    ]
    return [*found, TensorInfo("loss", "", "loss", (), "float32")]


@pytest.mark.parametrize(
    ("layers", "gradients", "weights"),
    [(3, 6, 6), (29, 58, 58), (50, 50, 50), (100, 100, 10), (2000, 1, 1)],
)
def test_rows_become_larger_parts_of_larger_models(
    layers: int, gradients: int, weights: int
) -> None:
    tensors = model(layers)
    found = rows(tensors, [""] * len(tensors))
    assert len(found) <= MOST_ROWS
    assert sorted(index for row in found for index in row.tensors) == list(range(len(tensors)))
    roles = ["loss"] + ["gradient"] * gradients + ["weight"] * weights
    assert [row.role for row in found] == roles


def test_only_the_role_with_many_rows_is_told_in_larger_parts() -> None:
    tensors = [TensorInfo("activation", f"a/{n}", f"a/{n}", (4,), "float32") for n in range(500)]
    found = rows([*tensors, *model(3)], [""] * (500 + 13))
    assert [row.label for row in found if row.role == "activation"] == ["a"]
    assert len(found) == 1 + 13


def test_a_row_has_the_worst_of_its_tensors() -> None:
    value = np.array([[1, np.nan, -np.inf], [2, np.nan, -1]], np.float32)
    flags = np.array([[RECORDED, 0, RECORDED], [RECORDED | NAN, 0, RECORDED]], np.uint8)
    (worst,), (raised,) = pooled([Row("gradient", "", (0, 1))], value, flags)
    assert (worst[0], np.isnan(worst[1]), worst[2]) == (2, True, -1)
    assert raised.tolist() == [RECORDED | NAN, 0, RECORDED]


def bars(svg: ElementTree.Element, kind: str) -> list[tuple[float, float]]:
    """(left end, height) of each bar."""
    found = [p.attrib["d"] for p in svg.iter("path") if p.attrib["class"] == kind]
    return [
        (float(left), float(middle) - float(end))
        for path in found
        for left, middle, end in re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)H", path)
    ]


def test_histograms_share_their_scales() -> None:
    counts = {"nan": 3, "pos_inf": 0, "neg_inf": 0, "zero": 7, "subnormal": 0}
    before = Snapshot("Step 1", [(1, -3, 10), (1, 2, 1000), (-1, 2, 1)], {})
    after = Snapshot("Step 2", [(1, 5, 1000)], counts)
    whole = parsed(histograms([before, after], "float32"))
    first, second = (figure.find("svg") for figure in whole.iter("figure"))
    assert first is not None
    assert second is not None
    up, down = bars(first, "positive"), bars(first, "negative")
    assert len(up) == 2
    assert up[1][1] == pytest.approx(up[0][1] * np.log1p(1000) / np.log1p(10), abs=0.2)
    assert down[0][1] < 0
    assert down[0][0] == up[1][0]
    # One sign alone has the whole height; the places are those of the first picture.
    (alone,) = bars(second, "positive")
    assert alone[1] == pytest.approx(2 * up[1][1], abs=0.2)
    binade = (up[1][0] - up[0][0]) / 5
    assert alone[0] - up[1][0] == pytest.approx(3 * binade, abs=0.2)
    captions = ["".join(caption.itertext()) for caption in whole.iter("figcaption")]
    assert captions == ["Step 1", "Step 23 NaN7 zero"]


def test_the_limits_of_the_dtype_are_marked_where_they_are_met() -> None:
    snapshot = Snapshot("Step 1", [(1, exponent, 5) for exponent in range(-16, 16)], {})

    def limits(dtype: str) -> list[str]:
        texts = parsed(histograms([snapshot], dtype)).iter("text")
        return [str(t.text) for t in texts if t.attrib["class"] == "limit"]

    assert limits("float16") == ["smallest normal float16", "largest float16"]
    assert limits("float32") == limits("float64") == []


def test_a_finding_is_a_card() -> None:
    finding = Finding(
        *("layer-forward", "error", 17, 40, Place("activation", HOSTILE, "a#2", "w0")),
        variant="invalid",
        affected=(Affected("loss", "", "loss", 18),),
        evidence={"nan": 2, "largest": 1.5e-9, "ratio": float("inf")},
        record_also=("activation_gradient",),
    )
    article = parsed(card(finding, [], "float32"))
    said = " ".join("".join(article.itertext()).split())
    for expected in (
        "NaN at step 17 · layer <img",
        "layer-forward (steps 17-40)",
        "activation a#2, layer <img",
        "worker w0",
        "1 loss (step 18)",
        "NaN 2",
        "largest 1.5e-9",
        "ratio Inf",
        "also record activation gradients",
        "tf.math.divide_no_nan(x, y)",
    ):
        assert expected in said
    assert "Magnitudes" not in said


def test_of_an_operation_the_line_is_marked_and_the_operands_and_rows_are_told() -> None:
    operation = Operation(
        "Log",
        "backward",
        "encoder/gate",
        "model.py",
        57,
        "call",
        tuple(SourceLine(56 + n, f"line {n} <{n}>") for n in range(3)),
        (Operand("x", "float32", (4, 2), (Element((3, 0), "0.0"), Element((3, 1), "-1.0"))),),
        Operand("gradient", "float32", (12, 2), (Element((3, 0), "nan"),)),
    )
    rerun = Rerun(7, True, "eager", "", operation, tuple(range(12)), is_of_weight=True)
    section = parsed(operation_html(rerun))
    (broke,) = [each for each in section.iter("span") if each.attrib["class"] == "line broke"]
    assert "".join(broke.itertext()).split() == ["▸", "57", "line", "1", "<1>"]
    rows = ["|".join("".join(c.itertext()) for c in row) for row in section.iter("tr")]
    assert rows == [
        "Operand|Index|Value",
        "x float32, 4 x 2|[3, 0]|0.0",
        "[3, 1]|-1.0",
        "gradient float32, 12 x 2|[3, 0]|NaN",
    ]
    said = " ".join("".join(section.itertext()).split())
    assert "All 12 rows of the batch" in said
    assert said.endswith(
        "Reproduced when re-run eagerly. A weight was already non-finite before the step."
    )


def test_of_an_operation_names_stay_text() -> None:
    operation = Operation("RealDiv", "update", HOSTILE, HOSTILE, 1, HOSTILE, (), (), None, HOSTILE)
    section = parsed(operation_html(Rerun(0, False, "xla", HOSTILE, operation)))
    assert {each.tag for each in section.iter()} <= {
        *("section", "code", "bdi", "figure", "figcaption", "pre", "p")
    }
    bare = parsed(operation_html(Rerun(0, False, "graph", "ValueError: why")))
    assert "".join(bare.itertext()) == (
        "Not reproduced when re-run. The step could not be re-run operation by operation, in eager "
        "mode (ValueError: why)."
    )
