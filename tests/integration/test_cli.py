"""The console command, as a process of its own."""

from __future__ import annotations

import fcntl
import html
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest
from synthetic_logs import INF, NAN, StreamWriter, mlp_manifest, mlp_values, window_record

from tb_nanwatch.format.events import record_values
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.tags import Stream
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import WINDOW_FIELD

ROOT = Path(__file__).parents[2]

BY_DATA_SERVER = (
    "import sys; from tb_nanwatch.cli import main; from tb_nanwatch.logdir import loading; "
    "loading.DATA_SERVER_BYTES = 0; sys.exit(main())"
)
BY_NOTHING_ELSE = (
    f"import sys; sys.modules['tb_nanwatch.logdir.python_loader'] = None; {BY_DATA_SERVER}"
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With a tensorflow on the path that raises: every test here shows that none is needed."""
    fake = tmp_path_factory.mktemp("fake") / "tensorflow"
    fake.mkdir()
    (fake / "__init__.py").write_text("raise RuntimeError('TensorFlow was imported')\n")
    path = os.pathsep.join([str(fake.parent), str(ROOT)])
    variables = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error"}
    variables.pop("PYTHONUNBUFFERED", None)  # It would hide what is only found out at exit.
    return variables


def nanwatch(
    environment: dict[str, str],
    *words: str | Path,
    program: tuple[str, ...] = ("-m", "tb_nanwatch"),
    **more: str,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program, *map(str, words)],
        env={**environment, **more},
        capture_output=True,
        text=True,
    )


ONE_AFTER_ANOTHER = """
import contextlib, io, json, sys
from tb_nanwatch.cli import main
ended = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(words)
        except SystemExit as exit:
            status = exit.code
    ended.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(ended))
"""


class Ended(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def nanwatch_each(environment: dict[str, str], *commands: Sequence[str | Path]) -> list[Ended]:
    """Several commands in one process: most of the time of each would be Python's start."""
    words = json.dumps([[str(word) for word in command] for command in commands])
    done = nanwatch(environment, words, program=("-c", ONE_AFTER_ANOTHER))
    assert done.returncode == 0, done.stderr
    return [Ended(*each) for each in json.loads(done.stdout)]


def as_json(done: subprocess.CompletedProcess[str] | Ended) -> Any:
    return json.loads(done.stdout, parse_constant=pytest.fail)


def one_loss(folder: Path, value: float, name: str = "loss", layer: str = "") -> Path:
    """A run of one step whose only tensor is its loss."""
    manifest = Manifest((TensorInfo("loss", layer, name, (), "float32"),), "Watcher")
    with StreamWriter(folder / "nanwatch", Stream("0a"), manifest) as writer:
        writer.write(0, 0, lambda step: [np.array(value)])
    return folder


def test_a_report_says_where_it_began(environment: dict[str, str], gallery: Path) -> None:
    done = nanwatch(environment, "report", gallery, "--run", "nan_f")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[:5] == [
        "nan_feature: NaN or Inf",
        "  steps 0-239",
        "",
        "  ERROR NaN in the input data at step 37",
        "    why         The input contains 1 NaN at step 37: the data is not finite",
    ]
    assert any(line.startswith("    fix         Find the rows") for line in lines)
    assert "      print(np.flatnonzero(~good))  # bad rows" in lines
    assert "    cause       nonfinite-input (steps 37-239)" in lines
    assert "    seen on     input" in lines
    assert "    spread to   2 gradients and 2 weights (step 37), in `dense`" in lines


def test_healthy_runs_end_with_0(environment: dict[str, str], gallery: Path) -> None:
    done = nanwatch(environment, "report", gallery, "--run", "^(healthy|loss_scaling|resumed)$")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": healthy\n") == 3
    assert "6 steps skipped by LossScaleOptimizer" in " ".join(done.stdout.split())


