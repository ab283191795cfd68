"""Which room of the package may import what: the table, and a reading of every import by it.

A room may import itself, the standard library, and what its row names; nothing else. Imports inside
functions and under TYPE_CHECKING count too. NumPy arrays are what rooms hand to each other, so a
row that names `numpy` says no more than that.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "tb_nanwatch"
FOLDER = Path(__file__).resolve().parents[2] / PACKAGE
FRAMEWORKS = {"flax", "jax", "keras", "tensorflow", "tf_keras", "torch"}
CONTRACTS = {"stats", "format", "numpy"}
"""Where the training side and the serving side meet, with `diagnosis`."""

TABLE: dict[str, set[str]] = {
    "stats": {"numpy"},
    # protobuf: the manifest's messages and their errors.
    "format": {"stats", "numpy", "google.protobuf", "tensorboard.compat.proto"},
    "grid": CONTRACTS,
    "diagnosis": CONTRACTS,
    # Facts know no rule, and rules no sentence.
    "diagnosis.facts": CONTRACTS | {f"{PACKAGE}.diagnosis.{m}" for m in ("finding", "thresholds")},
    "diagnosis.rules": CONTRACTS
    | {"diagnosis.facts"}
    | {f"{PACKAGE}.diagnosis.{m}" for m in ("finding", "thresholds")},
    "diagnosis.text": CONTRACTS
    | {"diagnosis.facts", "diagnosis.rules"}
    | {f"{PACKAGE}.diagnosis.{m}" for m in ("finding", "verdict", "comparison")},
    # The protos, here and in the adapters: the events that format makes, passed on.
    "training": CONTRACTS | {"diagnosis", "tensorboard.compat.proto"},
    "adapters": set(),
    "adapters.tensorflow": CONTRACTS
    | {"training", "diagnosis", "tensorflow", "tensorboard.compat.proto"},
    # tensorflow: Keras' own trainer there is a TensorFlow program. Each version of Keras implements
    # the protocol in the framework module of what they share, which alone imports them.
    "adapters.keras": {
        "adapters.tensorflow",
        f"{PACKAGE}.adapters.keras_common.framework",
        "keras",
        "tensorflow",
    },
    # Not tf_keras, which is imported by the training if at all.
    "adapters.tf_keras": {
        "adapters.tensorflow",
        f"{PACKAGE}.adapters.keras_common.framework",
        "tensorflow",
    },
    "adapters.keras_common": CONTRACTS
    | {"training", "diagnosis", "adapters.tensorflow", "requirements", "tensorflow"}
    # keras: the base class of Callback.
    | {"keras", *(f"{PACKAGE}.adapters.{each}.framework" for each in ("keras", "tf_keras"))},
    "reader": CONTRACTS | {"tensorboard.data"},
    "http": CONTRACTS
    | {"reader", "grid", "diagnosis", "werkzeug"}
    | {"tensorboard.backend", "tensorboard.data", "tensorboard.errors", "tensorboard.plugin_util"},
    # util.grpc_util: how to reach the data server that it starts.
    "logdir": CONTRACTS
    | {"reader", "diagnosis"}
    | {"tensorboard.backend.event_processing", "tensorboard.context", "tensorboard.data"}
    | {"tensorboard.compat.tensorflow_stub.io", "tensorboard.util.grpc_util"},
    # json_util: JSON as the server sends it.
    "page": CONTRACTS
    | {"logdir", "http", "reader", "diagnosis", "printable", "tensorboard.backend.json_util"},
    "cli": CONTRACTS | {"logdir", "page", "reader", "diagnosis", "printable", "requirements"},
    "notebook": {"logdir", "page", "diagnosis", "printable"},
    "plugin": {"http", "tensorboard.plugins.base_plugin"},
    # The public names, loaded when first used, and `python -m`.
    "__init__": {"adapters", "notebook", "requirements"}
    | {f"{PACKAGE}.training.{m}" for m in ("console", "warnings")},
    # Versions and commands, read without an import.
    "requirements": set(),
    # What a command needs that says what is missing.
    "printable": set(),
    "__main__": {"cli"},
}
LAYERS: dict[str, set[str]] = {
    # Within an adapter a room may import itself and these, and the modules beside the rooms that
    # import no room; those that do are on top, and import any.
    "adapters.tensorflow.graph": {"adapters.tensorflow.private_api"},
    "adapters.tensorflow.statistics": {
        "adapters.tensorflow.private_api",
        "adapters.tensorflow.graph",
    },
    "adapters.tensorflow.tracing": {
        "adapters.tensorflow.private_api",
        "adapters.tensorflow.graph",
    },
    "adapters.keras": {"adapters.tensorflow", "adapters.keras_common.framework"},
    "adapters.tf_keras": {"adapters.tensorflow", "adapters.keras_common.framework"},
    "adapters.keras_common.instrument": {
        "adapters.tensorflow",
        "adapters.keras_common.framework",
    },
    "adapters.keras_common.failing_step": {
        "adapters.keras_common.framework",
        "adapters.tensorflow",
        "adapters.keras_common.instrument",
    },
}
"""Which room within the adapters may import which others of the adapters: only downward."""
DIAGNOSIS = ("diagnosis", "diagnosis.facts", "diagnosis.rules", "diagnosis.text")
READING = ("reader", "http", "logdir", "page", "cli", "notebook", "plugin")
SERVING = ("stats", "format", "grid", *DIAGNOSIS, *READING)


class Import(NamedTuple):
    """One imported name, absolute and dotted, with the function (or "") around it."""

    name: str
    line: int
    function: str


def imports(source: str, module: str, is_package: bool) -> Iterator[Import]:
    """Every import in `source`, which is the module of that dotted name."""

    def visit(node: ast.AST, function: str) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, function)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parents = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parents, *([base] if base else [])])
            for alias in node.names:
                yield Import(f"{base}.{alias.name}", node.lineno, function)
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            first = node.args[0]
            if called in {"importlib.import_module", "import_module", "__import__"} and (
                isinstance(first, ast.Constant) and isinstance(first.value, str)
            ):
                yield Import(first.value, node.lineno, function)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    return visit(ast.parse(source), "")


def room_of(module: str) -> str:
    """The row of the table that a module of the package belongs to."""
    parts = module.split(".")[1:] or ["__init__"]
    inner = ".".join(parts[:2])
    return inner if (parts[0] == "adapters" and len(parts) > 1) or inner in TABLE else parts[0]


def within(name: str, allowed: str) -> bool:
    return name == allowed or name.startswith(allowed + ".")


def allows(room: str, name: str, table: dict[str, set[str]] = TABLE) -> bool:
    """Whether a room may import the dotted name."""
    if name.split(".")[0] in sys.stdlib_module_names:
        return True
    rooms = {f"{PACKAGE}.{row}" if row in table else row for row in table[room]}
    return any(within(name, allowed) for allowed in {*rooms, f"{PACKAGE}.{room}"})


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """What a module imports against the table, as messages."""
    room = room_of(module)
    if room not in TABLE:
        return [f"{module}: room {room!r} has no row in the table; the rows: {', '.join(TABLE)}"]
    found = []
    for name, line, function in imports(source, module, is_package):
        if not allows(room, name):
            found.append(f"{module}:{line}: {room} may not import {name}")
        if room == "plugin" and within(name, f"{PACKAGE}.http") and function != "load":
            found.append(f"{module}:{line}: plugin imports http inside load() only")
    return found


def modules() -> Iterator[tuple[Path, str, bool]]:
    for path in sorted(FOLDER.rglob("*.py")):
        is_package = path.name == "__init__.py"
        parts = [PACKAGE, *path.relative_to(FOLDER).with_suffix("").parts]
        yield path, ".".join(parts[:-1] if is_package else parts), is_package


def test_every_import_is_in_the_table() -> None:
    found = [
        message
        for path, module, is_package in modules()
        for message in violations(path.read_text(encoding="utf-8"), module, is_package)
    ]
    assert not found, "\n".join(found)


def upward_imports(source: str, module: str, is_package: bool = False) -> list[str]:
    """What a module within an adapter imports of a room above its own, as messages."""
    name = module.removeprefix(f"{PACKAGE}.")
    room = next((each for each in LAYERS if within(name, each)), None)
    if room is None:
        return []
    return [
        f"{module}:{line}: {room} may not import {imported}"
        for imported, line, _ in imports(source, module, is_package)
        if within(imported, f"{PACKAGE}.adapters")
        and not any(within(imported, f"{PACKAGE}.{each}") for each in (room, *LAYERS[room]))
    ]


def test_rooms_of_the_adapters_import_downward_only() -> None:
    found = [
        message
        for path, module, is_package in modules()
        for message in upward_imports(path.read_text(encoding="utf-8"), module, is_package)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tensorflow.graph.x", "from tb_nanwatch.adapters.tensorflow.statistics import kernels"),
        ("tensorflow.statistics.x", "from tb_nanwatch.adapters.tensorflow import tensors"),
        ("tensorflow.tracing.x", "from ..statistics import finite"),
        ("keras_common.instrument.x", "from ..failing_step.black_box import BlackBox"),
        ("tf_keras.x", "import tb_nanwatch.adapters.keras_common.instrument.paths"),
        ("keras_common.failing_step.x", "import tb_nanwatch.adapters.keras_common.callback"),
    ],
)
def test_an_upward_import_is_caught(module: str, source: str) -> None:
    (message,) = upward_imports(source, f"{PACKAGE}.adapters.{module}")
    assert "may not import" in message


def test_every_module_is_read() -> None:
    read = {module for _, module, _ in modules()}
    assert {PACKAGE, f"{PACKAGE}.plugin", f"{PACKAGE}.stats.columns"} <= read


def test_serving_rooms_have_no_framework_in_their_rows() -> None:
    assert not any(
        within(name, framework)
        for room in SERVING
        for name in TABLE[room]
        for framework in {*FRAMEWORKS, "adapters"}
    )


@pytest.mark.parametrize(
    ("module", "source", "caught"),
    [
        ("tb_nanwatch.stats.x", "import tensorflow as tf", "stats may not import tensorflow"),
        (
            "tb_nanwatch.grid.x",
            "def f():\n    from keras import ops",
            "grid may not import keras.ops",
        ),
        ("tb_nanwatch.reader.x", "from ..adapters.tensorflow import k", "adapters.tensorflow.k"),
        ("tb_nanwatch.reader.x", "from .. import adapters", "reader may not import tb_nanwatch.ad"),
        (
            "tb_nanwatch.cli",
            "import tb_nanwatch.http.run",
            "cli may not import tb_nanwatch.http.run",
        ),
        ("tb_nanwatch.stats.x", "import google.protobuf", "stats may not import google.protobuf"),
        (
            "tb_nanwatch.http.x",
            "import importlib\nimportlib.import_module('keras')",
            "import keras",
        ),
        ("tb_nanwatch.plugin", "from tb_nanwatch import http", "inside load() only"),
        ("tb_nanwatch.training.x", "import tensorflow", "training may not import tensorflow"),
        (
            "tb_nanwatch.diagnosis.rules.x",
            "from tb_nanwatch.diagnosis.text import headline",
            "diagnosis.rules may not import tb_nanwatch.diagnosis.text",
        ),
        (
            "tb_nanwatch.diagnosis.facts.x",
            "from tb_nanwatch.diagnosis import rules",
            "diagnosis.facts may not import tb_nanwatch.diagnosis.rules",
        ),
        ("tb_nanwatch.adapters.torch.x", "import torch", "has no row"),
        ("tb_nanwatch.format.x", "import tensorboard.compat.prototypes", "format may not import"),
    ],
)
def test_a_violation_is_caught(module: str, source: str, caught: str) -> None:
    (message,) = violations(source, module)
    assert caught in message


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tb_nanwatch.stats.x", "import math\nimport numpy as np\nfrom . import record"),
        ("tb_nanwatch.plugin", "class L:\n  def load(self):\n    from tb_nanwatch import http"),
        ("tb_nanwatch.adapters.keras_common.x", "from ..tensorflow import kernels\nimport keras"),
        ("tb_nanwatch.adapters.tensorflow.sink", "import tensorflow as tf"),
    ],
)
def test_what_the_table_names_passes(module: str, source: str) -> None:
    assert violations(source, module) == []


def python(code: str, path: Path | None = None) -> str:
    """What a fresh interpreter prints; `path` stands first on its import path."""
    variables = dict(os.environ)
    if path is not None:
        variables["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_next_to_nothing() -> None:
    heavy = FRAMEWORKS | {"google.protobuf", "numpy", "tensorboard"}
    code = f"import sys, tb_nanwatch; print(sorted({heavy!r} & set(sys.modules)))"
    assert python(code) == "[]"


def test_serving_side_runs_where_tensorflow_raises(tmp_path: Path) -> None:
    for framework in FRAMEWORKS:
        (tmp_path / f"{framework}.py").write_text("raise RuntimeError('imported: ' + __name__)\n")
    served = [module for _, module, _ in modules() if room_of(module) in SERVING]
    assert len(served) > 20
    code = (
        f"import importlib, sys\nfor module in {served!r}: importlib.import_module(module)\n"
        f"print(sorted({FRAMEWORKS!r} & set(sys.modules)))"
    )
    assert python(code, tmp_path) == "[]"
