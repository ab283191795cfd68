"""Whether advice cures: broken runs of the gallery, and random networks with a trap, repaired as
their findings say, literally.

The fix of the first finding is put into a training of the same case, and that is trained anew: the
line that it rewrites is rewritten in the source, its code is run where it changes data, optimizer
or loss, and its layers are put in place of those of the model. Only where the fix is no code of
this kind (an earlier checkpoint, a formula for a layer of one's own) is the case's own repair
taken. It cures where the repaired run is healthy: no error and no warning.

    python tests/bench/advice.py [--only CASE ...] [--networks COUNT]
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import inspect
import io
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from reports import findings_of

from tb_nanwatch_demo import CASES
from tb_nanwatch_demo.training import Training, fit

Finding = dict[str, Any]

OWN_REPAIR = {
    "nonfinite-initial-weight": "an earlier checkpoint",
    "divergence": "the formula of a layer of one's own",
}
"""Causes whose fix is no code that can be run here, and what it is."""


def rewritten(module: ModuleType, finding: Finding) -> Callable[[], Training] | None:
    """The case's `build` with the finding's line of source rewritten; None where it names none."""
    owner = _module_of(finding["origin"].get("operation", {}).get("file", ""))
    made = None if owner is None else _with_line(owner, finding)
    if owner is None or made is None:
        return None
    if owner is not module:  # The case builds upon another one.
        for name, value in vars(owner).items():
            if getattr(module, name, None) is value and hasattr(made, name):
                setattr(module, name, getattr(made, name))
        return module.build  # type: ignore[no-any-return]
    return made.build  # type: ignore[no-any-return]


def _with_line(owner: ModuleType, finding: Finding) -> ModuleType | None:
    """The module with the line of the finding's operation rewritten; None where it has none."""
    operation = finding["origin"].get("operation", {})
    lines = inspect.getsource(owner).splitlines()
    if not operation.get("file") or operation["code"] not in lines[operation["line"] - 1]:
        return None
    line = lines[operation["line"] - 1]
    indentation = line[: len(line) - len(line.lstrip())]
    fixed = line.replace(operation["code"], finding["fix_code"].replace("\n", "\n" + indentation))
    lines[operation["line"] - 1] = fixed
    made = ModuleType(owner.__name__)
    made.__file__ = owner.__file__
    sys.modules[f"{made.__name__} rewritten"] = made  # Where dataclasses look for themselves.
    made.__name__ = f"{made.__name__} rewritten"
    exec(compile("\n".join(lines), str(owner.__file__), "exec"), made.__dict__)
    return made


def _module_of(file: str) -> ModuleType | None:
    name = f"tb_nanwatch_demo.{Path(file).stem}"
    return sys.modules.get(name) if file.endswith(".py") else None


def with_code(training: Training, finding: Finding) -> Training | None:
    """The training with the code of the fix run on it; None where that changes nothing of it."""
    code, model = finding["fix_code"], training.model
    layers = _layers_in(code)
    if layers:
        return replace(training, model=_with_layers(model, layers, finding["origin"]["layer"]))
    optimizer = model.optimizer
    rate = float(optimizer.learning_rate)
    names = {
        **{"keras": keras, "np": np, "tf": tf, "model": model, "optimizer": optimizer},
        **{"x": training.x, "y": training.y, "learning_rate": rate},
    }
    loss = model.loss
    with contextlib.redirect_stdout(io.StringIO()):
        if code.startswith("keras.optimizers."):
            code = f"optimizer = {code}"
        exec(code, names)
    if names["optimizer"] is not optimizer:
        model.compile(names["optimizer"], loss)
    elif model.loss is loss and names["x"] is training.x and names["y"] is training.y:
        return None
    return replace(training, x=names["x"], y=names["y"])


