"""The HTTP interface keeps to `http_api.md`: shapes, values and errors of every route."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_logs import NAN, START, StreamWriter, mlp_manifest, mlp_values, window_record
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from werkzeug.test import Client

from tb_nanwatch import http
from tb_nanwatch.format.facts import LayerFacts, ModelFacts
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.tags import Stream
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.grid.cells import NAN as NAN_FLAG
from tb_nanwatch.grid.cells import RECORDED, SCALE_SKIPPED
from tb_nanwatch.http import verdicts
from tb_nanwatch.reader import listing, reader
from tb_nanwatch.stats.columns import COLUMN, COLUMN_NAMES
from tb_nanwatch.stats.histogram import Histograms, bin_code
from tb_nanwatch.stats.record import Record
from tb_nanwatch.stats.statistics import STATISTIC

CONTRACT = (Path(http.__file__).parent / "http_api.md").read_text(encoding="utf-8")


class Tab:
    """Asks the routes as the page does."""

    def __init__(self, logs: Path):
        self.files = EventMultiplexer(tensor_size_guidance={"nanwatch": 0})
        self.files.AddRunsFromDirectory(str(logs)).Reload()
        self.apps = http.apps(MultiplexerDataProvider(self.files, str(logs)))

    def open(self, route: str, method: str = "GET", **parameters: Any) -> Any:
        return Client(self.apps[f"/{route}"]).open(
            f"/{route}", method=method, query_string=parameters
        )

    def json(self, route: str, **parameters: Any) -> Any:
        answer = self.open(route, **parameters)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/json"
        return json.loads(answer.text, parse_constant=pytest.fail)

    def error(self, route: str, status: int, **parameters: Any) -> str:
        answer = self.open(route, **parameters)
        assert answer.status_code == status, answer.text
        content = json.loads(answer.text)
        assert list(content) == ["error"]
        return str(content["error"])

    def binary(self, route: str, **parameters: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        answer = self.open(route, **parameters)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/octet-stream"
        data = answer.data
        assert data[:8] == b"NWGR\x01\0\0\0"
        start = 12 + int.from_bytes(data[8:12], "little")
        header = json.loads(data[12:start], parse_constant=pytest.fail)
        assert start % 8 == 0
        channels = {}
        for channel in header["channels"]:
            count = int(np.prod(channel["shape"]))
            assert channel["offset"] % 8 == 0
            flat = np.frombuffer(
                data, "<" + np.dtype(channel["dtype"]).str[1:], count, start + channel["offset"]
            )
            channels[channel["name"]] = flat.reshape(channel["shape"])
        return header, channels

    def grid(self, **parameters: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        header, channels = self.binary("grid", **parameters)
        dtypes = {name: array.dtype.name for name, array in channels.items()}
        dtypes.pop("loss_scale", None)
        assert dtypes == {"value": "float32", "flags": "uint8"}
        assert channels["value"].shape == (len(header["rows"]), len(header["edges"]) - 1)
        return header, channels

    def runs(self) -> dict[str, dict[str, Any]]:
        """The list of runs by name, once each has its verdict."""
        for _ in range(200):
            runs = {run["run"]: run for run in self.json("runs")["runs"]}
            if all(run["status"] != "pending" or "problems" in run for run in runs.values()):
                return runs
            time.sleep(0.05)
        raise TimeoutError(f"Still pending: {runs}")

    def tensor(self, run: str, role: str, name: str) -> str:
        """The id of a tensor."""
        (found,) = (
            tensor["id"]
            for tensor in self.json("run", run=run)["tensors"]
            if (tensor["role"], tensor["name"]) == (role, name)
        )
        return str(found)


@pytest.fixture(scope="module")
def tab(gallery: Path) -> Tab:
    return Tab(gallery)


def example(heading: str) -> Any:
    """The JSON example under a heading of the contract, its ellipses taken out."""
    section = CONTRACT.split(f"\n## `{heading}`\n")[1].split("\n## ")[0]
    text = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert text is not None
    return json.loads(text[1].replace('{"...": "as above"}', "{}"))


def test_runs_have_the_members_of_the_contract(tab: Tab) -> None:
    expected = example("runs")["runs"][0]
    runs = tab.runs()
    assert list(runs) == sorted(runs)
    for run in runs.values():
        assert set(run) == set(expected)
        assert set(run["records"]) == set(expected["records"])
        if run["finding"]:
            assert set(run["finding"]) == set(expected["finding"])
    assert {name: run["status"] for name, run in runs.items()} == {
        "bad_checkpoint": "nonfinite",
        "empty": "empty",
        "every_hundredth": "nonfinite",
        "healthy": "healthy",
        "loss_scaling": "healthy",
        "nan_feature": "nonfinite",
        "resumed": "healthy",
        "workers": "nonfinite",
    }


def test_the_verdict_of_a_list_is_that_of_the_findings(tab: Tab) -> None:
    for name, run in tab.runs().items():
        found = tab.json("findings", run=name)
        for member in ("status", "headline", "first_step", "last_step", "records"):
            assert run[member] == found[member], (name, member)
        first = next(iter(found["findings"]), None)
        assert run["finding"] == (
            first and {member: first[member] for member in example("runs")["runs"][0]["finding"]}
        )


def test_a_run_is_summed_up(tab: Tab) -> None:
    run = tab.runs()["nan_feature"]
    assert (run["finding"]["cause"], run["finding"]["step"]) == ("nonfinite-input", 37)
    assert run["headline"] == run["finding"]["headline"] != ""
    assert (run["first_step"], run["last_step"], run["tensors"]) == (0, 239, 19)
    assert run["records"] == {"written": 19, "read": 19}
    assert run["nonfinite_tensors"] == 5


def test_an_empty_run_has_nulls(tab: Tab) -> None:
    run = tab.json("run", run="empty")
    assert [run[member] for member in ("first_step", "last_step", "times")] == [None] * 3
    assert run["tensors"] == []


def test_a_run_has_the_members_of_the_contract(tab: Tab) -> None:
    expected = example("run")
    run = tab.json("run", run="nan_feature")
    assert set(run) == set(expected)
    assert run["problems"] == []
    for tensor in run["tensors"]:
        assert set(tensor) == set(expected["tensors"][0])
    names = [(tensor["role"], tensor["name"]) for tensor in run["tensors"]]
    assert names == [(tensor.role, tensor.name) for tensor in mlp_manifest().tensors]
    kernel = run["tensors"][2]
    assert (kernel["layer"], kernel["shape"], kernel["dtype"]) == ("dense", [8, 16], "float32")
    steps = [kernel[f"{name}_nonfinite_step"] for name in ("first", "last")]
    assert [*steps, kernel["nonfinite_steps"]] == [37, 239, 203]
    assert run["tensors"][-1]["first_nonfinite_step"] is None


def test_findings_have_the_members_of_the_contract(tab: Tab) -> None:
    expected = example("findings")
    found = tab.json("findings", run="nan_feature")
    assert set(found) == set(expected)
    assert found["records"] == expected["records"]
    (finding,) = (each for each in found["findings"] if each["severity"] == "error")
    assert set(finding) - {"record_also"} == set(expected["findings"][0])
    for name in ("cause", "step", "last_step", "origin"):
        assert finding[name] == expected["findings"][0][name]
    assert finding["affected"][0] == expected["findings"][0]["affected"][0]
    empty = tab.json("findings", run="empty")
    assert (empty["status"], empty["first_step"], empty["findings"]) == ("empty", None, [])
    assert "2 records of an earlier session" in tab.json("findings", run="resumed")["problems"][0]


def test_findings_are_made_once_for_each_state_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diagnosed = []

    def diagnose(history: Any) -> Any:
        diagnosed.append(history)
        return real(history)

    real = verdicts.verdict
    monkeypatch.setattr(verdicts, "verdict", diagnose)
    monkeypatch.setattr(listing, "FRESH_SECONDS", 0.0)
    manifest = mlp_manifest()
    bad = mlp_values(manifest, lambda tensor, step: (NAN,) * (tensor.role == "input" and step > 15))
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), manifest) as writer:
        writer.write(0, 15, bad)
        writer.flush()
        tab = Tab(tmp_path)
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: tab.json("findings", run="."), range(16)))
        assert [answer["status"] for answer in answers] == ["healthy"] * 16
        assert len(diagnosed) == 1
        writer.write(16, 31, bad)
        writer.flush()
        tab.files.Reload()
        for _ in range(2):
            answer = tab.json("findings", run=".")
            assert (answer["status"], answer["findings"][0]["step"]) == ("nonfinite", 16)
        assert tab.runs()["."]["finding"]["step"] == 16
        assert len(diagnosed) == 2


def test_a_list_follows_a_run_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "FRESH_SECONDS", 0.0)
    manifest = mlp_manifest()
    bad = mlp_values(manifest, lambda tensor, step: (NAN,) * (tensor.role == "input" and step > 15))
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), manifest) as writer:
        writer.write(0, 15, bad)
        writer.flush()
        tab = Tab(tmp_path)
        before = tab.runs()["."]
        assert before["status"] == "healthy"
        writer.write(16, 31, bad)
        writer.flush()
        tab.files.Reload()
        run = tab.runs()["."]
        assert (run["status"], run["last_step"], run["finding"]["step"]) == ("nonfinite", 31, 16)
        assert run["last_written"] > before["last_written"]


def test_a_run_is_not_written_to_where_another_one_of_its_directory_is(tmp_path: Path) -> None:
    """Its own tags alone, or a list of so many runs would go through all tags once for each."""
    manifest = mlp_manifest()
    for fold in range(3):
        stream = Stream(f"0a{fold}")
        with StreamWriter(tmp_path / "nanwatch", stream, manifest, START + 1000 * fold) as writer:
            writer.write(0, 9, mlp_values(manifest))
    written = [run["last_written"] - START for run in Tab(tmp_path).runs().values()]
    assert [int(each // 1000) for each in written] == [0, 1, 2]


def test_a_list_does_not_wait_for_diagnoses(gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with NaN or Inf come first, the earliest step first; a person's request at once."""
    may_go_on, order = threading.Event(), []

    def diagnose(history: Any) -> Any:
        order.append(history)
        assert may_go_on.wait(30)
        return real(history)

    real = verdicts.verdict
    monkeypatch.setattr(verdicts, "verdict", diagnose)
    tab = Tab(gallery)
    try:
        begin = time.monotonic()
        runs = tab.json("runs")["runs"]
        assert time.monotonic() - begin < 5
        assert {run["status"] for run in runs} == {"pending"}
        assert {run["finding"] for run in runs} == {None}
        for _ in range(200):
            if all(run["tensors"] for run in runs if run["run"] != "empty") and order:
                break
            time.sleep(0.05)
            runs = tab.json("runs")["runs"]
        assert len(order) == 1
        monkeypatch.setattr(verdicts, "verdict", real)
        assert tab.json("findings", run="healthy")["status"] == "healthy"
        by_name = {run["run"]: run["status"] for run in tab.json("runs")["runs"]}
        assert by_name["healthy"] == "healthy"
        assert set(by_name.values()) == {"healthy", "pending"}
    finally:
        may_go_on.set()
    tab.runs()


