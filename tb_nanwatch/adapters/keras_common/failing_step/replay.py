"""`nanwatch replay`: re-runs a step that a black box wrote to disk, in another process."""

from __future__ import annotations

import argparse
import functools
import importlib
import inspect
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras_common.failing_step.black_box import make_rerun, versions
from tb_nanwatch.adapters.keras_common.failing_step.rerun import (
    RerunFunction,
    arguments_as_batch,
    call_with_batch,
    owner_of,
    rerun_model,
)
from tb_nanwatch.adapters.keras_common.failing_step.trials import (
    Program,
    Subject,
    program_of,
    try_remedies,
)
from tb_nanwatch.adapters.keras_common.framework import framework_of, is_part
from tb_nanwatch.adapters.keras_common.instrument.model_state import model_variables
from tb_nanwatch.adapters.keras_common.instrument.optimizers import build, build_optimizer
from tb_nanwatch.adapters.keras_common.instrument.step_function import python_function
from tb_nanwatch.diagnosis.text.operation import (
    operand_lines,
    operation_name,
    rows_text,
    source_line,
)
from tb_nanwatch.diagnosis.text.rerun import note, trials
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.tags import SUBDIRECTORY
from tb_nanwatch.training.failing_step.step_dump import FILES, FOLDER, StepDump, unpack_dump

DONE, TROUBLE = 0, 2


class ReplayError(Exception):
    """The step cannot be re-run; the message says why, and what to do."""


