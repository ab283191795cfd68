"""The Python function in a `train_step` that is a `tf.function`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

from tb_nanwatch.adapters.tensorflow.private_api import private

Step = Callable[[Any], Any]


def is_tf_function(train_step: Any) -> bool:
    """Whether TensorFlow traces it into a function of its own."""
    return hasattr(train_step, "python_function") and hasattr(train_step, "_clone")


def can_unwrap(train_step: Any) -> bool:
    """Whether it is a `tf.function` whose Python function can be traced in place.

    One with `jit_compile=True` cannot: XLA compiles it as a whole, apart from the rest.
    """
    names = ("tf_decorator", "TfMethodTarget", "ag_ctx", "tf_convert")
    return (
        is_tf_function(train_step)
        and not train_step._jit_compile
        and all(private(name) is not None for name in names)
    )


def unwrap(train_step: Any) -> Step:
    """The step, to be traced in place; by AutoGraph if the `tf.function` is."""
    if not can_unwrap(train_step):
        step: Step = train_step
        return step
    if not train_step._autograph:
        return python_function(train_step)
    ag_ctx = private("ag_ctx")
    enabled = ag_ctx.ControlStatusCtx(ag_ctx.Status.ENABLED)
    converted: Step = private("tf_convert")(
        python_function(train_step), enabled, user_requested=True
    )
    return converted


def python_function(train_step: Any) -> Step:
    """The step as plain Python, to be run operation by operation."""
    step: Step = train_step
    if is_tf_function(train_step):
        # Not the python_function itself: that of a method runs what AutoGraph has made of it.
        decorator, target = private("tf_decorator"), private("TfMethodTarget")
        step = train_step.python_function
        if decorator is None or target is None:
            return step
        _, step = decorator.unwrap(step)
        owner = getattr(step, "__self__", None)
        if isinstance(owner, target):
            step = MethodType(step.__func__, owner.target)  # type: ignore[attr-defined]
    return step


def source_function(train_step: Any) -> Any:
    """The function that the user wrote, below the wrappers of Keras, TensorFlow and others."""
    step = inspect.unwrap(python_function(train_step))
    step = python_function(step)  # Where another Callback has instrumented it already.
    return getattr(step, "__func__", step)