def test_a_run_that_cannot_be_diagnosed_costs_itself_alone(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def diagnose(history: Any) -> Any:
        if len(set(history.workers)) == 2:
            raise ZeroDivisionError("on purpose")
        return real(history)

    real = verdicts.verdict
    monkeypatch.setattr(verdicts, "verdict", diagnose)
    runs = Tab(gallery).runs()
    broken = runs.pop("workers")
    assert (broken["status"], broken["finding"], broken["tensors"]) == ("pending", None, 38)
    (problem,) = broken["problems"]
    assert "could not diagnose this run (ZeroDivisionError: on purpose)" in problem
    assert "ZeroDivisionError" in caplog.text
    assert "pending" not in {run["status"] for run in runs.values()}
    found = Tab(gallery).json("findings", run="workers")
    assert (found["status"], found["findings"], found["problems"]) == ("pending", [], [problem])


def test_a_run_that_cannot_be_read_costs_itself_alone(
    gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(name: str, *args: Any) -> Any:
        if name == "workers":
            raise ZeroDivisionError("on purpose")
        return real(name, *args)

    real = reader.build
    monkeypatch.setattr(reader, "build", build)
    tab = Tab(gallery)
    runs = tab.runs()
    broken = runs.pop("workers")
    assert (broken["status"], broken["first_step"], broken["tensors"]) == ("pending", None, 0)
    assert "could not read this run" in broken["problems"][0]
    assert "pending" not in {run["status"] for run in runs.values()}
    assert "ZeroDivisionError" in tab.error("run", 500, run="workers")


def test_two_runs_diverge_where_the_first_of_them_goes_wrong(tab: Tab) -> None:
    expected = example("compare")
    found = tab.json("compare", run="healthy", **{"with": "nan_feature"}, tolerance=1)
    assert set(found) == set(expected)
    assert set(found["first_difference"]) == set(expected["first_difference"])
    assert found["runs"] == ["healthy", "nan_feature"]
    difference = found["first_difference"]
    assert (difference["step"], difference["last_step"], difference["kind"]) == (
        37,
        37,
        "nonfinite",
    )
    assert (difference["role"], difference["values"]) == ("input", [0, 1])
    # Another seed: norms differ from the first window on.
    near = tab.json("compare", run="healthy", **{"with": "nan_feature"})["first_difference"]
    assert (near["kind"], near["step"]) == ("norm", 0)
    same = tab.json("compare", run="healthy", **{"with": "healthy"})
    assert (same["first_difference"], same["only"], same["norm_steps"]) == (None, [0, 0], 160)
    nothing = tab.json("compare", run="healthy", **{"with": "empty"})
    assert (nothing["first_step"], nothing["first_difference"]) == (None, None)


def test_a_grid_has_the_members_of_the_contract(tab: Tab) -> None:
    described = CONTRACT.split("\n## `grid`\n")[1].split("```json\n")[1].split("```")[0]
    header, _ = tab.grid(run="nan_feature", statistic="norm")
    assert set(header) == {"run", "statistic", "scale", "rows", "edges", "channels"}
    assert set(re.findall(r'"(\w+)":', described)) == {*header, *header["channels"][0]}
    assert (header["run"], header["statistic"], header["scale"]) == ("nan_feature", "norm", "log10")
    tensors = tab.json("run", run="nan_feature")["tensors"]
    assert header["rows"] == [tensor["id"] for tensor in tensors]


def test_instability_is_the_same_at_every_zoom(tab: Tab) -> None:
    header, cells = tab.grid(run="nan_feature", statistic="instability")
    assert (header["statistic"], header["scale"]) == ("instability", "decades")
    _, close = tab.grid(run="nan_feature", statistic="instability", first=100, last=139)
    np.testing.assert_array_equal(close["value"], cells["value"][:, 100:140])
    kernel = tab.tensor("nan_feature", "gradient", "mlp/dense/kernel")
    row = cells["value"][header["rows"].index(kernel)]
    cell = tab.json("cell", run="nan_feature", tensor=kernel, first=16, last=31)
    farthest = max(row[16:32].tolist(), key=abs)
    assert cell["statistics"]["instability"] == farthest
    departure = cell["statistics"]["norm"] - np.log10(cell["usual_norm"])
    assert farthest == pytest.approx(departure, abs=1e-5) or farthest < departure


def test_a_grid_of_the_whole_run_is_one_column_a_step(tab: Tab) -> None:
    header, cells = tab.grid(run="nan_feature")
    assert header["edges"] == list(range(241))
    assert header["statistic"] == "nonfinite"
    bad = (cells["flags"] & NAN_FLAG) > 0
    assert np.flatnonzero(bad[0]).tolist() == [37]  # The input, once.
    assert np.flatnonzero(bad[2]).tolist() == list(range(37, 240))  # The first kernel, ever after.
    assert (cells["flags"] & RECORDED).all()


def test_a_grid_takes_range_columns_and_roles(tab: Tab) -> None:
    header, cells = tab.grid(
        run="nan_feature", first=30, last=49, columns=4, role=["loss", "input"]
    )
    assert header["edges"] == [30, 35, 40, 45, 50]
    assert [tab.tensor("nan_feature", role, role) for role in ("input", "loss")] == header["rows"]
    assert ((cells["flags"] & NAN_FLAG) > 0).tolist() == [[False, True, False, False], [False] * 4]


def test_a_logarithmic_grid_has_a_column_for_each_of_the_first_steps(tab: Tab) -> None:
    header, cells = tab.grid(run="nan_feature", axis="log", columns=24)
    edges = header["edges"]
    assert edges[:4] == [0, 1, 2, 3]
    assert edges[-1] == 240
    widths = np.diff(np.log10(1 + np.array(edges[5:])))
    assert widths.min() > 0.05
    assert widths.max() < 0.15
    bad = np.flatnonzero(cells["flags"][0] & NAN_FLAG)
    (column,) = bad  # The input, once.
    assert edges[column] <= 37 < edges[column + 1]


def test_a_grid_by_wall_time_has_columns_of_as_many_seconds(tab: Tab) -> None:
    run = tab.json("run", run="resumed")
    times = run["times"]
    seconds = np.array(times["seconds"]) - times["seconds"][0]
    header, _ = tab.grid(run="resumed", axis="wall", columns=20)
    edges = np.array(header["edges"])
    assert (edges[0], edges[-1]) == (0, 160)
    # Both sessions take seconds, and there is an hour between them: no column but its step's is
    # wide enough for several.
    begins = np.interp(edges, times["steps"], seconds)
    assert seconds[-1] > 3600
    assert sorted(np.diff(edges).tolist()) == [1, 64, 95]
    assert np.diff(begins).max() > 3500


def test_a_run_tells_when_its_steps_were(tab: Tab) -> None:
    times = tab.json("run", run="healthy")["times"]
    # One record of 16 steps a second, the manifest first of all.
    assert times["steps"] == list(range(0, 161, 16))
    assert np.diff(times["seconds"]).tolist() == [1.0] * 10
    assert tab.json("run", run="empty")["times"] is None


def test_a_spectrogram_takes_an_axis(tab: Tab) -> None:
    kernel = tab.tensor("nan_feature", "gradient", "mlp/dense/kernel")
    asked = {"run": "nan_feature", "axis": "log", "columns": 30}
    spectrogram, channels = tab.binary("spectrogram", tensor=kernel, **asked)
    header, cells = tab.grid(**asked)
    assert spectrogram["edges"] == header["edges"]
    assert channels["flags"].tolist() == cells["flags"][header["rows"].index(kernel)].tolist()


def test_a_grid_has_the_lowest_loss_scale_of_each_column(tab: Tab) -> None:
    header, channels = tab.binary("grid", run="loss_scaling", columns=6)
    assert header["edges"] == [0, 16, 32, 48, 64, 80, 96]
    assert channels["loss_scale"].dtype == np.float64
    # Half of it after each of the six steps that were refused, the last one being step 60.
    assert channels["loss_scale"].tolist() == [1024, 1024, 1024, 512, 512, 512]
    assert "loss_scale" not in tab.binary("grid", run="healthy")[1]


def test_tensors_have_those_upstream(tmp_path: Path) -> None:
    layers = (LayerFacts("mlp/dense", "Dense", True), LayerFacts("mlp/logits", "Dense", True))
    layers = (layers[0], dataclasses.replace(layers[1], inputs=("mlp/dense",)))
    infos = [
        TensorInfo(role, layer, f"{layer or role}", (2,), "float32")
        for role, layer in (
            ("input", ""),
            ("activation", "mlp/dense"),
            ("activation", "mlp/logits"),
        )
    ]
    manifest = Manifest(tuple(infos), "Callback", model=ModelFacts(layers=layers))
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), manifest) as writer:
        writer.write(0, 0, lambda step: [np.ones(2, np.float32)] * 3)
    tensors = Tab(tmp_path).json("run", run=".")["tensors"]
    ids = [tensor["id"] for tensor in tensors]
    assert [tensor["inputs"] for tensor in tensors] == [[], [ids[0]], [ids[1]]]