def test_a_report_of_everything_fits_the_screen(environment: dict[str, str], gallery: Path) -> None:
    done = nanwatch(environment, "report", gallery)
    assert done.returncode == 1, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "empty: nothing recorded yet" in done.stdout
    assert "worker `worker1`" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\\x1b[31m\\u202e" in done.stdout


def test_json_keeps_the_contract(environment: dict[str, str], gallery: Path) -> None:
    done = nanwatch(environment, "report", gallery, "--json")
    assert (done.returncode, done.stderr) == (1, "")
    answer = as_json(done)
    assert list(answer) == ["version", "runs"]
    assert answer["version"] == 1
    runs = {run["run"]: run for run in answer["runs"]}
    assert list(runs) == sorted(runs)
    for run in runs.values():
        assert set(run) - {"problems"} == {
            *("run", "status", "headline", "began", "first_step", "last_step"),
            *("records", "findings"),
        }
        assert run["status"] in ("nonfinite", "unstable", "healthy", "empty")
        assert set(run["records"]) == {"written", "read"}
        for finding in run["findings"]:
            assert set(finding) - {"record_also"} == {
                *("cause", "severity", "step", "last_step", "origin"),
                *("affected", "evidence", "headline", "message", "advice", "fix_code", "help"),
            }
            assert set(finding["origin"]) - {"worker"} == {"role", "layer", "tensor"}
            assert finding["message"]
            assert finding["advice"]
            assert 0 <= finding["step"] <= finding["last_step"]
    (finding,) = (f for f in runs["nan_feature"]["findings"] if f["severity"] == "error")
    assert (finding["cause"], finding["step"], finding["last_step"]) == ("nonfinite-input", 37, 239)
    assert finding["origin"] == {"role": "input", "layer": "", "tensor": "input"}
    assert finding["affected"][0] == {
        "role": "gradient",
        "layer": "dense",
        "tensor": "mlp/dense/kernel",
        "step": 37,
    }
    empty = runs["empty"]
    assert (empty["status"], empty["first_step"], empty["findings"]) == ("empty", None, [])


def test_formats_for_ci_have_the_findings_and_the_status(
    environment: dict[str, str], gallery: Path
) -> None:
    formats = ("json", "github", "junit")
    ended = nanwatch_each(
        environment,
        *(["report", gallery, "--format", form] for form in formats),
        ["report", gallery, "--format", "github", "--compare", "--run", "^(healthy|nan_feature)$"],
    )
    assert [each.returncode for each in ended] == [1, 1, 1, 2]
    runs = as_json(ended[0])["runs"]
    findings = [each for run in runs for each in run["findings"]]
    annotated = [line for line in ended[1].stdout.splitlines() if not line.startswith("::notice")]
    said = [line.split("::")[1].split()[0] for line in annotated]
    severities = [each["severity"] for each in findings if each["severity"] != "info"]
    assert said == severities
    failures = ElementTree.fromstring(ended[2].stdout).findall(".//testcase[failure]")
    broken = [run["run"] for run in runs if run["status"] == "nonfinite"]
    assert [case.get("name") for case in failures] == broken


def test_both_of_tensorboards_loaders_tell_the_same(
    environment: dict[str, str], gallery: Path
) -> None:
    slow = nanwatch(environment, "report", gallery, "--json")
    # A proxy that the environment names is not asked.
    proxy = {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    words = ("report", gallery, "--json")
    fast = nanwatch(environment, *words, program=("-c", BY_NOTHING_ELSE), **proxy)
    assert (fast.returncode, fast.stderr) == (1, "")
    assert as_json(fast) == as_json(slow)


def test_without_a_data_server_the_other_loader_reads(
    environment: dict[str, str], gallery: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "server"
    for content in ("#!/bin/sh\nexit 1\n", "#!/bin/sh\necho 'listening on x:1' >&2\n"):
        broken.write_text(content)
        broken.chmod(0o755)
        done = nanwatch(
            environment,
            *("report", gallery, "--run", "nan_f"),
            program=("-c", BY_DATA_SERVER),
            TENSORBOARD_DATA_SERVER_BINARY=str(broken),
        )
        assert (done.returncode, done.stderr) == (1, "")
        assert "ERROR NaN in the input data at step 37" in done.stdout


IMPOSSIBLE = {
    "report {logs}/nowhere": "is not a directory",
    "report {logs}/nowhere --json": "is not a directory",
    "report {empty}": "no NaNWatch data below",
    "report nosuch://logs": "TensorBoard cannot read 'nosuch://logs'",
    "report {logs} --run (": "invalid regular expression",
    "report {logs} --run zebra": "no run matches 'zebra'. Runs: bad_checkpoint",
    "report {logs} --run empty": "no record could be read",
    "report {logs} --run empty --json": "no record could be read",
    "report {logs} --threshold 7": "invalid threshold '7'",
    "report {logs} --threshold a=nan": "expected NAME=VALUE",
    "report {logs} --threshold zebra=7": "Unknown threshold 'zebra'. Known",
    "report {logs} --thresholds {empty}/none": "No such file",
    "report {logs} --compare": "--compare needs exactly two runs, but 8 match: bad_check",
    "report {logs} --tolerance -1": "invalid tolerance",
    "report {logs} --html {empty}": "cannot write",
    "report {logs} --html {empty}/none/page.html": "Expected a file in an existing directory",
    "report {logs} --html /dev/full": "cannot write '/dev/full': No space left on device",
    "report": "LOGDIR",
    "rapport": "invalid choice",
    "report {logs} --yaml": "unrecognized arguments",
}


def test_what_cannot_be_done_ends_with_2(
    environment: dict[str, str], gallery: Path, tmp_path: Path
) -> None:
    ended = nanwatch_each(
        environment,
        *(
            [word.format(logs=gallery, empty=tmp_path) for word in words.split()]
            for words in IMPOSSIBLE
        ),
    )
    for (words, said), done in zip(IMPOSSIBLE.items(), ended, strict=True):
        assert (done.returncode, said in done.stderr) == (2, True), (words, done)


@pytest.mark.parametrize("program", [("-m", "tb_nanwatch"), ("-c", BY_DATA_SERVER)])
def test_a_damaged_file_is_named_and_costs_no_other_run(
    environment: dict[str, str], tmp_path: Path, program: tuple[str, ...]
) -> None:
    one_loss(tmp_path / "good", 1.0)
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "events.out.tfevents.1.host").write_bytes(b"not at all" * 100)
    (cut,) = (one_loss(tmp_path / "cut", 1.0) / "nanwatch").iterdir()
    content = bytearray(cut.read_bytes())
    content[-20] ^= 1  # Within the last record.
    cut.write_bytes(content)
    (bad / "events.out.tfevents.2.host").symlink_to(tmp_path / "nowhere")
    done = nanwatch(environment, "report", tmp_path, program=program)
    assert done.returncode == 0, done.stderr
    assert "good: healthy" in done.stdout
    assert "events.out.tfevents.1.host' is corrupt" in done.stderr
    assert f"{cut.name}' is corrupt" in done.stderr
    assert "Traceback" not in done.stderr


def test_records_of_a_newer_version_say_so(environment: dict[str, str], tmp_path: Path) -> None:
    manifest = mlp_manifest()
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), manifest) as writer:
        record = window_record(manifest, 0, 0, 3, mlp_values(manifest))
        values = record_values(writer.stream, 0, record)
        packed = np.frombuffer(values[0].tensor.tensor_content).copy()
        packed[WINDOW_FIELD["version"]] = 99
        values[0].tensor.tensor_content = packed.tobytes()
        writer.add(3, values)
    done = nanwatch(environment, "report", tmp_path)
    assert done.returncode == 2
    assert "1 of 1 record has version 99" in done.stdout
    assert "no record could be read" in done.stderr


