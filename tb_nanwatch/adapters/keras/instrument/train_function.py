"""Puts an observed training step in the model's place, and takes it out again.

`fit` makes the model's `train_function` before any callback runs, and reads it anew at each step:
so a callback can exchange it. Keras tells callbacks neither of a KeyboardInterrupt nor of an error
in another callback; therefore the model's `make_train_function`, which every later training calls
first, is exchanged too, for one that first puts everything back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras.failing_step.black_box import BlackBox
from tb_nanwatch.adapters.keras.instrument.step_function import in_python
from tb_nanwatch.adapters.tensorflow.graph.host_callback import Bell

_END_OF_DATA = (StopIteration, tf.errors.OutOfRangeError)
_EXCHANGED = ("train_function", "train_step", "make_train_function")


class ObservedTrainFunction:
    """The exchange for one model as it is compiled now.

    Args:
      model: a compiled Keras model whose `train_function` is made.
      observe: turns a bound `train_step` into an observed one.
      on_step: called after each call of the step, before any callback hears of it, with whether
        the step has rung.
      on_error: called where the step raises, after everything has been put back.
      is_awaited: whether a step is to come that is to be observed: then the model is asked for its
        train function by the `train_on_batch` that runs this step.
      bell: rings in the step where the host has to attend to it.
      black_box: runs steps again that went non-finite.
    """

    def __init__(
        self,
        model: Any,
        observe: Callable[[Callable[[Any], Any]], Callable[[Any], Any]],
        on_step: Callable[[bool], None],
        on_error: Callable[[], None],
        is_awaited: Callable[[], bool],
        bell: Bell,
        black_box: BlackBox | None = None,
    ):
        self._model = model
        self._on_step = on_step
        self._on_error = on_error
        self._is_awaited = is_awaited
        self._bell = bell
        self._black_box = black_box
        self._inner = _installed(model)
        if self._inner is not None:
            # What one of them holds back the other would count: neither does.
            for box in filter(None, (black_box, self._inner._black_box)):
                box.held.refuse("several callbacks record the training")
        inner_step = self._inner._step if self._inner else model.train_step
        self._step: Callable[[Any], Any] = observe(inner_step)
        self._plain = _plain(model)
        self._observed = self._make()

    def _make(self) -> Callable[[Any], Any]:
        """Has the model make a train function of the observed step, and take back its own."""
        attributes = vars(self._model)
        before = {name: attributes[name] for name in _EXCHANGED if name in attributes}
        attributes.pop("make_train_function", None)
        attributes["train_step"] = self._step
        try:
            self._model.make_train_function(force=True)
            made: Callable[[Any], Any] = self._model.train_function
        finally:
            for name in _EXCHANGED:
                attributes.pop(name, None)
            attributes.update(before)
        return made

    def fits(self, model: Any) -> bool:
        """Whether the trace can serve again: as long as Keras's own would, until a compile."""
        return (
            model is self._model
            and _plain(model) is self._plain
            and _installed(model) is self._inner
        )

    def is_installed(self) -> bool:
        """Whether the next step will be observed."""
        installed = _installed(self._model)
        while installed is not None and installed is not self:
            installed = installed._inner
        return installed is self

    def install(self) -> None:
        """Has the next steps observed, by this and by those that are installed already."""
        self._model.train_function = self._run
        vars(self._model)["make_train_function"] = self._restore_and_make

    def restore(self) -> None:
        """Puts back what there was before any of ours, where nobody has replaced it since."""
        if _installed(self._model) is self:
            self._model.train_function = self._plain
        if vars(self._model).get("make_train_function") == self._restore_and_make:
            del vars(self._model)["make_train_function"]

    def _run(self, iterator: Any) -> Any:
        try:
            outputs, has_rung = self._call(iterator)
        except _END_OF_DATA:
            raise
        except BaseException:
            self.restore()
            self._on_error()
            raise
        self._step_ended(has_rung)
        return outputs

    def _call(self, iterator: Any) -> tuple[Any, bool]:
        """Runs the step, and those again that it holds; what it returns, and whether it rang."""
        box = self._black_box
        outputs = self._observed(iterator if box is None else box.feed(self._model, iterator))
        has_rung = self._bell.has_rung()
        if box is not None and has_rung:
            step = in_python(self._model.train_step)
            outputs = box.after(self._model, step, self._observed, outputs)
            self._bell.has_rung()
        return outputs, has_rung

    def _step_ended(self, has_rung: bool) -> None:
        inner = self._inner
        if inner is not None:
            inner_has_rung = inner._bell.has_rung()
            if inner._black_box is not None and inner_has_rung:
                inner._black_box.after(self._model, self._model.train_step, inner._observed, None)
            inner._step_ended(inner_has_rung)
        self._on_step(has_rung)

    def _restore_and_make(self, force: bool = False) -> Any:
        caller = sys._getframe(1).f_code.co_name
        if caller == "train_on_batch" and self._is_awaited() and _installed(self._model) is self:
            return self._model.train_function
        self.restore()
        return self._model.make_train_function(force=force)


def _installed(model: Any) -> ObservedTrainFunction | None:
    """What of ours observes the model now: a second Callback goes around the first."""
    owner = getattr(model.train_function, "__self__", None)
    return owner if isinstance(owner, ObservedTrainFunction) else None


def _plain(model: Any) -> Any:
    """The train function without any of ours."""
    installed = _installed(model)
    return model.train_function if installed is None else installed._plain