def _layers_in(code: str) -> list[ast.Call]:
    """Layers that the fix writes, such as `keras.layers.Dense(units, activation="relu")`."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return []
    return [
        each.value
        for each in tree.body
        if isinstance(each, ast.Expr)
        and isinstance(each.value, ast.Call)
        and ast.unparse(each.value.func).startswith("keras.layers.")
    ]


def _with_layers(model: Any, calls: list[ast.Call], at: str) -> Any:
    """A new model, with the hidden layers of those classes as the fix writes them."""
    written = {}
    for call in calls:
        kind = ast.unparse(call.func).rpartition(".")[2]
        written[kind] = {each.arg: ast.literal_eval(each.value) for each in call.keywords}

    def clone(layer: Any) -> Any:
        kind = type(layer).__name__
        if kind not in written or layer is model.layers[-1]:
            return type(layer).from_config(layer.get_config())
        units = {"units": layer.units} if hasattr(layer, "units") else {}
        return type(layer)(**units, name=layer.name, **written[kind])

    made = keras.models.clone_model(model, clone_function=clone)
    made.compile(type(model.optimizer).from_config(model.optimizer.get_config()), model.loss)
    return made


def followed(case: str, finding: Finding) -> tuple[Training, str]:
    """The training of a case with the fix of the finding, and how that was put in."""
    module = importlib.import_module(f"tb_nanwatch_demo.{case}")
    build = rewritten(module, finding)
    if build is not None:
        return build(), "line"
    if finding["fix_code"].startswith("keras.mixed_precision.set_global_policy"):
        # The gallery's layers have policies of their own; what is set for all is theirs, too.
        return module.build(repaired=True), "policy"
    training = None
    if finding["cause"] not in OWN_REPAIR or "optimizer" in finding["fix_code"]:
        with contextlib.suppress(NameError):
            training = with_code(module.build(), finding)
    if training is not None:
        return training, "code"
    return module.build(repaired=True), OWN_REPAIR.get(finding["cause"], "by hand")


def cures(case: str, folder: Path) -> tuple[bool, str]:
    """Whether following the first finding of a case makes its training healthy; and what was done,
    or what is still wrong."""
    module = importlib.import_module(f"tb_nanwatch_demo.{case}")
    keras.utils.clear_session()
    fit(module.build(), folder / "broken")
    found = findings_of(folder / "broken")
    keras.utils.clear_session()
    training, how = followed(case, found[0])
    fit(training, folder / "followed")
    left = [each for each in findings_of(folder / "followed") if each["severity"] != "info"]
    said = found[0]["fix_code"].splitlines()[0]
    return not left, "; ".join(each["headline"] for each in left) or f"{how}: {said}"


def cures_network(seed: int, folder: Path) -> tuple[bool, str, str]:
    """The same of a random network, with the kind of its trap first."""
    import random_networks

    keras.utils.clear_session()
    drawn = random_networks.network(seed)
    random_networks.train(drawn, folder / "broken")
    found = findings_of(folder / "broken")[0]
    keras.utils.clear_session()
    made = _with_line(random_networks, found)
    x, y = random_networks.data(drawn)
    if made is not None:
        training: Training | None = Training(made.build(drawn), x, y)
    elif drawn.kind == "bad weight":  # An earlier checkpoint.
        training = Training(random_networks.build(replace(drawn, kind="none")), x, y)
    else:
        training = with_code(Training(random_networks.build(drawn), x, y), found)
    if training is None:
        return False, drawn.kind, f"could not be followed: {found['fix_code']}"
    training = replace(training, batch=random_networks.BATCH, watch=("all",))
    fit(training, folder / "followed")
    left = [each for each in findings_of(folder / "followed") if each["severity"] != "info"]
    said = found["fix_code"].splitlines()[0] if found["fix_code"] else found["headline"]
    return not left, drawn.kind, "; ".join(each["headline"] for each in left) or said


def broken_cases() -> list[str]:
    modules = {case: importlib.import_module(f"tb_nanwatch_demo.{case}") for case in CASES}
    return [case for case, module in modules.items() if module.TRUTH.status != "healthy"]


def main() -> None:
    known = broken_cases()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=known, help="these alone")
    parser.add_argument("--networks", type=int, default=0, help="random networks; default: 0")
    options = parser.parse_args()
    cases = options.only or known
    cured = 0
    for case in cases:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            is_cured, said = cures(case, Path(folder))
        cured += is_cured
        print(f"{case:22} {'cured' if is_cured else 'NOT CURED':10} {said}", flush=True)
    print(f"\nAdvice cures {cured} of {len(cases)}", flush=True)
    cured = 0
    for seed in range(options.networks):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            is_cured, kind, said = cures_network(seed, Path(folder))
        cured += is_cured
        print(f"{seed:3} {kind:33} {'cured' if is_cured else 'NOT CURED':10} {said}", flush=True)
    if options.networks:
        print(f"\nAdvice cures {cured} of {options.networks} random networks")


if __name__ == "__main__":
    main()
