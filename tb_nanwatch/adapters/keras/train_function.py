"""Puts an observed training step in the model's place, and takes it out again.

`fit` makes the model's `train_function` before any callback runs, and reads it anew at each step:
so a callback can exchange it. Keras tells callbacks neither of a KeyboardInterrupt nor of an error
in another callback; therefore the model's `make_train_function`, which every later training calls
first, is exchanged too, for one that first puts everything back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

_END_OF_DATA = (StopIteration, tf.errors.OutOfRangeError)


class ObservedTrainFunction:
    """The exchange for one model as it is compiled now.

    Args:
      model: a compiled Keras model whose `train_function` is made.
      observe: turns the model's bound `train_step` into an observed one.
      on_error: called where the step raises, after everything has been put back.
    """

    def __init__(
        self,
        model: Any,
        observe: Callable[[Callable[[Any], Any]], Callable[[Any], Any]],
        on_error: Callable[[], None],
    ):
        self._model = model
        self._on_error = on_error
        self._plain = model.train_function
        self._compiled = _compilation(model)
        attributes = vars(model)
        own_step = attributes.get("train_step")
        attributes["train_step"] = observe(model.train_step)
        try:
            model.make_train_function(force=True)
            self._observed = model.train_function
        finally:
            model.train_function = self._plain
            if own_step is None:
                del attributes["train_step"]
            else:
                attributes["train_step"] = own_step

    def fits(self, model: Any) -> bool:
        """Whether the model is still the one, compiled as it was: its trace can serve again."""
        return model is self._model and _compilation(model) == self._compiled

    def install(self) -> None:
        """Has the next steps observed."""
        self._plain = self._model.train_function
        self._model.train_function = self._run
        vars(self._model)["make_train_function"] = self._restore_and_make

    def restore(self) -> None:
        """Puts back what `install` found, where nobody else has replaced it since."""
        if self._model.train_function == self._run:
            self._model.train_function = self._plain
        if vars(self._model).get("make_train_function") == self._restore_and_make:
            del vars(self._model)["make_train_function"]

    def _run(self, iterator: Any) -> Any:
        try:
            return self._observed(iterator)
        except _END_OF_DATA:
            raise
        except BaseException:
            self.restore()
            self._on_error()
            raise

    def _restore_and_make(self, force: bool = False) -> Any:
        self.restore()
        return self._model.make_train_function(force=force)


def _compilation(model: Any) -> tuple[Any, ...]:
    """What a trace of the training step depends on."""
    trainable = tuple(id(variable) for variable in model.trainable_variables)
    return (
        id(model.optimizer),
        id(model._compile_loss),
        model.run_eagerly,
        model.jit_compile,
        model.steps_per_execution,
        trainable,
    )