def test_tensors_have_a_place_in_the_flow_of_a_step(tab: Tab) -> None:
    tensors = tab.json("run", run="nan_feature")["tensors"]
    assert sorted(tensor["flow"] for tensor in tensors) == list(range(19))
    order = [(t["role"], t["name"]) for t in sorted(tensors, key=lambda t: t["flow"])]
    assert order[:3] == [("input", "input"), ("target", "target"), ("loss", "loss")]
    # Backward, the last layer comes first.
    assert order[3] == ("gradient", "mlp/logits/kernel")
    assert order[-1] == ("weight", "mlp/logits/bias")


def test_a_grid_beyond_the_data_is_empty(tab: Tab) -> None:
    _, cells = tab.grid(run="healthy", first=1000, last=1009)
    assert np.isnan(cells["value"]).all()
    assert not cells["flags"].any()


def test_an_empty_grid_has_no_column(tab: Tab) -> None:
    header, cells = tab.grid(run="empty")
    assert (header["rows"], header["edges"]) == ([], [0])
    assert cells["value"].shape == (0, 0)
    assert tab.grid(run="healthy", role="slot")[1]["value"].shape == (0, 160)


def test_handled_overflow_has_its_own_flag(tab: Tab) -> None:
    _, cells = tab.grid(run="loss_scaling")
    assert set(np.unique(cells["flags"])) == {RECORDED, RECORDED | SCALE_SKIPPED}


