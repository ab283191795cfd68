"""`nanwatch.show` where it cannot draw: what it says, and what it needs."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import tb_nanwatch as nanwatch

NO_FRAMEWORK = """
import sys
sys.modules |= dict.fromkeys(["tensorflow", "keras", "IPython"])  # None: they cannot be imported.
import tb_nanwatch as nanwatch
print(nanwatch.show(sys.argv[1]))
"""

BEFORE_A_TRAINING = """
import sys
import tb_nanwatch as nanwatch
nanwatch.show(sys.argv[1])
import tensorflow as tf
with tf.summary.create_file_writer(sys.argv[2]).as_default():
    assert tf.summary.scalar("loss", 1.0, step=0)
"""


def test_it_needs_no_framework_and_has_a_text(gallery: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", NO_FRAMEWORK, gallery],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert "\x1b" not in done.stdout
    assert "nan_feature: NaN in the input data at step 37" in lines


def test_a_training_after_it_writes_summaries(gallery: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-c", BEFORE_A_TRAINING, gallery, tmp_path]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_it_says_what_it_cannot_show(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no NaNWatch data below"):
        nanwatch.show(tmp_path)
    with pytest.raises(ValueError, match="is not a directory"):
        nanwatch.show(tmp_path / "none")


@pytest.mark.parametrize("height", [299, "640", True, 640.0])
def test_a_height_is_a_number_of_pixels(tmp_path: Path, height: Any) -> None:
    with pytest.raises(ValueError, match="Expected an integer of at least 300"):
        nanwatch.show(tmp_path, height=height)


def test_a_tree_without_the_tab_says_how_to_build_it(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    with pytest.raises(RuntimeError, match=r"setup\.py build_frontend"):
        nanwatch.show(gallery)
