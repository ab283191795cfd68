"""A `train_step` that is a `tf.function`: the Python function in it, to be looked into."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

from tb_nanwatch.adapters.tensorflow.private_api import private

Step = Callable[[Any], Any]


def is_function(train_step: Any) -> bool:
    """Whether TensorFlow traces it into a function of its own."""
    return hasattr(train_step, "python_function") and hasattr(train_step, "_clone")


def is_opened(train_step: Any) -> bool:
    """Whether it is such a function, and one that can be looked into: XLA compiles it as a whole
    otherwise, apart from the rest."""
    names = ("tf_decorator", "TfMethodTarget", "ag_ctx", "tf_convert")
    return (
        is_function(train_step)
        and not train_step._jit_compile
        and all(private(name) is not None for name in names)
    )


def opened(train_step: Any) -> Step:
    """The step, to be traced in place; by AutoGraph where the function would be."""
    if not is_opened(train_step):
        step: Step = train_step
        return step
    if not train_step._autograph:
        return in_python(train_step)
    ag_ctx = private("ag_ctx")
    enabled = ag_ctx.ControlStatusCtx(ag_ctx.Status.ENABLED)
    converted: Step = private("tf_convert")(in_python(train_step), enabled, user_requested=True)
    return converted


def in_python(train_step: Any) -> Step:
    """The step as it is written, to be run operation by operation."""
    step: Step = train_step
    if is_function(train_step):
        # Not the python_function itself: of a method that runs what AutoGraph has made of it.
        decorator, target = private("tf_decorator"), private("TfMethodTarget")
        step = train_step.python_function
        if decorator is None or target is None:
            return step
        _, step = decorator.unwrap(step)
        owner = getattr(step, "__self__", None)
        if isinstance(owner, target):
            step = MethodType(step.__func__, owner.target)  # type: ignore[attr-defined]
    return step


def written(train_step: Any) -> Any:
    """The function that a person wrote, below what Keras, TensorFlow and others put around it."""
    step = inspect.unwrap(in_python(train_step))
    step = in_python(step)  # Another Callback has it observed already.
    return getattr(step, "__func__", step)
