"""What loading a name of the package does besides."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import tb_nanwatch as nanwatch


def test_loading_draws_no_random_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Keras does when it is first imported."""
    (tmp_path / "draws_at_import.py").write_text("import random\nthing = random.random()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(nanwatch._LAZY, "thing", "draws_at_import")
    random.seed(1)
    expected = random.random()
    random.seed(1)
    assert nanwatch.thing == expected
    assert random.random() == expected
    monkeypatch.delattr(nanwatch, "thing")
