"""Functions of others are exchanged for one thread, in whichever order threads come and go."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.function_patching import FunctionPatch, patch_functions
from tb_nanwatch.adapters.tensorflow.tracing.operations import is_tracing, trace_operations


class Owner:
    def name(self) -> str:
        return "original"

    @property
    def size(self) -> int:
        return 1


ORIGINAL = vars(Owner)["name"]


def named(text: str) -> AbstractContextManager[None]:
    return patch_functions(
        FunctionPatch(Owner, "name", lambda original, owner: f"{text} {original(owner)}")
    )


def test_acts_in_its_thread_alone_and_the_inner_one_calls_the_outer() -> None:
    owner = Owner()
    with ThreadPoolExecutor(1) as pool, named("outer"):
        with named("inner"):
            assert owner.name() == "inner outer original"
            assert pool.submit(owner.name).result() == "original"
        assert owner.name() == "outer original"
    assert vars(Owner)["name"] is ORIGINAL


def test_of_two_threads_either_may_leave_first() -> None:
    owner = Owner()
    with ThreadPoolExecutor(1) as pool:
        mine, theirs = named("my"), named("their")
        mine.__enter__()
        pool.submit(theirs.__enter__).result()
        mine.__exit__(None, None, None)
        assert owner.name() == "original"
        assert pool.submit(owner.name).result() == "their original"
        pool.submit(theirs.__exit__, None, None, None).result()
    assert vars(Owner)["name"] is ORIGINAL


def test_what_somebody_puts_over_it_stays_and_may_be_exchanged_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner = Owner()
    with named("first"):
        below = Owner.name
        monkeypatch.setattr(Owner, "name", lambda self: f"over {below(self)}")
        over = Owner.name
        assert owner.name() == "over first original"
    assert Owner.name is over
    with named("second"):
        assert owner.name() == "second over original"
    assert (Owner.name is over, owner.name()) == (True, "over original")


def test_replicas_may_leave_in_another_order_than_they_entered() -> None:
    owner, before = Owner(), Owner.name
    first, second = named("first"), named("second")
    first.__enter__()
    second.__enter__()
    assert owner.name() == "second first original"
    first.__exit__(None, None, None)
    assert owner.name() == "second original"
    second.__exit__(None, None, None)
    assert (Owner.name is before, owner.name()) == (True, "original")


def test_properties_errors_and_what_is_not_there() -> None:
    size = FunctionPatch(Owner, "size", lambda original, owner: original(owner) + 1)
    with patch_functions(size):
        assert Owner().size == 2
    with pytest.raises(ZeroDivisionError), patch_functions(size):
        raise ZeroDivisionError
    # As in a version of TensorFlow that has no such function.
    with patch_functions(FunctionPatch(Owner, "missing", print), size):
        assert Owner().size == 2
    assert Owner().size == 1
    assert not hasattr(Owner, "missing")


def test_replicas_count_as_the_thread_that_started_them() -> None:
    strategy, seen = tf.distribute.MirroredStrategy(["CPU:0"]), []

    def step() -> None:
        seen.append((threading.current_thread(), Owner().name(), is_tracing()))

    with named("my"):
        tf.function(lambda: strategy.run(step))()
        with trace_operations(lambda owner: None):
            strategy.run(step)
    assert [each[1:] for each in seen] == [("my original", False), ("my original", True)]
    assert threading.current_thread() not in [each[0] for each in seen]


@tf.function
def tripled(x: Any) -> Any:
    return x * 3


def test_each_of_two_traced_threads_hears_its_own_operations_to_the_end() -> None:
    function = tripled.get_concrete_function(tf.constant(1.0))
    with ThreadPoolExecutor(1) as pool:
        mine, theirs = trace_operations(lambda owner: None), trace_operations(lambda owner: None)
        my_trace = mine.__enter__()
        their_trace = pool.submit(theirs.__enter__).result()
        tripled(tf.constant(1.0))
        mine.__exit__(None, None, None)
        assert pool.submit(tf.config.functions_run_eagerly).result() is False
        # Of a function that is called as a whole TensorFlow tells in another way.
        pool.submit(lambda: (tripled(tf.constant(1.0)), function(tf.constant(1.0)))).result()
        tripled(tf.constant(1.0))
        pool.submit(theirs.__exit__, None, None, None).result()
    assert [each.type for each in my_trace.operations] == ["Mul"]
    first, second, *others = (each.type for each in their_trace.operations)
    assert (first, second.startswith("__inference_tripled"), others) == ("Mul", True, [])
