"""Real TensorBoard processes: both of its loaders give the same answers, whatever the logs hold."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from long_logs import write_session
from synthetic_logs import (
    NAN,
    START,
    StreamWriter,
    mlp_manifest,
    mlp_values,
    replicas,
    write_gallery,
)

from tb_nanwatch.format.tags import Stream
from tb_nanwatch.stats.statistics import STATISTIC

Start = Callable[..., AbstractContextManager[str]]
HOURS, YEARS = 3600.0, 365 * 86_400.0
CLOCKS = {
    "back": {4: -5 * HOURS},
    "forward": {4: 10 * YEARS},
    "forward and back": {3: 10 * YEARS, 6: -10 * YEARS},
}
"""By run: steps before which its clock jumps, and by how many seconds."""

LOADERS = ("--load_fast=true", "--load_fast=false")


def get(url: str, route: str, **parameters: Any) -> bytes:
    query = urllib.parse.urlencode(parameters, doseq=True)
    with urllib.request.urlopen(f"{url}data/plugin/nanwatch/{route}?{query}", timeout=60) as answer:
        return bytes(answer.read())


def get_json(url: str, route: str, **parameters: Any) -> Any:
    return json.loads(get(url, route, **parameters))


def diagnosed_runs(url: str) -> list[dict[str, Any]]:
    """The list of runs, once each has its verdict."""
    for _ in range(120):
        runs: list[dict[str, Any]] = get_json(url, "runs")["runs"]
        if all(run["status"] != "pending" for run in runs):
            return runs
        time.sleep(0.25)
    raise TimeoutError(f"Still pending: {runs}")


def everything(url: str) -> dict[str, Any]:
    """The answers to what the page asks of every run, and to much of what it may ask."""
    answers: dict[str, Any] = {"runs": diagnosed_runs(url)}
    for run in answers["runs"]:
        name = run["run"]
        answers[name] = described = get_json(url, "run", run=name)
        answers[f"{name} findings"] = get_json(url, "findings", run=name)
        answers[f"{name} layers"] = get_json(url, "layers", run=name)
        for statistic in STATISTIC:
            for columns in (7, 512):
                key = f"{name} {statistic} {columns}"
                answers[key] = get(url, "grid", run=name, statistic=statistic, columns=columns)
        for tensor in described["tensors"][:3] + described["tensors"][-1:]:
            for first, last in ((0, 0), (30, 60), (0, 10**6)):
                cell = {"run": name, "tensor": tensor["id"], "first": first, "last": last}
                answers[f"{name} {cell}"] = get_json(url, "cell", **cell)
    return answers


def both(start: Start, logs: Path, *flags: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything by the data server, and by the Python loader."""
    answers = []
    for loader in LOADERS:
        with start(logs, loader, *flags) as url:
            answers.append(everything(url))
    return answers[0], answers[1]


def header_of(grid: bytes) -> dict[str, Any]:
    """The JSON in front of a grid's channels."""
    header: dict[str, Any] = json.loads(grid[12 : 12 + int.from_bytes(grid[8:12], "little")])
    return header


def channels_of(grid: bytes) -> bytes:
    return grid[12 + int.from_bytes(grid[8:12], "little") :]