def test_every_hundredth_step_is_no_barcode(tab: Tab) -> None:
    _, cells = tab.grid(run="every_hundredth", columns=4096, first=0, last=999)
    assert (cells["flags"] & RECORDED).all()


def test_a_cell_has_the_members_of_the_contract(tab: Tab) -> None:
    kernel = tab.tensor("nan_feature", "gradient", "mlp/dense/kernel")
    cell = tab.json("cell", run="nan_feature", tensor=kernel, first=0, last=15)
    expected = example("cell")
    assert set(cell) == set(expected)
    assert list(cell["columns"]) == list(COLUMN_NAMES)
    assert set(cell["statistics"]) == set(expected["statistics"])
    assert (cell["first_step"], cell["last_step"], cell["records"]) == (0, 15, 1)
    assert (cell["columns"]["elements"], cell["columns"]["sampled_elements"]) == (2048, 128)
    assert cell["columns"]["first_nonfinite_step"] is None
    bins = sum(count for _, _, count in cell["histogram"])
    assert bins + cell["columns"]["zero"] + cell["columns"]["subnormal"] == 128
    for sign, exponent, count in cell["histogram"]:
        assert sign in (-1, 1)
        assert -40 < exponent < 5
        assert count > 0


def test_a_cell_covers_every_record_that_touches_it(tab: Tab) -> None:
    kernel = tab.tensor("nan_feature", "gradient", "mlp/dense/kernel")
    cell = tab.json("cell", run="nan_feature", tensor=kernel, first=36, last=40)
    assert (cell["first_step"], cell["last_step"], cell["records"]) == (32, 55, 5)
    counts = [cell["columns"][name] for name in ("nan", "pos_inf", "neg_inf", "nonfinite_steps")]
    assert counts == [19, 19, 19, 19]
    assert cell["columns"]["first_nonfinite_step"] == 37