def test_findings_of_a_part_of_the_records_say_so(
    environment: dict[str, str], tmp_path: Path
) -> None:
    manifest = mlp_manifest()
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), manifest) as writer:
        values = mlp_values(manifest, lambda t, s: (NAN,) * (t.role == "loss" and s >= 20))
        for first in (0, 8, 24, 32):
            writer.sequence = first // 8
            writer.write(first, first + 7, values)
    done, structured = nanwatch_each(
        environment, ["report", tmp_path], ["report", tmp_path, "--json"]
    )
    assert done.returncode == 1, done.stderr
    assert "4 of 5 records" in done.stdout
    assert "1 of 5 records is missing" in done.stdout
    assert "Some records of this run are missing" in " ".join(done.stdout.split())
    (run,) = as_json(structured)["runs"]
    assert run["records"] == {"written": 5, "read": 4}
    assert "1 of 5 records is missing" in run["problems"][0]


def on_terminal(
    environment: dict[str, str], *words: str | Path, columns: int = 0, **more: str
) -> bytes:
    """What the command writes to a terminal."""
    here, there = pty.openpty()
    if columns:
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    command = [sys.executable, "-m", "tb_nanwatch", *map(str, words)]
    with subprocess.Popen(command, env={**environment, **more}, stdout=there):
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
    plain["TERM"] = "xterm"
    words = ("report", gallery, "--run", "healthy")
    coloured = b"\x1b[1;32mhealthy\x1b[0m"
    assert coloured in on_terminal(plain, *words)
    assert coloured in on_terminal(plain, *words, NO_COLOR="")  # As no-color.org has it.
    assert b"\x1b" not in on_terminal(plain, *words, NO_COLOR="1")
    assert b"\x1b" not in on_terminal(plain, *words, TERM="dumb")


