"""The step function of a custom loop, which is looked into where it goes non-finite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras.failing_step.black_box import BlackBox, FailingStep
from tb_nanwatch.adapters.keras.failing_step.loop_step import LoopStep, watched
from tb_nanwatch.adapters.keras.failing_step.rerun import (
    ExaminedFunction,
    arguments,
    call_with,
    place_of,
)
from tb_nanwatch.adapters.keras.failing_step.trials import Parts
from tb_nanwatch.adapters.keras.instrument.facts import called_facts
from tb_nanwatch.adapters.keras.instrument.step_function import in_python
from tb_nanwatch.adapters.tensorflow.graph.context import current_graph
from tb_nanwatch.adapters.tensorflow.recorder import Recorder
from tb_nanwatch.adapters.tensorflow.tensors import NamedTensor
from tb_nanwatch.adapters.tensorflow.tracing.operations import is_tracing
from tb_nanwatch.format.rerun import Mode
from tb_nanwatch.training.failing_step.step_dump import Kept
from tb_nanwatch.training.warnings import Guard, warn


class ObservedLoop:
    """What becomes of the steps of a loop.

    Args:
      log_dir: the run's directory.
      kept: what is kept on disk of a step that went non-finite.
      recorder: records the loop.
    """

    def __init__(self, log_dir: str, kept: Kept, recorder: Recorder):
        self._boxes: list[BlackBox] = []
        self._log_dir = log_dir
        self._kept = kept
        self._recorder = recorder
        self._step: LoopStep | None = None
        self._spies = ExitStack()
        self._is_told = False
        self._knows_calls = False
        self._guard = Guard(
            "The loop goes on; a step that goes non-finite is not looked into from here."
        )

    def observed(self, function: Callable[..., Any], checks_updates: bool) -> Callable[..., Any]:
        """The function, looked into where it goes non-finite."""
        box = BlackBox(self._log_dir, self._kept, self._recorder, checks_updates=checks_updates)
        self._boxes.append(box)
        box.arm()
        python_function = getattr(function, "python_function", function)
        as_written = in_python(function)

        @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        def begin() -> LoopStep | None:
            with self._guard("follow a step"):
                if not self._guard.tripped:
                    return self._begin(box)
            return None

        @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        def end(step: LoopStep | None) -> None:
            if step is not None:
                self._end(step)

        def body(*args: Any, **kwargs: Any) -> Any:
            step = begin()
            outputs = python_function(*args, **kwargs)
            end(step)
            return outputs

        # A function that TensorFlow traces is traced anew, with the same options.
        inner = function._clone(body) if hasattr(function, "_clone") else body
        is_compiled = bool(getattr(function, "_jit_compile", False))
        mode: Mode = "xla" if is_compiled else "eager" if inner is body else "graph"

        @functools.wraps(python_function)
        def run(*args: Any, **kwargs: Any) -> Any:
            if is_tracing():
                return python_function(*args, **kwargs)
            if self._step is not None or tf.inside_function():
                return function(*args, **kwargs)
            if any(map(_is_consumed, (*args, *kwargs.values()))):
                box.refuse("it takes its data from an iterator, which cannot be asked again")
            box.feed_step((args, kwargs), is_compiled)

            def call() -> Any:
                try:
                    return inner(*args, **kwargs)
                finally:
                    self._step = None
                    self._spies.close()

            outputs = call()
            self._tell(box)
            kept, held = box.take()
            if kept is None and not held:
                return outputs
            if mode != "eager":  # As TensorFlow does where it traces a function.
                args = tuple(map(_as_tensor, args))
                kwargs = {name: _as_tensor(each) for name, each in kwargs.items()}
            known = None if kept is None else [variable.key for variable, _ in kept.before]
            examined = ExaminedFunction(functools.partial(call_with, as_written), known)
            step = FailingStep(
                arguments(args, kwargs), mode, examined.state, examined.examine, Parts(place_of)
            )
            return box.look_into(step, kept, outputs, call if held else None)

        return run

    def takes(self, tensors: list[NamedTensor], new_step: bool) -> bool:
        """Whether what is observed is taken care of here: to be recorded when the step ends."""
        if self._step is None:
            return False
        if self._step.is_here():
            self._step.observed.append((tensors, new_step))
            return True
        self._step.refuse("it observes within a function, loop, branch or replica of its own")
        return False

    def step_end(self, trips: int) -> None:
        """On the host, after each step: so many since the last record were non-finite."""
        for box in self._boxes:
            box.step_end(trips)

    def _begin(self, box: BlackBox) -> LoopStep:
        self._spies.close()
        self._step = LoopStep(box.policy, self._guard)
        self._spies.enter_context(watched(self._step, collects_calls=self._collects_calls()))
        return self._step

    def _collects_calls(self) -> bool:
        """Once in a loop that runs eagerly; in a graph, whenever it is traced."""
        return not self._knows_calls or current_graph() is not None

    def _end(self, step: LoopStep) -> None:
        self._spies.close()
        self._step = None
        held = None
        with self._guard("end a step"):
            held = step.end()
        if self._guard.tripped:
            step.refuse("of a fault of NaNWatch's own")
        if self._collects_calls():
            self._knows_calls = True
            with self._guard("describe a step"):
                self._recorder.describe(called_facts(step.calls, step.optimizers))
        for tensors, new_step in step.observed:
            self._recorder.add(tensors, new_step=new_step, held=held)

    def _tell(self, box: BlackBox) -> None:
        if box.refusal and not self._is_told and not self._guard.tripped:
            self._is_told = True
            warn(f"a step that goes non-finite is not looked into: {box.refusal}.")


def _as_tensor(argument: Any) -> Any:
    return tf.convert_to_tensor(argument) if isinstance(argument, np.ndarray) else argument


def _is_consumed(argument: Any) -> bool:
    return isinstance(argument, Iterator) or hasattr(argument, "get_next")
