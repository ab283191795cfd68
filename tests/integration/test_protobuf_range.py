"""The committed protobuf module and the format on disk, over the range that we ask for.

Each is installed into a folder of its own under .venv/, kept, and put before everything else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = {
    "4.25.0": ("protobuf==4.25.0", "tensorboard==2.16.2"),
    "5.": ("protobuf>=5,<6", "tensorboard==2.19.0"),
    "7.": ("protobuf>=7,<8",),
}
"""What a version begins with, and what pip is asked for: a TensorBoard with modules as old, too.

Version 6 is that of all other tests.
"""

TESTS = ("tests/unit/test_golden.py", "tests/unit/test_format.py")


@pytest.fixture(scope="module", params=VERSIONS)
def protobuf(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """What the version begins with, and the environment in which Python finds it first."""
    folder = ROOT / ".venv" / f"protobuf-{request.param.rstrip('.')}"
    if not (folder / "google" / "protobuf").is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        partial = folder.with_name(f"{folder.name}-partial")
        shutil.rmtree(partial, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
        subprocess.run(
            [*pip, "--target", partial, *VERSIONS[request.param]], check=True, capture_output=True
        )
        partial.rename(folder)
    path = os.pathsep.join([str(folder), str(ROOT)])
    return request.param, {**os.environ, "PYTHONPATH": path}


def test_this_protobuf_is_the_one_that_runs(protobuf: tuple[str, dict[str, str]]) -> None:
    begin, variables = protobuf
    code = "import google.protobuf as p; print(p.__version__)"
    version = subprocess.check_output([sys.executable, "-c", code], env=variables, text=True)
    assert version.startswith(begin)


def test_the_format_holds(protobuf: tuple[str, dict[str, str]]) -> None:
    """Golden bytes and round trips, and no warning of the runtime."""
    _, variables = protobuf
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