def damage(logs: Path) -> None:
    """One file is cut in the middle of a record, one has a wrong checksum near its end."""
    (cut,) = (logs / "healthy" / "nanwatch").iterdir()
    cut.write_bytes(cut.read_bytes()[:-2000])
    (corrupt,) = (logs / "loss_scaling" / "nanwatch").iterdir()
    content = bytearray(corrupt.read_bytes())
    # The length of the last event but two: both loaders check it.
    starts, at = [], 0
    while at < len(content):
        starts.append(at)
        at += 16 + int.from_bytes(content[at : at + 8], "little")
    content[starts[-3] + 8] ^= 0xFF
    corrupt.write_bytes(content)


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gallery with damaged files, restarts within a stream, and a copied run."""
    logs = write_gallery(tmp_path_factory.mktemp("nasty") / "logs")
    damage(logs)
    replicas(logs)
    write_session(logs / "long" / "nanwatch", "0a30", 4300, bad=[4000])
    shutil.copytree(logs / "nan_feature", logs / "copies" / "nan feature")
    manifest = mlp_manifest()
    with StreamWriter(logs / "nanwatch", Stream("0c"), manifest) as writer:
        for first in (0, 4, 8, 12, 6, 10, 14):  # Goes back from 12 to 6.
            writer.write(first, first + 3, mlp_values(manifest))
    folder = logs / "at once" / "nanwatch"
    with (
        StreamWriter(folder, Stream("0e"), manifest) as one,
        StreamWriter(folder, Stream("0f"), manifest, START + 0.5) as two,
    ):
        for first in range(0, 24, 8):
            one.write(first, first + 7, mlp_values(manifest, lambda t, s: (NAN,) * (s == 3)))
            two.write(first, first + 7, mlp_values(manifest))
    for fold in range(3):
        stream = Stream(f"0f{fold:02x}")
        with StreamWriter(logs / "folds/nanwatch", stream, manifest, START + 10 * fold) as writer:
            broken = fold == 1
            values = mlp_values(manifest, lambda t, s, b=broken: (NAN,) * (b and s == 3), fold)
            writer.write(0, 7, values)
    with StreamWriter(logs / "again", Stream("0d", "loss", "l"), manifest) as writer:
        for _ in range(3):  # The same steps three times, as in a notebook.
            for step in range(0, 50, 10):
                writer.write(step, step, mlp_values(manifest, lambda t, s: (NAN,) * (s == 20)))
    for number, (name, jumps) in enumerate(CLOCKS.items()):
        stream = Stream("0a4", "loss", f"l{number}")  # As by `nanwatch.summary`: TensorFlow's time.
        with StreamWriter(logs / "clocks" / name, stream, manifest) as writer:
            for step in range(8):
                writer.jump(jumps.get(step, 0.0))
                writer.write(step, step, mlp_values(manifest, lambda t, s: (NAN,) * (s == 5)))
    return logs


@pytest.fixture(scope="module")
def answers(tensorboard: Start, nasty: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return both(tensorboard, nasty)


def by_name(answers: dict[str, Any]) -> dict[str, Any]:
    return {run["run"]: run for run in answers["runs"]}


def test_both_loaders_answer_the_same(answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    fast, slow = answers
    assert list(fast) == list(slow)
    for question in fast:
        assert fast[question] == slow[question], question


def test_the_console_says_what_the_tab_does(
    nasty: Path, answers: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tb_nanwatch", "report", str(nasty), "--json"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    runs = json.loads(said.stdout)["runs"]
    assert [run["run"] for run in runs] == list(by_name(answers[0]))
    for run in runs:
        assert run == answers[0][f"{run['run']} findings"]


def test_runs_are_named_as_their_log_directories(
    answers: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    names = ["again", "at once", "at once/2", "bad_checkpoint"]
    names += [*(f"clocks/{name}" for name in CLOCKS), "copies/nan feature", "empty"]
    names += ["every_hundredth", "folds", *(f"folds/{number}" for number in range(2, 4))]
    names += ["healthy", "long", "loss_scaling", "nan_feature", "replicas", "resumed", "workers"]
    assert list(by_name(answers[0])) == [".", *names]


def test_what_is_readable_of_a_damaged_file_is_shown(
    answers: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    runs = by_name(answers[0])
    assert runs["healthy"]["records"] == {"written": 9, "read": 9}
    assert runs["healthy"]["last_step"] == 143
    assert runs["loss_scaling"]["records"] == {"written": 9, "read": 9}
    assert runs["loss_scaling"]["last_step"] == 71


def test_a_copied_run_is_a_run(answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    runs = by_name(answers[0])
    original, copy = runs["nan_feature"], runs["copies/nan feature"]
    assert {**copy, "run": "nan_feature"} == original


def test_steps_that_go_back_replace(answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    runs = by_name(answers[0])
    assert (runs["."]["first_step"], runs["."]["last_step"]) == (0, 17)
    assert runs["."]["records"]["read"] == 4  # Steps 0-3, and from 6 on again.
    assert runs["again"]["records"] == {"written": 5, "read": 5}
    assert runs["again"]["finding"]["step"] == 20


def test_a_clock_that_jumps_loses_no_step(answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for of_loader in answers:
        for name in (f"clocks/{name}" for name in CLOCKS):
            run = of_loader[name]
            assert run["records"] == {"written": 8, "read": 8}
            assert run["problems"] == []
            assert (run["first_step"], run["last_step"]) == (0, 7)
            assert by_name(of_loader)[name]["finding"]["step"] == 5
            assert np.all(np.diff(run["times"]["steps"]) > 0)
            assert np.all(np.diff(run["times"]["seconds"]) > 0)
            assert header_of(of_loader[f"{name} nonfinite 512"])["edges"] == list(range(9))


def test_named_directories_of_which_nothing_is_purged_read_the_same(
    tensorboard: Start, nasty: Path, answers: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    originals = {"one": "resumed", "two/x": "again", "three": "clocks/back"}
    spec = ",".join(f"{name}:{nasty / original}" for name, original in originals.items())
    with tensorboard(spec, "--purge_orphaned_data=false", option="--logdir_spec") as url:
        given = everything(url)
    assert list(by_name(given)) == sorted(originals)
    for name, original in originals.items():
        assert {**given[f"{name} findings"], "run": original} == answers[1][f"{original} findings"]
        assert {**given[name], "run": original} == answers[1][original]
        for key, grid in given.items():
            if key.startswith(f"{name} ") and isinstance(grid, bytes):
                same = answers[1][original + key.removeprefix(name)]
                assert {**header_of(grid), "run": original} == header_of(same)
                assert channels_of(grid) == channels_of(same)


def test_a_resumed_run_says_what_it_replaced(
    answers: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for of_loader in answers:
        (said,) = of_loader["resumed"]["problems"]
        assert said.startswith("2 records of an earlier session (steps 64 to 95) are replaced")


def test_watchers_that_write_at_the_same_time_are_runs_of_their_own(
    answers: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for of_loader in answers:
        one, two = of_loader["at once"], of_loader["at once/2"]
        assert one["records"] == two["records"] == {"written": 3, "read": 3}
        assert by_name(of_loader)["at once"]["finding"]["step"] == 3
        assert by_name(of_loader)["at once/2"]["status"] == "healthy"


def test_each_fold_of_a_directory_is_a_run(answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for of_loader in answers:
        runs = by_name(of_loader)
        bad = [name for name, run in runs.items() if run["nonfinite_tensors"] and "folds" in name]
        assert bad == ["folds/2"]
        assert runs["folds/2"]["finding"]["step"] == 3
        assert runs["folds/2"]["began"] == START + 10
        assert header_of(of_loader["folds/2 nonfinite 7"])["run"] == "folds/2"


def test_workers_and_replicas_are_one_run(
    answers: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for of_loader in answers:
        run = of_loader["replicas"]
        names = [f"worker-{worker}/replica-{replica}" for worker in (0, 1) for replica in (0, 1)]
        assert list(dict.fromkeys(tensor["worker"] for tensor in run["tensors"])) == names
        assert run["records"] == {"written": 8, "read": 8}
        (bad,) = [t for t in run["tensors"] if t["first_nonfinite_step"] is not None]
        assert (bad["worker"], bad["first_nonfinite_step"]) == ("worker-0/replica-1", 9)
        assert by_name(of_loader)["replicas"]["finding"]["step"] == 9


def test_a_long_run_is_drawn_from_merges(
    answers: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for of_loader in answers:
        assert of_loader["long"]["records"] == {"written": 4300, "read": 4300}
        assert by_name(of_loader)["long"]["nonfinite_tensors"] == 2
        header = header_of(of_loader["long nonfinite 512"])
        assert len(header["edges"]) < 4300 // 16 + 64


def test_sampling_is_on_screen_where_the_user_asks_for_it(
    tensorboard: Start, gallery: Path
) -> None:
    for loader in LOADERS:
        with tensorboard(gallery, loader, "--samples_per_plugin", "nanwatch=7") as url:
            run = get_json(url, "run", run="nan_feature")
            assert run["records"] == {"written": 19, "read": 7}, loader
            assert "12 of 19 records are missing" in run["problems"][0]
            assert get(url, "grid", run="nan_feature")[:4] == b"NWGR"


def test_the_server_needs_no_tensorflow(tensorboard: Start, gallery: Path, tmp_path: Path) -> None:
    fake = tmp_path / "tensorflow"
    fake.mkdir()
    (fake / "__init__.py").write_text("raise ImportError('no TensorFlow here, on purpose')\n")
    with tensorboard(gallery, "--load_fast=false", path=tmp_path) as url:
        assert len(get_json(url, "runs")["runs"]) == 8
        (run,) = (run for run in diagnosed_runs(url) if run["run"] == "nan_feature")
        assert run["finding"]["step"] == 37


def test_a_path_prefix_changes_nothing(tensorboard: Start, gallery: Path) -> None:
    with tensorboard(gallery, "--path_prefix=/some/where", prefix="/some/where/") as url:
        assert len(get_json(url, "runs")["runs"]) == 8
        with urllib.request.urlopen(url + "data/plugins_listing", timeout=60) as answer:
            listing = json.load(answer)["nanwatch"]
        assert listing["enabled"]
        assert listing["tab_name"] == "NaNWatch"
        module = listing["loading_mechanism"]["module_path"]
        assert module == "/some/where/data/plugin/nanwatch/index.js"
        assert b"export" in get(url, "index.js")


def test_a_log_directory_without_data_has_no_tab(tensorboard: Start, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    with tensorboard(logs, "--load_fast=false") as url:
        with urllib.request.urlopen(url + "data/plugins_listing", timeout=60) as answer:
            assert not json.load(answer)["nanwatch"]["enabled"]
        assert get_json(url, "runs") == {"runs": []}
        with pytest.raises(urllib.error.HTTPError, match="404") as error:
            get(url, "run", run="none")
        error.value.close()


def test_a_growing_run_grows_on_screen(tensorboard: Start, tmp_path: Path) -> None:
    manifest = mlp_manifest()
    logs = tmp_path / "logs"
    with ExitStack() as stack:
        writer = stack.enter_context(StreamWriter(logs / "nanwatch", Stream("0a"), manifest))
        writer.write(0, 15, mlp_values(manifest))
        writer.flush()
        for loader in LOADERS:
            url = stack.enter_context(tensorboard(logs, loader))
            assert get_json(url, "run", run=".")["records"]["read"] >= 1
            before = get_json(url, "run", run=".")["last_step"]
            writer.write(before + 1, before + 16, mlp_values(manifest))
            writer.flush()
            wait_until(lambda url=url: get_json(url, "run", run=".")["last_step"], before + 16)


def wait_until(ask: Callable[[], int], expected: int) -> None:
    for _ in range(60):
        if ask() == expected:
            return
        time.sleep(0.5)
    assert ask() == expected


def test_the_entry_point_survives_any_flags() -> None:
    from tb_nanwatch.plugin import NaNWatchLoader

    class Flags:
        samples_per_plugin: Any = None

    loader = NaNWatchLoader()
    loader.fix_flags(Flags())
    loader.fix_flags(object())
    chosen, unset = Flags(), Flags()
    chosen.samples_per_plugin, unset.samples_per_plugin = {"nanwatch": 5}, {"images": 3}
    loader.fix_flags(chosen)
    loader.fix_flags(unset)
    assert chosen.samples_per_plugin == {"nanwatch": 5}
    assert unset.samples_per_plugin == {"images": 3, "nanwatch": 0}


def test_importing_the_entry_point_imports_next_to_nothing() -> None:
    code = (
        "import sys, tb_nanwatch.plugin; "
        "heavy = {'tensorflow', 'numpy', 'tb_nanwatch.http'}; print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