def main(words: Sequence[str]) -> int:
    """Runs the command with these arguments; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="nanwatch replay",
        description="Re-runs steps that went non-finite, operation by operation, as a Callback "
        'with blackbox="batch" or "state" wrote them to disk.',
    )
    parser.add_argument("logdir", help="the run's log directory, or one above it")
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODULE:FUNCTION",
        help="a function without arguments that returns the compiled model, or, for a custom loop, "
        "the function that runs one step",
    )
    parser.add_argument("--step", type=int, help="only this step")
    arguments = parser.parse_args(words)
    try:
        dumps = dict(_dumps(arguments.logdir, arguments.step))
        if not dumps:
            wanted = "" if arguments.step is None else f" of step {arguments.step}"
            raise ReplayError(
                f"There is no black box{wanted} below {arguments.logdir}. A Callback with "
                'blackbox="batch" or "state" writes one for the first step that goes non-finite.'
            )
        for folder, dump in dumps.items():
            print(f"{folder}")
            for line in _lines(dump.rerun, replay(_model(arguments.model), dump), dump):
                print(f"  {line}")
    except ReplayError as error:
        print(f"nanwatch replay: {error}", file=sys.stderr)
        return TROUBLE
    return DONE


def replay(program: Any, dump: StepDump) -> Rerun:
    """Re-runs a step.

    Args:
      program: a compiled model, or the function that runs one step; its variables are set to the
        state of the dump, if that has one.
      dump: a step, with its batch.

    Raises:
      ReplayError: where the dump has no batch, or the model is a different one.
    """
    if not dump.batch:
        raise ReplayError(
            "This black box has no batch. Record one with nanwatch.Callback(..., "
            'blackbox="batch"), or "state".'
        )
    try:
        data = _nested(dump.batch)
    except Exception as error:
        raise ReplayError(f"The batch of this black box is damaged ({error}).") from error
    subject_of = _of_model if _is_model(program) else _of_function
    try:
        subject = subject_of(program, data, dump)
        began = time.monotonic()
        search = subject.rerun(subject.batch)
        trials = tuple(try_remedies(subject, search, time.monotonic() - began))
    except ReplayError:
        raise
    except Exception as error:
        raise ReplayError(
            f"The step could not be re-run ({type(error).__name__}: {error}). It was recorded with "
            f"{_versions(dump)}."
        ) from error
    return make_rerun(dump.rerun.step, search, "", search.is_nonfinite, "eager", data, trials)


def _of_model(model: Any, data: Any, dump: StepDump) -> Subject:
    if dump.state:
        _restore(model, data, dump)
    train_step = python_function(model.train_step)
    return Subject(
        lambda batch: rerun_model(model, train_step, batch, lambda count: None),
        data,
        program_of(model),
    )


def _of_function(function: Any, data: Any, dump: StepDump) -> Subject:
    function = inspect.unwrap(function)
    function = getattr(function, "python_function", function)
    batch = data if isinstance(data, dict) else arguments_as_batch(data, {})
    rerun = RerunFunction(functools.partial(call_with_batch, function))
    if dump.state:
        rerun.run(batch, lambda count: None)  # Shows which variables there are.
        missing = rerun.restore(dump.state)
        if missing:
            raise ReplayError(
                f"The step has no variable {missing[0]!r} of the recorded shape"
                + (f", nor {len(missing) - 1} others" if len(missing) > 1 else "")
                + ". Pass the same function, in the same version, that was recorded."
            )
    return Subject(lambda batch: rerun.run(batch, lambda count: None), batch, Program(owner_of))


def _dumps(logdir: str, step: int | None) -> Iterator[tuple[str, StepDump]]:
    """Folder and contents of each black box below a directory."""
    for folder, _, files in sorted(tf.io.gfile.walk(logdir)):
        parts = os.path.normpath(folder).split(os.sep)
        if parts[-3:-1] != [SUBDIRECTORY, FOLDER] or "result.json" not in files:
            continue
        contents = {}
        try:
            for name in (each for each in FILES if each in files):
                with tf.io.gfile.GFile(os.path.join(folder, name), "rb") as file:
                    contents[name] = file.read()
            dump = unpack_dump(contents, _dtype)
        except (ValueError, OSError, tf.errors.OpError) as error:
            raise ReplayError(f"{folder}: {error}") from error
        if step is None or dump.rerun.step == step:
            yield folder, dump


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
    is_compiled = _is_model(made) and getattr(made, "optimizer", None) is not None
    if not is_compiled and (_is_model(made) or not callable(made)):
        raise ReplayError(
            f"Expected {text} to return a compiled Keras model or the function that runs one step, "
            f"got {type(made).__name__}."
        )
    return made


def _is_model(program: Any) -> bool:
    return is_part(program) and isinstance(program, framework_of(program).keras.Model)


def _nested(batch: Any) -> Any:
    """The batch as a train_step takes it, from arrays by position."""
    root: dict[str, Any] = {}
    for place, array in batch.items():
        *above, last = place.split("/")
        node = root
        for part in above:
            node = node.setdefault(part, {})
        node[last] = tf.convert_to_tensor(array)

    def as_list(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        if all(key.isdigit() for key in node):
            return tuple(as_list(node[key]) for key in sorted(node, key=int))
        return {key: as_list(value) for key, value in node.items()}

    return as_list(root)


def _restore(model: Any, data: Any, dump: StepDump) -> None:
    """Sets the model's variables to the state of the dump."""
    if not model.built:
        model(data[0] if isinstance(data, tuple) else data)
    build_optimizer(model)
    variables = model_variables(model)
    if len(variables) < len(dump.state):  # Keras 2 creates some only in a step.
        rerun_model(model, python_function(model.train_step), data, lambda count: None)
        build(model.optimizer, model.trainable_variables, model.trainable_variables)
        variables = model_variables(model)
    arrays = [dump.state[name] for name in sorted(dump.state)]
    shapes = [tuple(each.shape) for each in variables]
    if shapes != [array.shape for array in arrays]:
        raise ReplayError(
            f"The model has {len(variables)} variables and the recorded state {len(arrays)}, or "
            "their shapes differ. Pass the same model, in the same version, that was recorded."
        )
    for each, array in zip(variables, arrays, strict=True):
        each.assign(array)


def _versions(dump: StepDump) -> str:
    return _listed(dump.versions)


def _listed(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def _lines(recorded: Rerun, found: Rerun, dump: StepDump) -> Iterator[str]:
    """The lines that describe a rerun."""
    yield f"step {recorded.step}, recorded with {_versions(dump)}"
    now = {name: version for name, version in versions().items() if name in dump.versions}
    if now != dict(dump.versions):
        yield f"run with other versions: {_listed(now)}"
    if not dump.state:
        yield "run with the model's current weights, because the state was not recorded"
    yield "reproduced: non-finite again" if found.reproduced else "not reproduced: finite now"
    operation = found.operation
    if operation is not None:
        yield operation_name(operation)
        if operation.file:
            yield source_line(operation)
            for line in operation.source:
                mark = ">" if line.line == operation.line else " "
                yield f"  {mark} {line.line:5} {line.text}"
        yield from operand_lines(operation)
    rows = rows_text(found)
    if rows:
        yield rows
    for tried in trials(found):
        yield f"tried: {tried}"
    more = note(found)
    if more:
        yield more


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
