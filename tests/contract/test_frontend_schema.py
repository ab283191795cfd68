"""The frontend's copy of the schema is what the Python schema generates."""

from __future__ import annotations

import importlib.util
from pathlib import Path

GENERATOR = Path(__file__).resolve().parents[2] / "frontend" / "generate_schema.py"


def test_the_frontend_holds_the_schema_that_python_generates() -> None:
    spec = importlib.util.spec_from_file_location("generate_schema", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.TARGET.read_text(encoding="utf-8") == generator.generate(), (
        "src/wire/schema.ts is out of date: run python frontend/generate_schema.py"
    )
