"""A virtual environment under .venv/, made once and kept: for tests/run and demo/run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 10)


class SetupError(Exception):
    """Setting up failed; the message says what ran, how it ended and what to do."""


def digest(parts: Iterable[str | Path]) -> str:
    """One hash of texts and of files' names and contents: the same as long as nothing changed."""
    total = hashlib.sha256()
    for part in parts:
        text = part if isinstance(part, str) else f"{part.relative_to(ROOT)}\0"
        total.update(text.encode() + b"\0")
        if isinstance(part, Path):
            total.update(part.read_bytes())
    return total.hexdigest()


def frontend_sources() -> list[Path]:
    """Every file that the built tab is made of, node_modules and output aside."""
    found = []
    for folder, folders, files in os.walk(ROOT / "frontend"):
        folders[:] = sorted(set(folders) - {"node_modules", "dist", "coverage"})
        found += [Path(folder, name) for name in sorted(files)]
    return found


def run(command: list[str | Path], log: Path, env: dict[str, str] | None = None) -> None:
    """Runs a command in the repository's root; its output goes to `log`, and its tail to errors."""
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:]
        tail = "\n".join("  | " + line for line in lines)
        words = " ".join(map(str, command))
        raise SetupError(f"'{words}' ended with exit status {done.returncode}, after\n{tail}")


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def once(stamp: Path, key: str, make: Callable[[], None]) -> bool:
    """Calls `make` unless it ended well before under the same key; True where it was called."""
    if stamp.is_file() and stamp.read_text() == key:
        return False
    stamp.unlink(missing_ok=True)
    make()
    stamp.write_text(key)
    return True


def environment(name: str, requirements: Path) -> Path:
    """The Python of `.venv/<name>`, with the requirements and this package (editable) installed.

    The environment is made anew where the requirements or the Python changed, and the package,
    whose tab is built then, where its metadata or the frontend changed.
    """
    if sys.version_info < OLDEST_PYTHON:
        oldest, this = (".".join(map(str, v[:2])) for v in (OLDEST_PYTHON, sys.version_info))
        raise SetupError(
            f"Python >= {oldest} is needed, this is {this}: run it as python3.x {sys.argv[0]}"
        )
    folder = ROOT / ".venv" / name
    python, log = python_of(folder), folder / "setup.log"
    pip: list[str | Path] = [python, "-m", "pip", "install", "--disable-pip-version-check"]

    def make() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run([sys.executable, "-m", "venv", folder], log)
        run([*pip, "-r", requirements], log)

    once(folder / "made", digest([requirements, sys.version, sys.executable]), make)
    built = ROOT / "tb_nanwatch" / "static" / "index.js"
    if not built.is_file():
        (folder / "installed").unlink(missing_ok=True)
    metadata = [ROOT / "pyproject.toml", ROOT / "setup.py", folder / "made"]
    once(
        folder / "installed",
        digest([*metadata, *frontend_sources()]),
        lambda: run([*pip, "-e", ROOT], log),
    )
    return python
