"""The step function of a custom training loop, analyzed where it goes non-finite."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import IOBase
from typing import Any

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras_common.failing_step.black_box import BlackBox, FailingStep
from tb_nanwatch.adapters.keras_common.failing_step.captured_step import CapturedStep
from tb_nanwatch.adapters.keras_common.failing_step.loop_step import LoopStep, hooks_installed
from tb_nanwatch.adapters.keras_common.failing_step.rerun import (
    RerunFunction,
    arguments_as_batch,
    call_with_batch,
    owner_of,
)
from tb_nanwatch.adapters.keras_common.failing_step.trials import Program
from tb_nanwatch.adapters.keras_common.instrument.facts import called_facts
from tb_nanwatch.adapters.keras_common.instrument.step_function import python_function
from tb_nanwatch.adapters.tensorflow.graph.context import current_graph
from tb_nanwatch.adapters.tensorflow.recorder import Recorder
from tb_nanwatch.adapters.tensorflow.tensors import NamedTensor
from tb_nanwatch.adapters.tensorflow.tracing.operations import is_tracing
from tb_nanwatch.format.rerun import Mode
from tb_nanwatch.training.failing_step.step_dump import DumpLevel
from tb_nanwatch.training.internal_errors import InternalErrorGuard
from tb_nanwatch.training.warnings import warn


class InstrumentedLoop:
    """The step functions of one loop.

    Args:
      log_dir: the run's directory.
      dump_level: what is written to disk of a step that went non-finite.
      recorder: records the loop.
      recording_guard: keeps errors of ours in that out of the loop.
    """

    def __init__(
        self,
        log_dir: str,
        dump_level: DumpLevel,
        recorder: Recorder,
        recording_guard: InternalErrorGuard,
    ):
        self._boxes: list[BlackBox] = []
        self._log_dir = log_dir
        self._dump_level = dump_level
        self._recorder = recorder
        self._recording_guard = recording_guard
        self._step: LoopStep | None = None
        self._hooks = ExitStack()
        self._has_warned = False
        self._knows_calls = False
        self._error_guard = InternalErrorGuard(
            "The loop continues, but steps that go non-finite are not analyzed from here on."
        )

    def instrument(self, function: Callable[..., Any], checks_updates: bool) -> Callable[..., Any]:
        """The step function, analyzed where it goes non-finite."""
        box = BlackBox(
            self._log_dir, self._dump_level, self._recorder, checks_updates=checks_updates
        )
        self._boxes.append(box)
        box.arm()
        wrapped = getattr(function, "python_function", function)
        plain = python_function(function)

        @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        def begin() -> LoopStep | None:
            with self._error_guard("instrument a step"):
                if not self._error_guard.has_failed:
                    return self._begin(box)
            return None

        @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        def end(step: LoopStep | None) -> None:
            if step is not None:
                self._end(step)

        @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        def end_raised(step: LoopStep | None) -> None:
            # Many a step raises an error of its own where its loss is NaN.
            if step is not None and step.guard.has_tripped:
                self._end(step)

        def body(*args: Any, **kwargs: Any) -> Any:
            step = begin()
            try:
                outputs = wrapped(*args, **kwargs)
            except Exception:
                end_raised(step)
                raise
            end(step)
            return outputs

        # A tf.function is traced anew, with the same options.
        inner = function._clone(body) if hasattr(function, "_clone") else body
        is_compiled = bool(getattr(function, "_jit_compile", False))
        mode: Mode = "xla" if is_compiled else "eager" if inner is body else "graph"

        if mode == "eager" and _iterates(plain):
            box.refuse(_ITERATES)

        @functools.wraps(wrapped)
        def run(*args: Any, **kwargs: Any) -> Any:
            if is_tracing():
                return wrapped(*args, **kwargs)
            if self._step is not None or tf.inside_function():
                if self._step is None:
                    box.refuse("it is called in another tf.function: decorate that one instead")
                    self._warn_of_refusal(box)
                return function(*args, **kwargs)
            if any(map(_is_iterator, (*args, *kwargs.values()))):
                box.refuse(_ITERATES)
            box.before_step((args, kwargs), is_compiled)

            def call() -> Any:
                try:
                    return inner(*args, **kwargs)
                finally:
                    self._step = None
                    self._hooks.close()

            def failing_step(captured: CapturedStep | None) -> FailingStep:
                # As TensorFlow does where it traces a function.
                as_fed = _as_tensor if mode != "eager" else lambda argument: argument
                batch = arguments_as_batch(
                    tuple(map(as_fed, args)), {key: as_fed(each) for key, each in kwargs.items()}
                )
                known = None if captured is None else [each.key for each, _ in captured.before]
                rerun = RerunFunction(functools.partial(call_with_batch, plain), known)
                return FailingStep(batch, mode, rerun.state, rerun.run, lambda: Program(owner_of))

            try:
                outputs = call()
            except Exception:
                captured, _ = box.take()
                if captured is not None:
                    box.analyze(failing_step(captured), captured, None, None)
                raise
            self._warn_of_refusal(box)
            captured, deferred = box.take()
            if captured is None and not deferred:
                return outputs
            return box.analyze(
                failing_step(captured), captured, outputs, call if deferred else None
            )

        return run

    def collect(self, tensors: list[NamedTensor], new_step: bool) -> bool:
        """Collects what the step observes, to be recorded at its end; False outside of a step."""
        if self._step is None:
            return False
        if self._step.is_outermost_graph():
            self._step.observations.append((tensors, new_step))
            return True
        self._step.refuse("it calls observe inside a nested function, loop, branch or replica")
        return False

    def step_end(self, nonfinite_steps: int) -> None:
        """On the host, after each step: so many since the last record were non-finite."""
        for box in self._boxes:
            box.step_end(nonfinite_steps)

    def _begin(self, box: BlackBox) -> LoopStep:
        self._hooks.close()
        self._step = LoopStep(box.policy, self._error_guard)
        self._hooks.enter_context(
            hooks_installed(self._step, collects_calls=self._collects_calls())
        )
        return self._step

    def _collects_calls(self) -> bool:
        """Once in a loop that runs eagerly; in a graph, whenever it is traced."""
        return not self._knows_calls or current_graph() is not None

    def _end(self, step: LoopStep) -> None:
        self._hooks.close()
        self._step = None
        deferred = None
        with self._error_guard("end a step"):
            deferred = step.end()
        if self._error_guard.has_failed:
            step.refuse("NaNWatch had an internal error")
        if self._collects_calls():
            self._knows_calls = True
            with self._error_guard("describe a step"):
                self._recorder.describe(called_facts(step.calls, step.optimizers))
        with self._recording_guard("record a step"):
            for tensors, new_step in step.observations:
                self._recorder.add(tensors, new_step=new_step, deferred=deferred)

    def _warn_of_refusal(self, box: BlackBox) -> None:
        if box.refusal and not self._has_warned and not self._error_guard.has_failed:
            self._has_warned = True
            warn(f"steps of this loop that go non-finite are not analyzed: {box.refusal}.")


_ITERATES = "it reads its data from an iterator, which cannot be rewound"


def _iterates(function: Callable[..., Any]) -> bool:
    """Whether it uses a variable that is an iterator, such as a generator of batches."""
    try:
        names = inspect.getclosurevars(inspect.unwrap(function))
    except TypeError:  # No function of Python's own.
        return False
    used = (*names.nonlocals.values(), *names.globals.values())
    # A file is one, too, and a step rather writes to it.
    return any(isinstance(each, Iterator) and not isinstance(each, IOBase) for each in used)


def _as_tensor(argument: Any) -> Any:
    return tf.convert_to_tensor(argument) if isinstance(argument, np.ndarray) else argument


def _is_iterator(argument: Any) -> bool:
    return isinstance(argument, Iterator) or hasattr(argument, "get_next")