def test_a_cell_has_the_range_of_its_records_norms(tab: Tab) -> None:
    manifest = mlp_manifest()
    row = [(each.role, each.name) for each in manifest.tensors].index(
        ("gradient", "mlp/dense_1/kernel")
    )
    values = mlp_values(manifest)
    norms = np.array([np.linalg.norm(values(step)[row]) for step in range(16, 96)])
    windows = norms.reshape(-1, 16).max(axis=1)
    kernel = tab.tensor("healthy", "gradient", "mlp/dense_1/kernel")
    # The first and the last step are within windows.
    cell = tab.json("cell", run="healthy", tensor=kernel, first=20, last=90)
    found = cell["smallest_norm"], cell["median_norm"], cell["columns"]["largest_norm"]
    expected = windows.min(), np.median(windows), windows.max()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len({*found}) == 3


def test_counts_beyond_32_bits_are_exact(tmp_path: Path) -> None:
    """As of an embedding with 2^31 elements and more, and of many steps of it."""
    manifest = Manifest((TensorInfo("loss", "", "loss", (2**32 + 3,), "float32"),), "Watcher")
    nan, zero, subnormal, ones = 2**31 + 1, 2**33 + 7, 2**31, 2**36 + 5
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), manifest) as writer:
        for step in range(2):
            record = window_record(manifest, step, step, step, lambda _: [np.float32(NAN)])
            sampled = nan + zero + subnormal + ones
            for name, count in (
                ("nan", nan),
                ("zero", zero),
                ("subnormal", subnormal),
                ("elements", sampled),
                ("sampled_elements", sampled),
            ):
                record.columns[0, COLUMN[name]] = count
            one = np.array([1]), np.array([bin_code(1, 0)]), np.array([ones])
            writer.put(Record(record.window, record.columns, Histograms(*one)))
    tab = Tab(tmp_path)
    (tensor,) = tab.json("run", run=".")["tensors"]
    assert tensor["shape"] == [2**32 + 3]
    cell = tab.json("cell", run=".", tensor=tensor["id"], first=0, last=1)
    names = ("nan", "zero", "subnormal", "elements", "sampled_elements")
    assert [cell["columns"][name] for name in names] == [
        *(2 * nan, 2 * zero, 2 * subnormal, 2 * sampled, 2 * sampled)
    ]
    assert cell["histogram"] == [[1, 0, 2 * ones]]
    (finding,) = tab.json("findings", run=".")["findings"]
    assert finding["evidence"]["nan"] == nan
    header, channels = tab.binary("spectrogram", run=".", tensor=tensor["id"], columns=2)
    assert header["first_exponent"] == 0
    assert channels["counts"].ravel().tolist() == [np.float32(ones)] * 2
    assert channels["zero"].tolist() == [zero] * 2


