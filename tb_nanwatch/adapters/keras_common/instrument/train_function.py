"""Replaces the model's train function by an instrumented one, and restores it.

`fit` makes the model's `train_function` before any callback runs, and looks it up again at each
step: so a callback can replace it. Keras notifies callbacks neither of a KeyboardInterrupt nor of
an error in another callback. Therefore the model's `make_train_function`, which every later
training calls first, is replaced too, by one that first restores everything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.instrument.step_function import python_function
from tb_nanwatch.adapters.tensorflow.graph.host_callback import HostSignal
from tb_nanwatch.training.protocols import FailingStepAnalyzer

_END_OF_DATA = (StopIteration, tf.errors.OutOfRangeError)
_TRACED = "train_tf_function"
"""Where Keras 2 keeps the train function that is traced, for callbacks that write its graph."""

_REPLACED = ("train_function", _TRACED, "train_step", "make_train_function")


class InstrumentedTrainFunction:
    """The train function of one model as it is compiled now, instrumented.

    Args:
      model: a compiled Keras model whose `train_function` is made.
      instrument: turns a bound `train_step` into an instrumented one.
      on_step: called after each call, before any callback, with whether the step signaled the host.
      on_error: called where the step raises, after everything has been restored.
      is_in_batch: whether a step to be recorded comes next: then it is its `train_on_batch` that
        asks the model for the train function.
      host_signal: requested in the step where the host has to look at it.
      analyzer: runs steps again that went non-finite; None for no analysis.
    """

    def __init__(
        self,
        model: Any,
        instrument: Callable[[Callable[[Any], Any]], Callable[[Any], Any]],
        on_step: Callable[[bool], None],
        on_error: Callable[[], None],
        is_in_batch: Callable[[], bool],
        host_signal: HostSignal,
        analyzer: FailingStepAnalyzer | None = None,
    ):
        self._model = model
        self._on_step = on_step
        self._on_error = on_error
        self._is_in_batch = is_in_batch
        self._host_signal = host_signal
        self._analyzer = analyzer
        self._inner = _installed(model)
        if self._inner is not None:
            # A step that one of them defers the other would count: so neither defers any.
            for each in filter(None, (analyzer, self._inner._analyzer)):
                each.refuse_deferral("several callbacks record the training")
        inner_step = self._inner._step if self._inner else model.train_step
        self._step: Callable[[Any], Any] = instrument(inner_step)
        self._plain = _plain(model)
        self._plain_traced = self._traced = vars(model).get(_TRACED)
        host_signal.forget_traces()
        self._instrumented = self._make()

    def _make(self) -> Callable[[Any], Any]:
        """Has the model make a train function of the instrumented step, and restores its own."""
        attributes = vars(self._model)
        with _restored(attributes, _REPLACED):
            attributes.pop("make_train_function", None)
            attributes["train_step"] = self._step
            self._model.make_train_function(force=True)
            made: Callable[[Any], Any] = self._model.train_function
            self._traced = attributes.get(_TRACED)

        def run(iterator: Any) -> Any:
            # Keras 2 looks the step up when it is traced or run.
            with _restored(attributes, ("train_step",)):
                attributes["train_step"] = self._step
                return made(iterator)

        return run

    def can_be_reused(self, model: Any) -> bool:
        """Whether the trace is still valid: as long as Keras' own is, until a compile."""
        return (
            model is self._model
            and _plain(model) is self._plain
            and _installed(model) is self._inner
        )

    def is_installed(self) -> bool:
        """Whether the next step will be recorded."""
        installed = _installed(self._model)
        while installed is not None and installed is not self:
            installed = installed._inner
        return installed is self

    def install(self) -> None:
        """Has the next steps recorded, by this one and by those that are installed already."""
        self._model.train_function = self._run
        self._set_traced(self._traced)
        vars(self._model)["make_train_function"] = self._restore_and_make

    def restore(self) -> None:
        """Restores the model's own functions, unless somebody else has replaced them since."""
        if _installed(self._model) is self:
            self._model.train_function = self._plain
            self._set_traced(self._plain_traced)
        if vars(self._model).get("make_train_function") == self._restore_and_make:
            del vars(self._model)["make_train_function"]

    def _set_traced(self, function: Any) -> None:
        if _TRACED in vars(self._model):
            vars(self._model)[_TRACED] = function

    def _run(self, iterator: Any) -> Any:
        try:
            outputs, was_requested = self._call(iterator)
        except _END_OF_DATA:
            raise
        except BaseException as error:
            if self._analyzer is not None and isinstance(error, Exception):
                step = python_function(self._model.train_step)
                self._analyzer.after_error(self._model, step, self._step)
            self.restore()
            self._on_error()
            raise
        self._end_step(was_requested)
        return outputs

    def _call(self, iterator: Any) -> tuple[Any, bool]:
        """Runs the step, and again those it deferred; its outputs, whether it signaled the host."""
        analyzer = self._analyzer
        if analyzer is not None:
            iterator = analyzer.before_call(self._model, iterator)
        outputs = self._instrumented(iterator)
        was_requested = self._host_signal.was_requested()
        if analyzer is not None and was_requested:
            step = python_function(self._model.train_step)
            outputs = analyzer.after_call(self._model, step, self._instrumented, outputs)
            self._host_signal.was_requested()
        return outputs, was_requested

    def _end_step(self, was_requested: bool) -> None:
        inner = self._inner
        if inner is not None:
            inner_was_requested = inner._host_signal.was_requested()
            if inner._analyzer is not None and inner_was_requested:
                inner._analyzer.after_call(
                    self._model, self._model.train_step, inner._instrumented, None
                )
            inner._end_step(inner_was_requested)
        self._on_step(was_requested)

    def _restore_and_make(self, force: bool = False) -> Any:
        caller = sys._getframe(1).f_code.co_name
        if caller == "train_on_batch" and self._is_in_batch() and _installed(self._model) is self:
            return self._model.train_function
        self.restore()
        return self._model.make_train_function(force=force)


@contextmanager
def _restored(attributes: dict[str, Any], names: Sequence[str]) -> Iterator[None]:
    """Restores these attributes when the block ends."""
    before = {name: attributes[name] for name in names if name in attributes}
    try:
        yield
    finally:
        for name in names:
            attributes.pop(name, None)
        attributes.update(before)


def _installed(model: Any) -> InstrumentedTrainFunction | None:
    """The outermost train function of ours: a second Callback wraps the first."""
    owner = getattr(model.train_function, "__self__", None)
    return owner if isinstance(owner, InstrumentedTrainFunction) else None


def _plain(model: Any) -> Any:
    """The train function without any of ours."""
    installed = _installed(model)
    return model.train_function if installed is None else installed._plain
