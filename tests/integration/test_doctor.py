"""`nanwatch doctor`, and what is said where this Python lacks something."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tb_nanwatch import requirements
from tb_nanwatch.cli import doctor, main
from tb_nanwatch.cli.doctor import Check

ROOT = Path(__file__).resolve().parents[2]


def said(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    """Labels and texts of the lines."""
    lines = capsys.readouterr().out.splitlines()
    return [(line[:6].strip(), line[6:]) for line in lines]


def python(code: str, **variables: str) -> str:
    """What a Python without site-packages of ours prints for it."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def versions(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> Iterator[None]:
    real = requirements.version_of
    with monkeypatch.context() as patch:
        patch.setattr(requirements, "version_of", lambda name: versions.get(name, real(name)))
        yield


def answers(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> None:
    """Has the probes answer so, by the names of their code; well, where nothing is said of one."""
    ok = {
        "_FRAMEWORK": ({"tensorflow": "2.21.0", "keras": "3.15.1", "backend": "tensorflow"}, ""),
        "_TENSORBOARD": ({"loaders": 1, "samples": 0}, ""),
        "_DATA_SERVER": ("/bin/server", ""),
    }
    by_code = {getattr(doctor, name): (ok | answers)[name] for name in ok}

    class Answer:
        def __init__(self, code: str):
            self.answer = lambda: by_code[code]

    monkeypatch.setattr(doctor, "Probe", Answer)


def trouble(logdir: str | None = None) -> dict[str, Check]:
    """Lines that are not ok, but for the port's and the command's, by their first words."""
    return {
        check.text.split(" ", 2)[0]: check
        for check in doctor.checks(logdir)
        if check.outcome != "ok" and "PATH" not in check.text and "Port" not in check.text
    }


def test_here_all_is_well(gallery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(gallery)]) == 0
    lines = said(capsys)
    assert "FAIL" not in dict(lines)
    oks = "\n".join(text for label, text in lines if label != "fix")
    for name in ("numpy", "protobuf", "tensorboard", "keras"):
        assert f"{requirements.NAMES[name]} {metadata.version(name)}" in oks
    assert "Keras runs on TensorFlow" in oks
    runs = re.search(r"(\d+) runs, ([\d,]+) of ([\d,]+) records read", oks)
    assert runs is not None
    assert int(runs[1]) == len(list(gallery.iterdir()))
    assert runs[2] == runs[3] != "0"


@pytest.mark.parametrize(
    ("answer", "words", "fix"),
    [
        (
            {"_TENSORBOARD": (None, "ModuleNotFoundError: No module named 'pkg_resources'")},
            "TensorBoard does not start",
            "pip install 'setuptools<81'",
        ),
        ({"_TENSORBOARD": (None, "KeyError: 1")}, "KeyError: 1", "--force-reinstall tensorboard"),
        ({"_TENSORBOARD": ({"loaders": 0, "samples": None}, "")}, "plugin", "tb-nanwatch"),
        ({"_TENSORBOARD": ({"loaders": 1, "samples": 10}, "")}, "samples", "nanwatch=0"),
        (
            {"_FRAMEWORK": (None, "ImportError: libfoo.so: no such file")},
            "libfoo.so",
            "--force-reinstall tensorflow",
        ),
        (
            {"_FRAMEWORK": ({"tensorflow": "", "keras": "", "backend": "torch"}, "")},
            "the backend is torch",
            "KERAS_BACKEND=tensorflow",
        ),
    ],
)
def test_what_does_not_work_fails_with_its_fix(
    answer: dict[str, Any],
    words: str,
    fix: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers(monkeypatch, **answer)
    assert main(["doctor"]) == 1
    lines = said(capsys)
    at = [label for label, _ in lines].index("FAIL")
    assert words in lines[at][1]
    assert lines[at + 1][0] == "fix"
    assert fix in lines[at + 1][1]


def test_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch)
    assert trouble() == {}
    with versions(monkeypatch, keras="3.2.1", tensorboard="2.15.0", numpy="9.0.0"):
        found = trouble()
    assert {name: check.outcome for name, check in found.items()} == {
        "Keras": "FAIL",
        "TensorBoard": "FAIL",
        "NumPy": "note",
    }
    assert found["Keras"].fix.endswith("-m pip install --upgrade 'keras>=3.3'")
    with versions(monkeypatch, tensorflow=None):
        (check,) = trouble().values()
    assert check.outcome == "note", "a machine that only reads needs none"
    assert check.fix.endswith("-m pip install 'tb-nanwatch[tensorflow]'")


def test_no_data_server_and_no_tab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers(monkeypatch, _DATA_SERVER=(None, ""))
    assert trouble()["loader:"].outcome == "note"
    monkeypatch.setattr(doctor, "_TAB", tmp_path / "a" / "b" / "index.js")
    tab = trouble()["The"]
    assert (tab.outcome, "tb-nanwatch" in tab.fix) == ("FAIL", True)


def test_a_log_directory_without_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers(monkeypatch)
    (check,) = trouble(str(tmp_path)).values()
    assert check.outcome == "FAIL"
    assert "no NaNWatch data" in check.text
    assert "nanwatch.Callback" in check.fix


def test_a_port_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(doctor, "_PORT", taken.getsockname()[1])
        answers(monkeypatch)
        check = list(doctor.checks(None))[-1]
    assert check.outcome == "note"
    assert "--port" in check.fix


def test_the_import_succeeds_without_anything_and_the_use_says_what_to_install() -> None:
    code = f"""
import sys
sys.path[:] = [{str(ROOT)!r}, *(p for p in sys.path if "site-packages" not in p)]
import tb_nanwatch
for name in ("Callback", "Watcher", "summary", "show"):
    try:
        getattr(tb_nanwatch, name)
    except ImportError as error:
        print(error)
from tb_nanwatch.cli import main
print(main(["report", "nowhere"]), main(["doctor", "nowhere"]))
"""
    *errors, _, statuses = [
        line for line in python(code).splitlines() if line[:4] not in ("ok  ", "fix ", "note")
    ]
    wanted = f"{sys.executable} -m pip install 'tb-nanwatch[tensorflow]'"
    sentence = f"NaNWatch cannot record here. This Python has no TensorFlow. Run: {wanted}"
    assert errors[:3] == [sentence] * 3
    assert errors[3].startswith("NaNWatch cannot read logs here. This Python has no NumPy. Run: ")
    assert statuses == "2 1"


def test_a_backend_that_is_not_installed_is_one_sentence() -> None:
    code = """
import tb_nanwatch
try:
    tb_nanwatch.Callback
except ImportError as error:
    print(error)
"""
    assert python(code, KERAS_BACKEND="jax").splitlines() == [
        "NaNWatch cannot record here. nanwatch.Callback needs Keras' TensorFlow backend, but the "
        "backend is jax. Set the environment variable KERAS_BACKEND=tensorflow, or pass NumPy "
        "arrays to nanwatch.Watcher."
    ]


def test_the_versions_are_those_that_are_declared_and_tested() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for name in ("tensorboard", "protobuf", "tensorflow"):
        oldest = requirements.dotted(requirements.OLDEST[name])
        assert f'"{name}>={oldest}' in project
    pins = (ROOT / "tests" / "requirements.txt").read_text(encoding="utf-8")
    for name in ("tensorflow", "keras", "tensorboard"):
        newest = re.search(rf"^{name}==(\d+\.\d+)", pins, re.MULTILINE)
        assert newest is not None
        assert newest[1] == requirements.dotted(requirements.NEWEST_TESTED[name])