def test_a_cell_without_a_record_has_nulls(tab: Tab) -> None:
    kernel = tab.tensor("healthy", "gradient", "mlp/dense/kernel")
    cell = tab.json("cell", run="healthy", tensor=kernel, first=500, last=600)
    assert cell.pop("records") == 0
    assert cell.pop("run") == "healthy"
    assert cell.pop("tensor")["id"] == kernel
    assert set(cell.values()) == {None}


def test_a_spectrogram_has_the_members_of_the_contract(tab: Tab) -> None:
    described = CONTRACT.split("\n## `spectrogram`\n")[1].split("```json\n")[1].split("```")[0]
    kernel = tab.tensor("nan_feature", "gradient", "mlp/dense/kernel")
    header, channels = tab.binary("spectrogram", run="nan_feature", tensor=kernel)
    assert set(re.findall(r'"(\w+)":', described)) == {*header, *header["channels"][0]}
    assert (header["run"], header["tensor"]) == ("nan_feature", kernel)
    assert header["edges"] == list(range(241))
    for name, array in channels.items():
        assert array.shape[0] == 240, name
    sampled = channels["counts"].sum(axis=1) + channels["zero"] + channels["subnormal"]
    # From step 37 on, 3 of the 128 elements are not finite.
    assert (channels["sampled_elements"] - sampled).tolist() == [0] * 37 + [3] * 203


