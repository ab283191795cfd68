"""What this Python has of what NaNWatch needs, and the command that mends what it lacks.

Asks for names and versions alone, and imports nothing of it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import NamedTuple

READING = ("numpy", "protobuf", "tensorboard")
FRAMEWORK = ("tensorflow", "keras")
"""What recording needs, beyond what reading does."""

NAMES = {
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "tensorboard": "TensorBoard",
    "protobuf": "protobuf",
    "numpy": "NumPy",
}

OLDEST = {
    "tensorflow": (2, 16),
    "keras": (3, 3),
    "tensorboard": (2, 16),
    "protobuf": (4, 25),
    "numpy": (1, 26),
}
NEWEST_TESTED = {
    "tensorflow": (2, 21),
    "keras": (3, 15),
    "tensorboard": (2, 21),
    "protobuf": (7, 36),
    "numpy": (2, 5),
}

_DISTRIBUTIONS = {
    "tensorflow": (
        "tensorflow",
        "tensorflow-cpu",
        "tensorflow-macos",
        "tensorflow-intel",
        "tensorflow-rocm",
        "tf-nightly",
        "tf-nightly-cpu",
    ),
    "keras": ("keras", "keras-nightly"),
}


class Trouble(NamedTuple):
    """Something that is amiss in this Python, and what mends it, in sentences."""

    text: str
    fix: str

    def __str__(self) -> str:
        return f"{self.text} {self.fix}"


def version_of(name: str) -> str | None:
    """The version of a package of `NAMES`; "" where it is there but unknown, None where it is not.

    Its import may fail all the same.
    """
    for distribution in _DISTRIBUTIONS.get(name, (name,)):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    module = "google.protobuf" if name == "protobuf" else name
    try:
        return None if util.find_spec(module) is None else ""
    except ImportError:  # No "google" either.
        return None


def shortage(name: str) -> Trouble | None:
    """The trouble with a package that is missing or too old."""
    version = version_of(name)
    what = NAMES[name]
    oldest = dotted(OLDEST[name])
    if version is None:
        extra = "[tensorflow]" if name in FRAMEWORK else ""
        return Trouble(f"This Python has no {what}.", pip_install(f"tb-nanwatch{extra}"))
    if version and _minor(version) < OLDEST[name]:
        wanted = f"{name}>={oldest}"
        return Trouble(
            f"{what} {version} is too old: NaNWatch needs {oldest} or newer.",
            pip_install(wanted, upgrade=True),
        )
    return None


def newer_than_tested() -> Iterator[Trouble]:
    """A note on each package that is newer than the newest that this version was tested with."""
    for name, newest in NEWEST_TESTED.items():
        version = version_of(name)
        if version and _minor(version) > newest:
            yield Trouble(
                f"{NAMES[name]} {version} is newer than {dotted(newest)}, the newest that this "
                "version of NaNWatch was tested with.",
                f"If anything is amiss: {pip_install('tb-nanwatch', upgrade=True)}",
            )


def backend() -> str:
    """The backend that Keras is going to use, by its own rules."""
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen:
        return chosen
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((home / "keras.json").read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def other_backend(name: str) -> Trouble:
    """The trouble with a backend that is not TensorFlow."""
    return Trouble(
        f"nanwatch.Callback needs Keras' TensorFlow backend, but the backend is {name}.",
        "Set the environment variable KERAS_BACKEND=tensorflow, or pass NumPy arrays to "
        "nanwatch.Watcher.",
    )


def unmet(error: ImportError | None = None) -> Trouble | None:
    """Why recording does not work here; None where nothing is known to be amiss.

    Args:
      error: what importing the framework gave, if it was tried.
    """
    for name in FRAMEWORK:
        trouble = shortage(name)
        if trouble is not None:
            return trouble
    if error is None:
        return None
    if backend() != "tensorflow":
        return other_backend(backend())
    first = (str(error).splitlines() or [""])[0]
    return Trouble(
        f"TensorFlow cannot be imported here: {first}",
        pip_install("tensorflow", reinstall=True),
    )


def unmet_by_reading() -> Trouble | None:
    """Why reading logs does not work here; None where nothing is known to be amiss."""
    return next(filter(None, map(shortage, READING)), None)


def pip_install(wanted: str, *, upgrade: bool = False, reinstall: bool = False) -> str:
    """What installs a requirement for this very Python."""
    options = " --upgrade" * upgrade + " --force-reinstall" * reinstall
    quoted = f"'{wanted}'" if re.search(r"[\[<>]", wanted) else wanted
    return f"Run: {sys.executable} -m pip install{options} {quoted}"


def dotted(version: tuple[int, ...]) -> str:
    """The version as it is written."""
    return ".".join(map(str, version))


def _minor(version: str) -> tuple[int, ...]:
    """Major and minor version, as numbers."""
    return tuple(int(digits) for digits in re.findall(r"\d+", version)[:2])
