"""The console command, as a process of its own."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic_logs import INF, StreamWriter

from tb_nanwatch.schema.tags import Stream
from tb_nanwatch.schema.tensor_info import TensorInfo
from tb_nanwatch.wire.manifest import Manifest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With a tensorflow on the path that raises: every test here shows that none is needed."""
    fake = tmp_path_factory.mktemp("fake") / "tensorflow"
    fake.mkdir()
    (fake / "__init__.py").write_text("raise RuntimeError('TensorFlow was imported')\n")
    path = os.pathsep.join([str(fake.parent), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error"}


def nanwatch(
    environment: dict[str, str], *words: str | Path, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tb_nanwatch", *map(str, words)],
        env={**environment, **more},
        capture_output=True,
        text=True,
    )


def test_a_report_says_where_it_began(environment: dict[str, str], gallery: Path) -> None:
    done = nanwatch(environment, "report", gallery, "--run", "nan_f")
    assert done.stdout == (
        "nan_feature: NON-FINITE\n"
        "  steps     0 to 239\n"
        "  records   19 of 19\n"
        "  first     step 37, input\n"
        "  layer     -\n"
        "  tensor    input\n"
        "  counts    1 NaN, 0 +Inf, 0 -Inf\n"
        "  later     4 more of 19 tensors\n"
        "\n"
    )
    assert (done.returncode, done.stderr) == (1, "")


def test_healthy_runs_end_with_0(environment: dict[str, str], gallery: Path) -> None:
    done = nanwatch(environment, "report", gallery, "--run", "^(healthy|loss_scaling|resumed)$")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": healthy\n") == 3
    assert "6 steps refused by the loss-scaling optimizer" in done.stdout


def test_a_report_of_everything_fits_the_screen(environment: dict[str, str], gallery: Path) -> None:
    done = nanwatch(environment, "report", gallery)
    assert done.returncode == 1
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "before step 0, weight" in done.stdout
    assert "(worker worker1)" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\\x1b[31m\\u202e" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "{logs}/nowhere"], "is no directory"),
        (["report", "{empty}"], "no NaNWatch data below"),
        (["report", "{logs}", "--run", "("], "is no regular expression"),
        (["report", "{logs}", "--run", "zebra"], "no run matches 'zebra'. Runs: bad_checkpoint"),
        (["report", "{logs}", "--run", "empty"], "no record could be read"),
        (["report"], "LOGDIR"),
        (["rapport"], "invalid choice"),
        (["report", "{logs}", "--json"], "unrecognized arguments"),
    ],
)
def test_what_cannot_be_done_ends_with_2(
    environment: dict[str, str], gallery: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    filled = [word.format(logs=gallery, empty=tmp_path) for word in words]
    done = nanwatch(environment, *filled)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_file_costs_its_run_alone(
    environment: dict[str, str], gallery: Path, tmp_path: Path
) -> None:
    manifest = Manifest((TensorInfo("loss", "", "loss", (), "float32"),), "Watcher")
    with StreamWriter(tmp_path / "good" / "nanwatch", Stream("0a"), manifest) as writer:
        writer.write(0, 0, lambda step: [np.array(1.0)])
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "events.out.tfevents.1.host").write_bytes(b"not at all" * 100)
    done = nanwatch(environment, "report", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "good: healthy" in done.stdout


def on_terminal(environment: dict[str, str], *words: str | Path) -> bytes:
    """What the command writes to a terminal."""
    here, there = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "tb_nanwatch", *map(str, words)], env=environment, stdout=there
    ):
        os.close(there)
        said = b""
        while True:
            try:
                part = os.read(here, 4096)
            except OSError:  # Linux ends a terminal so.
                part = b""
            if not part:
                break
            said += part
    os.close(here)
    return said


def test_colour_is_for_terminals_that_want_it(environment: dict[str, str], gallery: Path) -> None:
    plain = {name: value for name, value in environment.items() if name != "NO_COLOR"}
    words = ("report", gallery, "--run", "healthy")
    assert b"\x1b[1;32mhealthy\x1b[0m" in on_terminal(plain, *words)
    assert b"\x1b" not in on_terminal({**plain, "NO_COLOR": "1"}, *words)


def test_a_reader_that_went_away_is_no_traceback(
    environment: dict[str, str], gallery: Path
) -> None:
    command = [sys.executable, "-m", "tb_nanwatch", "report", str(gallery)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_names_outside_the_encoding_are_escaped(
    environment: dict[str, str], tmp_path: Path
) -> None:
    manifest = Manifest((TensorInfo("loss", "schicht ü", "verlust 損", (), "float32"),), "Watcher")
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), manifest) as writer:
        writer.write(0, 0, lambda step: [np.array(INF)])
    done = nanwatch(environment, "report", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 1, done.stderr
    assert "schicht \\xfc" in done.stdout
    assert "verlust \\u640d" in done.stdout


def test_help_and_version(environment: dict[str, str]) -> None:
    for words in (["--help"], ["report", "--help"], []):
        done = nanwatch(environment, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: nanwatch")
    assert nanwatch(environment, "--version").stdout.startswith("nanwatch ")


def test_demo_passes_its_arguments_to_the_gallery(
    environment: dict[str, str], tmp_path: Path
) -> None:
    gallery = tmp_path / "tb_nanwatch_demo"
    gallery.mkdir()
    (gallery / "__init__.py").touch()
    (gallery / "__main__.py").write_text("import sys; print(sys.argv[1:]); sys.exit(3)\n")
    path = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    done = nanwatch(environment, "demo", "--help", "--case", "x", PYTHONPATH=path)
    assert done.stdout == "['--help', '--case', 'x']\n"
    assert done.returncode == 3


def test_demo_without_a_gallery_says_where_it_is(environment: dict[str, str]) -> None:
    done = nanwatch(environment, "demo")
    if "not part of this installation" not in done.stderr:
        pytest.skip("the gallery is installed here")
    assert done.returncode == 2
