"""What `nanwatch report` says of a run, in this process."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

from tb_nanwatch.cli import main


def findings_of(folder: str | Path) -> list[dict[str, Any]]:
    """The findings of the one run below `folder`, the most important first."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        main(["report", str(folder), "--json"])
    (run,) = json.loads(said.getvalue())["runs"]
    found: list[dict[str, Any]] = run["findings"]
    return found
