"""The answers in a page are those that TensorBoard's server gives to the tab."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract.test_http import Tab

from tb_nanwatch.diagnosis import Thresholds
from tb_nanwatch.http import layers
from tb_nanwatch.logdir import runs
from tb_nanwatch.logdir.progress import Progress
from tb_nanwatch.logdir.runs import DiagnosedRun
from tb_nanwatch.page import answers as page_answers
from tb_nanwatch.page.answers import answers

LIKE_THE_SERVER = ("run", "findings", "layers", "grid", "spectrogram", "compare")


@pytest.fixture(scope="module")
def diagnosed(gallery: Path) -> Iterator[list[DiagnosedRun]]:
    with ExitStack() as opened:
        progress = Progress(io.StringIO())
        found = list(runs.find([str(gallery)], progress, opened, print))
        yield list(runs.diagnosed(found, Thresholds(), progress))


@pytest.fixture(scope="module")
def server(gallery: Path) -> Tab:
    tab = Tab(gallery)
    tab.runs()
    return tab


def held(diagnosed: list[DiagnosedRun]) -> dict[tuple[str, ...], bytes]:
    found = dict(answers(diagnosed, lambda: None))
    assert len(found) > 8
    return found


def test_answers_are_the_servers(diagnosed: list[DiagnosedRun], server: Tab) -> None:
    compared = dict.fromkeys(LIKE_THE_SERVER, 0)
    for (route, *names), body in held(diagnosed[:4]).items():
        if route not in LIKE_THE_SERVER:
            continue
        second = {"grid": "statistic", "spectrogram": "tensor", "compare": "with"}.get(route)
        asked: dict[str, Any] = dict(zip(("run", second or "", "tolerance"), names, strict=False))
        if route in ("grid", "spectrogram"):
            asked["columns"] = {"grid": 1024, "spectrogram": 128}[route]
            answer = server.open(route, **asked)
            assert body == answer.data, (route, names)
        else:
            assert json.loads(body) == server.json(route, **asked), (route, names)
        compared[route] += 1
    assert min(compared.values()) >= 3  # One of the runs has no record.


def test_listed_runs_are_the_servers(diagnosed: list[DiagnosedRun], server: Tab) -> None:
    (listed,) = (body for key, body in answers(diagnosed, lambda: None) if key == ("runs",))
    theirs = server.runs()
    for row in json.loads(listed)["runs"]:
        expected = theirs[row["run"]]
        assert row.pop("last_written") is None  # A page does not grow.
        expected.pop("last_written")
        if row["status"] == "empty":  # Nothing of it can be read; the tab waits for more of it.
            continue
        assert row == expected


def test_details_of_a_small_run_are_complete(diagnosed: list[DiagnosedRun], server: Tab) -> None:
    (run,) = (each for each in diagnosed if each.name == "nan_feature")
    cells = json.loads(held([run])["cells", "nan_feature"])
    assert [first for first, _ in cells["columns"]] == list(range(240))
    for step in (0, 36, 37, 239):
        for tensor, of_steps in cells["cells"].items():
            asked = {"run": "nan_feature", "tensor": tensor, "first": step, "last": step}
            assert of_steps[step] == server.json("cell", **asked)


def test_the_tolerances_are_those_that_the_tab_offers() -> None:
    source = Path(__file__).parents[2] / "frontend" / "src" / "model" / "comparison.ts"
    offered = re.findall(r"\{ value: ([\d.]+), label", source.read_text(encoding="utf-8"))
    assert tuple(map(float, offered)) == page_answers.TOLERANCES


def test_details_are_about_findings_where_not_all_fit(
    diagnosed: list[DiagnosedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = (each for each in diagnosed if each.name == "nan_feature")
    monkeypatch.setattr(page_answers, "DETAILS", 8 * len(run.index.tensors))
    cells = json.loads(held([run])["cells", "nan_feature"])
    # About the finding, both ends, and spread over the run.
    columns = [first for first, _ in cells["columns"]]
    assert columns == [0, 36, 37, 38, 60, 120, 180, 239]


def test_a_run_that_fails_leaves_the_others(
    diagnosed: list[DiagnosedRun], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    content = layers.content

    def fails(access: Any, index: Any, *more: Any) -> Any:
        if index.run == "healthy":
            raise ValueError("on purpose")
        return content(access, index, *more)

    monkeypatch.setattr(layers, "content", fails)
    two = [each for each in diagnosed if each.name in ("healthy", "nan_feature")]
    found = held(two)
    assert ("cells", "nan_feature") in found
    assert ("findings", "healthy") in found
    assert ("cells", "healthy") not in found
    assert "could not write all of run 'healthy'" in caplog.text


def test_tensors_of_findings_come_first_where_not_all_fit(
    diagnosed: list[DiagnosedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = (each for each in diagnosed if each.name == "nan_feature")
    records = sum(len(each.first) for each in run.index.records)
    monkeypatch.setattr(page_answers, "HISTOGRAMS", 3 * records)
    drawn = [key[2] for key in held([run]) if key[0] == "spectrogram"]
    names = {tensor.id: tensor.info.name for tensor in run.index.tensors}
    assert [names[each] for each in drawn] == ["input", "mlp/dense/kernel", "mlp/dense/bias"]


def test_a_page_of_many_runs_stays_small(
    diagnosed: list[DiagnosedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = (each for each in diagnosed if each.name == "nan_feature")
    for limit in ("GRID_CELLS", "SPECTROGRAM_COLUMNS", "DETAILS"):
        monkeypatch.setattr(page_answers, limit, 64 * len(run.index.tensors))

    def size(runs: int) -> int:
        many = [replace(run, found=replace(run.found, name=str(n))) for n in range(runs)]
        return sum(len(gzip.compress(body, 1)) for _, body in answers(many, lambda: None))

    assert size(6) < 4 * size(1)