def test_a_spectrogram_agrees_with_cells_and_grids(tab: Tab) -> None:
    kernel = tab.tensor("nan_feature", "gradient", "mlp/dense/kernel")
    asked = {"run": "nan_feature", "first": 20, "last": 43, "columns": 6}
    header, channels = tab.binary("spectrogram", tensor=kernel, **asked)
    for column, first in enumerate(header["edges"][:-1]):
        cell = tab.json("cell", run="nan_feature", tensor=kernel, first=first, last=first + 3)
        expected = np.zeros(channels["counts"].shape[1])
        for _, exponent, count in cell["histogram"]:
            expected[exponent - header["first_exponent"]] += count
        assert channels["counts"][column].tolist() == expected.tolist()
        for name in ("sampled_elements", "zero", "subnormal"):
            assert channels[name][column] == cell["columns"][name]
    for name in STATISTIC:
        grid, cells = tab.grid(statistic=name, **asked)
        row = grid["rows"].index(kernel)
        np.testing.assert_array_equal(channels[name], cells["value"][row])
        np.testing.assert_array_equal(channels["flags"], cells["flags"][row])


def test_layers_have_the_members_of_the_contract(tab: Tab) -> None:
    expected = example("layers")
    answer = tab.json("layers", run="nan_feature")
    assert list(answer) == list(expected)
    for layer in answer["layers"]:
        assert list(layer) == list(expected["layers"][0])
        assert len(layer["gradient_rms"]) == len(answer["edges"]) - 1
    first, *others = answer["layers"]
    assert (first["path"], first["parameters"]) == ("dense", 8 * 16 + 16)
    assert first["first_trouble"] == {"step": 37, "cause": "nonfinite"}
    assert {layer["path"] for layer in others} == {"dense_1", "dense_2", "logits"}
    kernel = tab.tensor("nan_feature", "gradient", "mlp/dense/kernel")
    assert kernel in first["tensors"]


def test_layers_of_a_run_without_a_record_are_none(tab: Tab) -> None:
    assert tab.json("layers", run="empty") == {"run": "empty", "edges": [], "layers": []}


def test_numbers_that_are_not_finite_are_strings(tmp_path: Path) -> None:
    manifest = mlp_manifest()
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), manifest) as writer:
        zero = [np.zeros(tensor.shape or (), np.float32) for tensor in manifest.tensors]
        writer.write(0, 0, lambda step: zero)
        writer.write(1, 1, lambda step: [np.full_like(array, NAN) for array in zero])
    tab = Tab(tmp_path)
    loss = tab.tensor(".", "loss", "loss")
    cell = tab.json("cell", run=".", tensor=loss, first=0, last=0)
    assert cell["statistics"]["norm"] == "-Infinity"
    assert cell["statistics"]["headroom"] == "-Infinity"
    assert cell["statistics"]["update_ratio"] is None
    assert cell["histogram"] == []
    cell = tab.json("cell", run=".", tensor=loss, first=1, last=1)
    assert cell["columns"]["min"] is None
    assert cell["largest_magnitude"] is None
    assert cell["mean"] is None
    assert tab.grid(run=".", statistic="norm")[1]["value"][0].tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize(
    ("route", "parameters", "status", "text"),
    [
        ("run", {}, 400, "Missing parameter 'run'"),
        ("run", {"run": "nanfeature"}, 404, "Unknown run 'nanfeature'. Known runs: bad_checkpoint"),
        ("findings", {}, 400, "Missing parameter 'run'"),
        ("findings", {"run": "no"}, 404, "Unknown run 'no'. Known runs: bad_checkpoint"),
        ("compare", {"run": "healthy"}, 400, "Missing parameter 'with'"),
        ("compare", {"run": "healthy", "with": "no"}, 404, "Unknown run 'no'"),
        (
            "compare",
            {"run": "healthy", "with": "healthy", "tolerance": "1.5"},
            400,
            "expected a number from 0 to 1",
        ),
        (
            "grid",
            {"run": "healthy", "statistic": "nrom"},
            400,
            "Known statistics: instability, nonfinite",
        ),
        (
            "grid",
            {"run": "healthy", "role": "bias"},
            400,
            "Unknown role 'bias'. Known roles: input",
        ),
        ("grid", {"run": "healthy", "columns": 0}, 400, "columns=0: expected 1 to 4096"),
        ("grid", {"run": "healthy", "columns": 4097}, 400, "columns=4097"),
        ("grid", {"run": "healthy", "columns": "many"}, 400, "columns='many': expected an integer"),
        ("grid", {"run": "healthy", "first": "1e3"}, 400, "first='1e3': expected an integer"),
        ("grid", {"run": "healthy", "first": "٣"}, 400, "expected an integer"),
        ("grid", {"run": "healthy", "last": "9" * 400}, 400, "expected an integer"),
        ("grid", {"run": "healthy", "first": 9, "last": 3}, 400, "expected first <= last"),
        ("grid", {"run": "healthy", "first": 999}, 400, "first=999 and last=159"),
        ("grid", {"run": "healthy", "axis": "time"}, 400, "Known axes: step, log, wall."),
        ("spectrogram", {"run": "healthy", "axis": "LOG"}, 400, "Unknown axis 'LOG'"),
        ("grid", {"run": "empty", "axis": "wall"}, 400, "Use axis=step."),
        ("grid", {"run": "<script>"}, 404, "Unknown run '<script>'"),
        ("cell", {"run": "healthy", "first": 0, "last": 1}, 400, "Missing parameter 'tensor'"),
        ("cell", {"run": "healthy", "tensor": "x", "first": 0}, 400, "Missing parameter 'last'"),
        (
            "cell",
            {"run": "healthy", "tensor": "x", "first": 0, "last": 1},
            404,
            "Unknown tensor 'x'",
        ),
    ],
)
def test_errors_say_what_was_asked_and_what_exists(
    tab: Tab, route: str, parameters: dict[str, Any], status: int, text: str
) -> None:
    assert text in tab.error(route, status, **parameters)


