"""`nanwatch replay`: runs the step that a black box kept once more, in a process of its own."""

from __future__ import annotations

import argparse
import functools
import importlib
import inspect
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras.failing_step.black_box import rerun_of, versions
from tb_nanwatch.adapters.keras.failing_step.rerun import (
    ExaminedFunction,
    arguments,
    call_with,
    examine,
)
from tb_nanwatch.adapters.keras.instrument.model_state import variables_of
from tb_nanwatch.adapters.keras.instrument.optimizers import build_optimizer
from tb_nanwatch.adapters.keras.instrument.step_function import in_python
from tb_nanwatch.adapters.tensorflow.tracing.origin import Search
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.tags import SUBDIRECTORY
from tb_nanwatch.training.failing_step.step_dump import FOLDER, Case, unpack_case

DONE, TROUBLE = 0, 2


class ReplayError(Exception):
    """It cannot be run again; the text says why, and what to do."""


def main(words: Sequence[str]) -> int:
    """Runs the command with these arguments; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="nanwatch replay",
        description="Runs steps that went non-finite once more, operation by operation, as a "
        'Callback with blackbox="batch" or "state" kept them.',
    )
    parser.add_argument("logdir", help="the run's log directory, or one above it")
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODULE:FUNCTION",
        help="a function without arguments that gives the compiled model, or, of a custom loop, "
        "the function that does one step",
    )
    parser.add_argument("--step", type=int, help="this step alone")
    arguments = parser.parse_args(words)
    try:
        cases = dict(_cases(arguments.logdir, arguments.step))
        if not cases:
            wanted = "" if arguments.step is None else f" of step {arguments.step}"
            raise ReplayError(
                f"There is no black box{wanted} below {arguments.logdir}. A Callback with "
                'blackbox="batch" or "state" keeps one of the first step that goes non-finite.'
            )
        for folder, case in cases.items():
            print(f"{folder}")
            for line in _lines(case.rerun, replay(_model(arguments.model), case), case):
                print(f"  {line}")
    except ReplayError as error:
        print(f"nanwatch replay: {error}", file=sys.stderr)
        return TROUBLE
    return DONE


def replay(made: Any, case: Case) -> Rerun:
    """Runs a case again.

    Args:
      made: a compiled model, or the function that does a step; variables are set to the state that
        was kept, if it was.
      case: with its batch.

    Raises:
      ReplayError: where the batch was not kept, or the model is another one.
    """
    if not case.batch:
        raise ReplayError(
            "The batch was not kept. Record it with nanwatch.Callback(..., "
            'blackbox="batch"), or "state".'
        )
    data = _nested(case.batch)
    is_model = isinstance(made, keras.Model)
    try:
        search = _of_model(made, data, case) if is_model else _of_function(made, data, case)
    except ReplayError:
        raise
    except Exception as error:
        raise ReplayError(
            f"The step could not be run ({type(error).__name__}: {error}). It was recorded with "
            f"{_versions(case)}."
        ) from error
    return rerun_of(case.rerun.step, search, "", search.is_nonfinite, "eager", data)


def _of_model(model: Any, data: Any, case: Case) -> Search:
    if case.state:
        _restore(model, data, case)
    return examine(model, in_python(model.train_step), data, lambda count: None)


def _of_function(function: Any, data: Any, case: Case) -> Search:
    function = inspect.unwrap(function)
    function = getattr(function, "python_function", function)
    data = data if isinstance(data, dict) else arguments(data, {})
    examined = ExaminedFunction(functools.partial(call_with, function))
    if case.state:
        examined.examine(data, lambda count: None)  # Tells which variables there are.
        missing = examined.restore(case.state)
        if missing:
            raise ReplayError(
                f"The step has no variable {missing[0]!r} of the shape that was kept"
                + (f", nor {len(missing) - 1} others" if len(missing) > 1 else "")
                + ": give the function as it was recorded, of the same version."
            )
    return examined.examine(data, lambda count: None)


def _cases(logdir: str, step: int | None) -> Iterator[tuple[str, Case]]:
    """Folder and contents of each black box below a directory."""
    for folder, _, files in sorted(tf.io.gfile.walk(logdir)):
        parts = os.path.normpath(folder).split(os.sep)
        if parts[-3:-1] != [SUBDIRECTORY, FOLDER] or "result.json" not in files:
            continue
        contents = {}
        for name in files:
            with tf.io.gfile.GFile(os.path.join(folder, name), "rb") as file:
                contents[name] = file.read()
        try:
            case = unpack_case(contents, _dtype)
        except ValueError as error:
            raise ReplayError(f"{folder}: {error}") from error
        if step is None or case.rerun.step == step:
            yield folder, case


def _dtype(name: str) -> Any:
    return np.dtype(tf.as_dtype(name).as_numpy_dtype)


def _model(text: str) -> Any:
    module, _, function = text.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        build = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ReplayError(
            f"Expected --model MODULE:FUNCTION, such as train:build_model, got {text!r} ({error})."
        ) from error
    try:
        made = build()
    except Exception as error:
        raise ReplayError(f"{text} raised {type(error).__name__}: {error}") from error
    is_compiled = isinstance(made, keras.Model) and getattr(made, "optimizer", None) is not None
    if not is_compiled and (isinstance(made, keras.Model) or not callable(made)):
        raise ReplayError(
            f"{text} gives {type(made).__name__}, and neither a compiled Keras model nor the "
            "function that does a step."
        )
    return made


def _nested(batch: Any) -> Any:
    """The batch as a train_step takes it, from arrays by their place."""
    root: dict[str, Any] = {}
    for place, array in batch.items():
        *above, last = place.split("/")
        node = root
        for part in above:
            node = node.setdefault(part, {})
        node[last] = tf.convert_to_tensor(array)

    def listed(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        if all(key.isdigit() for key in node):
            return tuple(listed(node[key]) for key in sorted(node, key=int))
        return {key: listed(value) for key, value in node.items()}

    return listed(root)


def _restore(model: Any, data: Any, case: Case) -> None:
    """Sets the model's variables to the state of the case."""
    if not model.built:
        model(data[0] if isinstance(data, tuple) else data)
    build_optimizer(model)
    variables = variables_of(model)
    arrays = [case.state[name] for name in sorted(case.state)]
    shapes = [tuple(each.shape) for each in variables]
    if shapes != [array.shape for array in arrays]:
        raise ReplayError(
            f"The model has {len(variables)} variables, the state {len(arrays)}, or their shapes "
            "differ: give the model as it was recorded, of the same version."
        )
    for each, array in zip(variables, arrays, strict=True):
        each.assign(array)


