"""The committed protobuf module and the format on disk, at both ends of the range that we ask for.

Each end is installed into a folder of its own under .venv/, kept, and put before everything else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENDS = {"oldest": "protobuf==6.31.1", "newest": "protobuf>=7,<8"}
TESTS = ("tests/unit/test_golden.py", "tests/unit/test_format.py")


@pytest.fixture(scope="module", params=ENDS)
def end(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """An end's name, and the environment in which Python finds that protobuf first."""
    folder = ROOT / ".venv" / f"protobuf-{request.param}"
    if not (folder / "google" / "protobuf").is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
        subprocess.run(
            [*pip, "--target", partial, ENDS[request.param]], check=True, capture_output=True
        )
        partial.rename(folder)
    path = os.pathsep.join([str(folder), str(ROOT)])
    return request.param, {**os.environ, "PYTHONPATH": path}


def test_this_protobuf_is_the_one_that_runs(end: tuple[str, dict[str, str]]) -> None:
    name, variables = end
    code = "import google.protobuf as p; print(p.__version__)"
    version = subprocess.check_output([sys.executable, "-c", code], env=variables, text=True)
    assert version.startswith({"oldest": "6.31.1", "newest": "7."}[name])


def test_the_format_holds(end: tuple[str, dict[str, str]]) -> None:
    """Golden bytes and round trips. A runtime one major version ahead says so in a warning."""
    _, variables = end
    ignore = ["-W", "ignore:Protobuf gencode version:UserWarning"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ignore, *TESTS]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
