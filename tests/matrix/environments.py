"""The environments that NaNWatch is run in, the newest first, and the interpreters for them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ANY = "3.13", "3.12", "3.11", "3.10"


@dataclass(frozen=True)
class Environment:
    """Versions that people have together.

    Attributes:
      name: of it.
      pythons: minor versions that its TensorFlow has wheels for, the preferred one first.
      requirements: what pip installs before the wheel of NaNWatch, which has to fit to it.
    """

    name: str
    pythons: tuple[str, ...]
    requirements: tuple[str, ...]


# Up to 2.20, TensorBoard imports pkg_resources, which setuptools 82 no longer has.
_SETUPTOOLS = "setuptools<81"

ENVIRONMENTS = (
    Environment(
        "newest", ANY, ("tensorflow-cpu==2.21.0", "keras", "tensorboard==2.21.0", "protobuf==7.*")
    ),
    Environment(
        "tf2.20",
        ANY,
        (
            "tensorflow-cpu==2.20.0",
            "keras>=3.11,<3.13",
            "tensorboard==2.20.*",
            "protobuf==6.*",
            _SETUPTOOLS,
        ),
    ),
    Environment(
        "tf2.19",
        ANY[1:],
        (
            "tensorflow-cpu==2.19.1",
            "keras==3.8.0",
            "tensorboard==2.19.*",
            "protobuf==5.29.*",
            _SETUPTOOLS,
        ),
    ),
    Environment(
        "tf2.18",
        ANY[1:],
        (
            "tensorflow-cpu==2.18.1",
            "keras==3.6.0",
            "tensorboard==2.18.*",
            "numpy==2.0.*",
            "protobuf==5.29.*",
            _SETUPTOOLS,
        ),
    ),
    Environment(
        "tf2.17",
        ("3.11", "3.12", "3.10"),
        (
            "tensorflow-cpu==2.17.1",
            "keras==3.4.1",
            "tensorboard==2.17.*",
            "numpy==1.26.*",
            "protobuf==4.25.*",
            _SETUPTOOLS,
        ),
    ),
    Environment(
        "oldest",
        ("3.10", "3.11", "3.12"),
        (
            "tensorflow-cpu==2.16.2",
            "keras==3.3.3",
            "tensorboard==2.16.*",
            "numpy==1.26.*",
            "protobuf==4.25.*",
            _SETUPTOOLS,
        ),
    ),
)


@functools.cache
def interpreter(version: str) -> str | None:
    """A Python of this minor version that has venv: this one, on PATH, or of pyenv; else None."""
    return next((each for each in _candidates(version) if _is(each, version)), None)


def _candidates(version: str) -> Iterator[str]:
    yield sys.executable
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for folder in sorted((root / "versions").glob(f"{version}.*"), reverse=True):
        yield str(folder / "bin" / "python")


def _is(python: str, version: str) -> bool:
    code = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60)
    except OSError:
        return False
    return done.stdout.strip() == version