def _versions(case: Case) -> str:
    return _listed(case.versions)


def _listed(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def _lines(recorded: Rerun, found: Rerun, case: Case) -> Iterator[str]:
    """What is said of a step that was run again."""
    yield f"step {recorded.step}, recorded with {_versions(case)}"
    now = {name: version for name, version in versions().items() if name in case.versions}
    if now != dict(case.versions):
        yield f"run with other versions: {_listed(now)}"
    if not case.state:
        yield "with the weights that the model has now: the state was not kept"
    yield "non-finite again" if found.reproduced else "finite now"
    operation = found.operation
    if operation is not None:
        where = f" in layer {operation.layer}" if operation.layer else ""
        yield f"{operation.type}{where}, {operation.direction} pass"
        if operation.file:
            yield f"{operation.file}:{operation.line}"
            for line in operation.source:
                mark = ">" if line.line == operation.line else " "
                yield f"  {mark} {line.line:5} {line.text}"
        for operand in (*operation.operands, *([operation.result] if operation.result else [])):
            told = ", ".join(f"{list(each.index)}: {each.value}" for each in operand.elements)
            yield f"{operand.name}  {operand.dtype} {list(operand.shape)}  {told}".rstrip()
    if found.examples:
        yield f"rows of the batch: {', '.join(map(str, found.examples))}"
    if found.note:
        yield found.note


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
