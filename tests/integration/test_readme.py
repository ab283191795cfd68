"""The README's code runs as it stands, and records what the README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from recorded import read_recorded

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
DIRECTORIES = ("logs/run1/nanwatch", "logs/run2", "logs/run3/nanwatch")


def test_there_are_as_many_blocks_as_directories() -> None:
    assert len(BLOCKS) == len(DIRECTORIES)


@pytest.mark.parametrize(("code", "directory"), [*zip(BLOCKS, DIRECTORIES, strict=True)])
def test_block_runs_and_records(code: str, directory: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = read_recorded(tmp_path / directory)
    assert found.records
    assert found.names("gradient")
    report = subprocess.run(
        [sys.executable, "-m", "tb_nanwatch", "report", str(tmp_path / "logs")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert report.returncode == 0, report.stderr
    assert "healthy" in report.stdout


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