@pytest.mark.parametrize("columns", [50, 110])
def test_text_wraps_to_the_terminal(
    environment: dict[str, str], gallery: Path, columns: int
) -> None:
    said = on_terminal(
        environment, "report", gallery, "--run", "nan_f", columns=columns, NO_COLOR="1"
    )
    # Code to copy is not wrapped: it stands at a column of its own.
    text = [line for line in said.decode().splitlines() if not re.match(" {6}[^ ]", line)]
    assert columns - 20 < max(map(len, text)) <= columns


def test_a_reader_that_went_away_is_no_traceback(
    environment: dict[str, str], gallery: Path
) -> None:
    # More than a buffer of output, less than one, and argparse's own.
    for words in (["report", gallery, "--json"], ["report", gallery, "--run", "healthy"], ["-h"]):
        command = [sys.executable, "-m", "tb_nanwatch", *map(str, words)]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 2


def test_a_full_disk_is_no_traceback(environment: dict[str, str], gallery: Path) -> None:
    command = [sys.executable, "-m", "tb_nanwatch", "report", str(gallery), "--run", "healthy"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == b"nanwatch: [Errno 28] No space left on device\n"


def test_names_outside_the_encoding_are_escaped(
    environment: dict[str, str], tmp_path: Path
) -> None:
    one_loss(tmp_path, INF, "verlust 損", "schicht ü")
    done = nanwatch(environment, "report", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 1, done.stderr
    assert "schicht \\xfc" in done.stdout
    assert "verlust \\u640d" in done.stdout
    done = nanwatch(environment, "report", tmp_path, "--json", PYTHONIOENCODING="ascii")
    (run,) = as_json(done)["runs"]
    assert run["findings"][0]["origin"]["tensor"] == "verlust 損"


def test_long_names_are_shortened_in_text_alone(
    environment: dict[str, str], tmp_path: Path
) -> None:
    name = "a" * 5000 + "/" + "b" * 5000
    one_loss(tmp_path, INF, name)
    done, structured = nanwatch_each(
        environment, ["report", tmp_path], ["report", tmp_path, "--json"]
    )
    assert len(done.stdout) < 4000
    assert "aaa...bbb" in done.stdout
    (run,) = as_json(structured)["runs"]
    assert run["findings"][0]["origin"]["tensor"] == name


def test_links_to_logs_are_followed(
    environment: dict[str, str], gallery: Path, tmp_path: Path
) -> None:
    (tmp_path / "linked").symlink_to(gallery / "nan_feature")
    (tmp_path / "healthy").mkdir()
    (tmp_path / "healthy" / "around").symlink_to(tmp_path)
    for program in (("-m", "tb_nanwatch"), ("-c", BY_DATA_SERVER)):
        done = nanwatch(environment, "report", tmp_path / "linked", program=program)
        assert (done.returncode, done.stderr) == (1, "")
    done = nanwatch(environment, "report", tmp_path, program=("-c", BY_DATA_SERVER))
    assert "linked: NaN or Inf" in done.stdout


def test_several_log_directories_are_one_report(
    environment: dict[str, str], gallery: Path, tmp_path: Path
) -> None:
    words = ("report", gallery / "healthy", gallery / "nan_feature", tmp_path)
    done = nanwatch(environment, *words, "--json")
    names = [run["run"] for run in as_json(done)["runs"]]
    assert names == [str(gallery / "healthy"), str(gallery / "nan_feature")]
    assert (done.returncode, "no NaNWatch data below" in done.stderr) == (1, True)


def test_two_runs_are_compared(environment: dict[str, str], gallery: Path, tmp_path: Path) -> None:
    manifest = mlp_manifest()
    for name, bad in (("one", ()), ("two", (NAN,))):
        with StreamWriter(tmp_path / name / "nanwatch", Stream("0a"), manifest) as writer:
            values = mlp_values(
                manifest, lambda t, s, bad=bad: bad if t.role == "target" and s == 21 else ()
            )
            for first in range(0, 48, 16):
                writer.write(first, first + 15, values)
    compared = ["report", tmp_path, "--compare"]
    again = ["report", tmp_path / "one", tmp_path / "one", "--compare", "--tolerance", "0"]
    done, structured, same = nanwatch_each(environment, compared, [*compared, "--json"], again)
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stdout.split("one and two:\n")[1].split())
    assert said.startswith(
        "They diverge at step 21, first in target: 1 NaN or Inf element in `two`, none in `one`."
    )
    comparison = as_json(structured)["comparison"]
    assert comparison["runs"] == ["one", "two"]
    assert comparison["first_difference"]["step"] == 21
    alike = " ".join(same.stdout.split())
    assert (
        "norms agree within a relative tolerance of 0. Compared steps 0-47 of 19 tensors" in alike
    )


def test_norms_beyond_float64_are_json(environment: dict[str, str], tmp_path: Path) -> None:
    manifest = Manifest((TensorInfo("gradient", "d", "d/kernel", (3,), "float64"),), "Watcher")
    for name, size in (("one", 1.0), ("two", 1e300)):
        with StreamWriter(tmp_path / name / "nanwatch", Stream("0a"), manifest) as writer:
            writer.write(0, 0, lambda step, size=size: [np.full(3, size)])
    done, text = nanwatch_each(
        environment,
        ["report", tmp_path, "--compare", "--json"],
        ["report", tmp_path, "--compare", "--html", tmp_path / "page.html"],
    )
    one, two = as_json(done)["comparison"]["first_difference"]["values"]
    assert (one, two) == (pytest.approx(1.0), "Infinity")
    assert "RMS 1 and inf" in " ".join(text.stdout.split())


def test_a_page_holds_all_in_one_file(
    environment: dict[str, str], gallery: Path, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    done = nanwatch(environment, "report", gallery, "--html", file, "--json")
    assert (done.returncode, done.stderr) == (1, f"nanwatch: wrote {file}\n")
    content = file.read_text(encoding="ascii")
    for run in as_json(done)["runs"]:
        assert f"<li>{html.escape(run['run'])}: " in content
    assert not re.search(r"<(?:img|link|iframe)|<script[^>]* src|@import", content)


def test_thresholds_come_from_flags_and_a_file(
    environment: dict[str, str], gallery: Path, tmp_path: Path
) -> None:
    (listed,) = nanwatch_each(environment, ["report", "--list-thresholds"])
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "growth_decades = 3\n" in listed.stdout
    files = {
        "all": listed.stdout,
        "wrong": "growth_decades = 3\n\n# nothing\ngrowth_steps = 0  # none\n",
        "broken": "growth_decades 3\n",
        "binary": "",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    report = ["report", gallery, "--run", "healthy", "--thresholds"]
    commands = [[*report, tmp_path / name] for name in files]
    commands.append([*report, tmp_path / "wrong", "--threshold", "growth_steps=3"])
    every, wrong, broken, binary, mended = nanwatch_each(environment, *commands)
    assert every.returncode == mended.returncode == 0
    for done, said in (
        (wrong, "Expected growth_steps to be"),
        (broken, f"line 1 of '{tmp_path / 'broken'}': invalid threshold 'growth_decades 3'"),
        (binary, "is not UTF-8 text"),
    ):
        assert (done.returncode, said in done.stderr) == (2, True), done


def test_a_path_of_any_file_system_is_read(environment: dict[str, str], gallery: Path) -> None:
    done = nanwatch(environment, "report", f"file://{gallery}", "--json", PYTHONWARNINGS="")
    assert done.returncode == 1, done.stderr
    assert as_json(done) == as_json(nanwatch(environment, "report", gallery, "--json"))


def test_help_and_version(environment: dict[str, str]) -> None:
    for done in nanwatch_each(environment, ["--help"], ["report", "--help"], []):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: nanwatch")
    assert nanwatch(environment, "--version").stdout.startswith("nanwatch ")


def test_what_needs_no_log_loads_next_to_nothing(environment: dict[str, str]) -> None:
    code = """
        import sys
        from tb_nanwatch.cli import main
        main([])
        heavy = {"numpy", "tensorboard", "google.protobuf", "importlib.metadata"}
        sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)
    """
    done = nanwatch(environment, program=("-c", textwrap.dedent(code)))
    assert (done.returncode, done.stderr) == (0, "")


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
