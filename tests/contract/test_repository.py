"""The repository as a whole: its layout, its version, and what is generated but committed."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tb_nanwatch

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    ".github/workflows/tests.yml",
    "action.yml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "pyproject.toml",
    "setup.py",
    "demo/run",
    "frontend/README.md",
    "frontend/package-lock.json",
    "tb_nanwatch/http/http_api.md",
    "tb_nanwatch/py.typed",
    "tests/run",
)
ROOMS = ("stats", "format", "training", "adapters", "reader", "grid", "diagnosis", "http")


def declared_version() -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "([^"]+)"$', text, re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize("name", FILES)
def test_file_is_there(name: str) -> None:
    assert (ROOT / name).is_file()


@pytest.mark.parametrize("room", ROOMS)
def test_room_says_what_it_is_for(room: str) -> None:
    source = (ROOT / "tb_nanwatch" / room / "__init__.py").read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("script", ["tests/run", "demo/run", ".ci/run"])
def test_script_can_be_started(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env ")


def test_version_is_the_same_everywhere() -> None:
    version = declared_version()
    assert tb_nanwatch.__version__ == version
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (\S+)", changelog, re.MULTILINE)
    assert headings[0] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    ci = (ROOT / "docs" / "guides" / "ci.md").read_text(encoding="utf-8")
    assert re.findall(r"uses: \S+/tb-nanwatch@v(\S+)", ci) == [version]


def test_the_workflow_runs_every_environment_with_a_python_that_it_has() -> None:
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    pairs = re.findall(r'- \{environment: (\S+), python: "(\S+)"\}', workflow)
    source = (ROOT / "tests" / "matrix" / "environments.py").read_text(encoding="utf-8")
    namespace: dict[str, Any] = {}
    exec(compile(source, "environments.py", "exec"), namespace)
    known = {each.name: each.pythons for each in namespace["ENVIRONMENTS"]}
    assert [name for name, _ in pairs] == list(known)
    assert all(python in known[name] for name, python in pairs)


def test_the_action_offers_what_the_documentation_shows() -> None:
    action = (ROOT / "action.yml").read_text(encoding="utf-8")
    offered = re.findall(r"^  (\w+):\n    description", action, re.MULTILINE)
    ci = (ROOT / "docs" / "guides" / "ci.md").read_text(encoding="utf-8")
    used = re.search(r"    with:\n((?:      .*\n)+)", ci)
    assert used is not None
    assert set(re.findall(r"^      (\w+):", used[1], re.MULTILINE)) <= set(offered)


def test_built_tab_is_not_committed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing is committed here")
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    assert "tb_nanwatch/stats/columns.py" in tracked
    assert not [name for name in tracked if re.search(r"(^|/)(static|dist|node_modules)/", name)]


@pytest.mark.parametrize("suffix", [".py", ".pyi"])
def test_protobuf_module_is_what_its_proto_gives(suffix: str, tmp_path: Path) -> None:
    """Made by grpcio-tools 1.62.3: the last whose modules serve every protobuf from 4.25 on."""
    if sys.version_info >= (3, 13):
        pytest.skip("grpcio-tools 1.62.3 has no wheel for this Python")
    tools = ROOT / ".venv" / "grpcio-tools-1.62.3"
    if not tools.is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
        made = tmp_path / "tools"
        subprocess.run([*pip, "--target", made, "grpcio-tools==1.62.3"], check=True)
        shutil.move(made, tools)
    schema = ROOT / "tb_nanwatch" / "format"
    shutil.copy(schema / "nanwatch.proto", tmp_path)
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", "--python_out=.", "--pyi_out=."]
    variables = {**os.environ, "PYTHONPATH": str(tools)}
    subprocess.run(
        [*command, "nanwatch.proto"], cwd=tmp_path, env=variables, check=True, timeout=60
    )
    made = (tmp_path / f"nanwatch_pb2{suffix}").read_text(encoding="utf-8")
    assert (schema / f"nanwatch_pb2{suffix}").read_text(encoding="utf-8") == made