ROUTES = [
    *("index.js", "runs", "run", "findings", "layers"),
    *("compare", "grid", "cell", "spectrogram"),
]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
def test_everything_is_read_only(tab: Tab, route: str, method: str) -> None:
    answer = tab.open(route, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET"
    if method != "HEAD":
        assert "Use GET" in json.loads(answer.text)["error"]


def test_a_defect_is_answered_and_logged(gallery: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MultiplexerDataProvider):
        def list_tensors(self, *args: Any, **kwargs: Any) -> Any:
            raise ZeroDivisionError("on purpose")

    broken = Tab(gallery)
    broken.apps = http.apps(Broken(EventMultiplexer(), ""))
    said = broken.error("runs", 500)
    assert "ZeroDivisionError: on purpose" in said
    assert "log" in said
    assert "ZeroDivisionError" in caplog.text


def test_hostile_names_are_text(tab: Tab) -> None:
    names = [tensor["name"] for tensor in tab.json("run", run="every_hundredth")["tensors"]]
    assert names[1] == '<img src=x onerror=alert(1)>/"\x1b[31m\u202e&amp;\n'
    assert tab.open("runs").headers["X-Content-Type-Options"] == "nosniff"


def test_the_tab_is_a_module(tab: Tab) -> None:
    answer = tab.open("index.js")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert "export" in answer.text


def test_a_source_tree_says_how_to_build_the_tab(
    tab: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tb_nanwatch.http.index_js.resources.files", lambda package: tmp_path)
    text = tab.open("index.js").text
    assert "export function render()" in text
    assert "build_frontend --inplace" in text


def test_compressed_or_not_a_grid_is_the_same(tab: Tab) -> None:
    client = Client(tab.apps["/grid"])
    plain = client.get("/grid", query_string={"run": "healthy"})
    packed = client.get(
        "/grid", query_string={"run": "healthy"}, headers={"Accept-Encoding": "gzip"}
    )
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < len(plain.data) / 2


def test_values_of_a_grid_are_those_of_the_cells(tab: Tab) -> None:
    for run in ("healthy", "nan_feature", "every_hundredth"):
        header, cells = tab.grid(run=run, statistic="largest_magnitude", columns=7)
        for row in (0, len(header["rows"]) - 1):
            for column in (0, 3, 6):
                cell = tab.json(
                    "cell",
                    run=run,
                    tensor=header["rows"][row],
                    first=header["edges"][column],
                    last=header["edges"][column + 1] - 1,
                )
                value = cell["statistics"]["largest_magnitude"]
                expected = np.nan if value is None else float(value)
                assert cells["value"][row, column] == pytest.approx(expected, nan_ok=True)
