"""The runs of the gallery: trained once, and kept until what they are made of changes."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from tb_nanwatch_demo.truth import Truth

STAMP = "gallery.json"
"""Beside a run's records: what it was made of, and its truth."""

PACKAGES = ("tb-nanwatch", "tensorflow", "tensorflow-cpu", "keras", "numpy", "scikit-learn")


def train(cases: Sequence[str], logdir: Path, stream: TextIO, again: bool) -> None:
    """Trains each case and its repaired twin, those aside that `logdir` has already.

    A run replaces what it left the last time.

    Args:
      cases: names out of `CASES`.
      logdir: a run's records go into the subdirectory of its name.
      stream: where the progress is shown.
      again: whether to train also what is there.
    """
    digest = _digest()
    due = [name for name in cases if again or not _is_trained(name, logdir, digest)]
    if not due:
        return
    with quiet_import():
        import keras

        modules = {name: importlib.import_module(f"tb_nanwatch_demo.{name}") for name in due}
        from tb_nanwatch_demo.progress import Progress
        from tb_nanwatch_demo.training import fit
    runs = [(name, twin) for name, module in modules.items() for twin in _twins(module)]
    for number, (name, twin) in enumerate(runs, start=1):
        folder = logdir / (name + "-repaired" * twin)
        shutil.rmtree(folder / "nanwatch", ignore_errors=True)
        (folder / STAMP).unlink(missing_ok=True)
        keras.utils.clear_session()  # So that names do not depend on what was trained before.
        build = modules[name].build
        training = build(repaired=True) if twin else build()
        shown = Progress(folder.name, f"{number}/{len(runs)}", stream)
        # Of one case the Callback's own message is worth reading; of all it would bury the rest.
        with contextlib.redirect_stdout(io.StringIO() if len(due) > 1 else sys.stdout):
            fit(training, folder, [shown])
        truth = Truth() if twin else modules[name].TRUTH
        stamp = {"digest": digest, "twins": len(_twins(modules[name])), "truth": asdict(truth)}
        (folder / STAMP).write_text(json.dumps(stamp, indent=2) + "\n")


def truths(cases: Sequence[str], logdir: Path) -> dict[str, Truth]:
    """The truth of each run in `logdir` that belongs to one of the cases, in the cases' order."""
    found = {}
    for run in (name + end for name in cases for end in ("", "-repaired")):
        stamp = _stamp(logdir / run)
        if stamp is not None:
            lists = {
                key: tuple(v) if isinstance(v, list) else v for key, v in stamp["truth"].items()
            }
            found[run] = Truth(**lists)
    return found


def _twins(module: Any) -> tuple[bool, ...]:
    """Whether to repair, for each run of a case."""
    return (False, True) if "repaired" in inspect.signature(module.build).parameters else (False,)


def _is_trained(name: str, logdir: Path, digest: str) -> bool:
    stamp = _stamp(logdir / name)
    if stamp is None or stamp["digest"] != digest:
        return False
    twin = _stamp(logdir / f"{name}-repaired")
    return stamp["twins"] == 1 or (twin is not None and twin["digest"] == digest)


def _stamp(folder: Path) -> dict[str, Any] | None:
    try:
        stamp: dict[str, Any] = json.loads((folder / STAMP).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return stamp


def _digest() -> str:
    """One hash of what decides how the runs come out: this folder, versions, oneDNN on or off."""
    parts = [path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))]
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            parts.append(f"{package} {metadata.version(package)}")
    parts.append(os.environ.get("TF_ENABLE_ONEDNN_OPTS", ""))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Holds back what TensorFlow writes to stderr while it loads, unless it fails to."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
