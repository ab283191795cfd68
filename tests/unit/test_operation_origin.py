"""Which operation of a function made something non-finite, against cases that are known."""

from __future__ import annotations

import importlib.util
import linecache
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.tracing.operations import trace_operations
from tb_nanwatch.adapters.tensorflow.tracing.origin import describe_operation, find_origin
from tb_nanwatch.training.failing_step.describe_operation import affected_rows
from tb_nanwatch.training.failing_step.origin import Search

BATCH = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)

Function = Callable[[Any, Any], Any]


def search(function: Function, batch: np.ndarray = BATCH, weight: float = 1.0) -> Search:
    """Differentiates `function(batch, weight)` summed up, and looks for the origin."""
    x, w = tf.constant(batch), tf.Variable(weight)
    with trace_operations(lambda owner: None) as trace:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(function(x, w))
        tape.gradient(loss, [w])
    return find_origin(trace, [x], [w])


@tf.function
def compiled_log(x: Any) -> Any:
    return tf.math.log(x)


@pytest.mark.parametrize(
    ("function", "operation", "direction", "places"),
    [
        (lambda x, w: tf.math.log(x * w), "Log", "forward", [[0, 0]]),
        (lambda x, w: compiled_log(x * w), "Log", "forward", [[0, 0]]),
        # Which takes a graph: functions do not run eagerly in there.
        (
            lambda x, w: tf.math.log(tf.vectorized_map(lambda row: row * w, x)),
            "Log",
            "forward",
            [[0, 0]],
        ),
        (lambda x, w: tf.where(x > 0, tf.math.log(x * w), 0.0), "Log", "backward", [[0, 0]]),
        (lambda x, w: tf.sqrt(x * w), "Sqrt", "backward", [[0, 0]]),
        (lambda x, w: tf.sqrt(x * w - 2), "Sqrt", "forward", [[0, 0], [0, 1]]),
        (lambda x, w: tf.norm(x * w * 0, axis=-1), "Sqrt", "backward", [[0, 0], [1, 0]]),
        (lambda x, w: tf.exp(x * w * 100), "Exp", "forward", [[0, 1], [1, 0], [1, 1]]),
        (lambda x, w: w / x, "RealDiv", "forward", [[0, 0]]),
        # 0 * Inf is NaN; the infinity before it is where it began.
        (lambda x, w: x * tf.math.log(x * w), "Log", "forward", [[0, 0]]),
        # The infinity is a mask's, the NaN is the softmax's.
        (
            lambda x, w: tf.nn.softmax(tf.where(x > 5, x * w, -np.inf)),
            "Softmax",
            "forward",
            [[0, 0], [0, 1], [1, 0], [1, 1]],
        ),
        # What a mask hides forward comes back through a product.
        (
            lambda x, w: tf.where(x > 0, tf.math.log(x) * w, 0.0),
            "Log",
            "forward",
            [[0, 0]],
        ),
    ],
)
def test_names_the_operation_the_pass_and_the_elements(
    function: Function, operation: str, direction: str, places: list[list[int]]
) -> None:
    found = search(function)
    assert found.is_nonfinite
    assert found.origin is not None
    assert (found.origin.operation.type, found.origin.direction) == (operation, direction)
    assert np.argwhere(found.origin.nonfinite).tolist() == places
    call_site = found.origin.operation.call_site
    assert call_site is not None
    assert call_site.file == __file__


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: x * w,
        lambda x, w: tf.nn.softmax(tf.where(x > 0, x * w, -np.inf)) * x,
        lambda x, w: tf.where(x > 0, tf.math.log(x), 0.0) + w,
        lambda x, w: tf.maximum(x * w, -np.inf),
    ],
)
def test_what_is_masked_and_reaches_nothing_is_no_origin(function: Function) -> None:
    found = search(function)
    assert not found.is_nonfinite
    assert found.origin is None


def test_bad_data_and_bad_weights_are_no_operations_fault() -> None:
    batch = np.array([[0.0, np.nan], [1.0, 2.0]], np.float32)
    found = search(lambda x, w: tf.nn.relu(x * w), batch)
    assert found.origin is None
    assert [each.shape for each in found.data] == [(2, 2)]
    found = search(lambda x, w: x * w, weight=np.nan)
    assert (found.origin, found.by_weight, found.data) == (None, True, ())


def test_reading_a_bad_weight_is_no_operations_fault() -> None:
    """As Keras 2 reads it: by an operation without operands."""
    found = search(lambda x, w: x * w.read_value(), weight=np.nan)
    assert (found.origin, found.by_weight, found.data) == (None, True, ())


def test_what_the_step_has_assigned_is_found_where_it_was_made() -> None:
    """As a spectral normalization does, which writes to its kernel before it uses it."""

    def normalized(x: Any, w: Any) -> Any:
        w.assign(w / tf.reduce_sum(w - w))
        return x + w.read_value()

    found = search(normalized, weight=0.0)
    assert found.origin is not None
    assert found.origin.operation.type == "RealDiv"


def test_of_nan_and_infinity_the_nan_is_told() -> None:
    """The infinity is replaced, as in a loss that takes the log of boxes without a size."""

    def log_of_size(x: Any, w: Any) -> Any:
        size = tf.math.log(x * w)
        return tf.where(tf.math.is_inf(size), tf.zeros_like(size), size)

    found = search(log_of_size, np.array([[0.0, 1.0], [2.0, -3.0]], np.float32))
    assert found.origin is not None
    assert np.argwhere(found.origin.nonfinite).tolist() == [[1, 1]]
    (operand,) = describe_operation(found.origin).operands
    assert [(each.index, each.value) for each in operand.elements] == [((1, 1), "-3.0")]


def test_code_of_autograph_is_told_as_written() -> None:
    def loss(x: Any, w: Any) -> Any:
        if len(x.shape) > 1:
            x = tf.math.log(x * w)  # this line
        return x

    converted = tf.__internal__.autograph.tf_convert(
        loss, tf.__internal__.autograph.control_status_ctx()
    )
    found = search(converted)
    assert found.origin is not None
    site = found.origin.operation.call_site
    assert site is not None
    assert (site.file, site.function) == (__file__, "loss")
    assert linecache.getline(__file__, site.line).strip().endswith("# this line")


def test_random_operations_are_noted() -> None:
    assert search(lambda x, w: x * w * tf.random.uniform([])).is_random
    assert not search(lambda x, w: x * w * tf.random.stateless_uniform([], [1, 2])).is_random


def test_tells_operands_at_the_elements_and_the_source() -> None:
    found = search(lambda x, w: w / x)
    assert found.origin is not None
    operation = describe_operation(found.origin)
    assert [(each.name, each.shape) for each in operation.operands] == [("x", ()), ("y", (2, 2))]
    numerator, divisor = operation.operands
    assert [(each.index, each.value) for each in numerator.elements] == [((), "1.0")]
    assert [(each.index, each.value) for each in divisor.elements] == [((0, 0), "0.0")]
    assert operation.result is not None
    assert operation.result.elements[0].value == "inf"
    assert "w / x" in operation.code
    assert [line.line for line in operation.source if line.text.strip() == operation.code] == [
        operation.line
    ]


LARGE = np.array([[1.0, -3e38, 2.0], [3e38, 2e38, 3.0]], np.float32)


@pytest.mark.parametrize(
    ("function", "operands"),
    [
        # Never the axis; and what is summed, not what happens to lie at the result's place.
        (
            lambda x, w: tf.reduce_sum(x * w, axis=-1, keepdims=True),
            [("input", ["-3e+38", "3e+38", "2e+38", "3.0"])],
        ),
        (
            lambda x, w: tf.matmul(x * w, x, transpose_b=True),
            [
                ("a", ["-3e+38", "3e+38", "2e+38", "3.0"]),
                ("b", ["-3e+38", "3e+38", "2e+38", "3.0"]),
            ],
        ),
        (lambda x, w: tf.square(x * w), [("x", ["-3e+38", "3e+38", "2e+38"])]),
    ],
)
def test_operands_are_those_that_matter(
    function: Function, operands: list[tuple[str, list[str]]]
) -> None:
    found = search(function, LARGE)
    assert found.origin is not None
    described = describe_operation(found.origin).operands
    shown = [(each.name, [element.value for element in each.elements]) for each in described]
    assert shown == operands


def test_an_axis_is_no_operand_and_nothing_has_no_elements() -> None:
    found = search(lambda x, w: tf.reduce_mean(x[:0] * w, axis=[0]))
    assert found.origin is not None
    (operand,) = describe_operation(found.origin).operands
    assert (operand.shape, operand.elements) == ((0, 2), ())


def test_rows_are_told_where_the_first_dimension_is_the_batchs() -> None:
    bad = np.array([[False, True], [False, False], [True, True]])
    assert affected_rows(bad, 3) == (0, 2)
    assert affected_rows(bad, 4) == ()
    assert affected_rows(np.array(True), 3) == ()


def test_nothing_stays_behind_also_after_an_error() -> None:
    original = tf.GradientTape.gradient
    found = []

    def fail() -> None:
        with trace_operations(lambda owner: None) as trace:
            found.append(trace)
            tf.constant(1.0) + 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert tf.GradientTape.gradient is original
    assert not tf.config.functions_run_eagerly()
    assert [each.type for each in found[0].operations] == ["AddV2"]
    tf.constant(1.0) + 1
    assert len(found[0].operations) == 1


@tf.custom_gradient  # type: ignore[untyped-decorator]
def own_slope(x: Any) -> Any:
    def grad(upstream: Any) -> Any:
        return upstream / x  # the slope

    return tf.exp(x), grad


@tf.custom_gradient  # type: ignore[untyped-decorator]
def own_value(x: Any) -> Any:
    inverse = 1 / x
    return 2 * x, lambda upstream: upstream * inverse


def test_of_a_gradient_of_ones_own_the_operation_within_is_named() -> None:
    found = search(lambda x, w: own_slope(x * w))
    assert found.origin is not None
    operation = found.origin.operation
    assert (operation.type, found.origin.direction) == ("RealDiv", "backward")
    assert operation.call_site is not None
    assert "# the slope" in linecache.getline(__file__, operation.call_site.line)
    # What the function itself has made for its gradient.
    found = search(lambda x, w: own_value(x * w))
    assert found.origin is not None
    assert (found.origin.operation.type, found.origin.direction) == ("RealDiv", "forward")


def search_penalty(penalty: Callable[[Any], Any], critic: Callable[[Any, Any], Any]) -> Search:
    """Differentiates what `penalty` makes of a gradient, as a gradient penalty does."""
    x, w = tf.constant(BATCH), tf.Variable(tf.ones([2, 2]))
    with trace_operations(lambda owner: None) as trace:
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = tf.reduce_sum(critic(x, w))
            loss = tf.reduce_mean(penalty(inner.gradient(value, x)))
        tape.gradient(loss, [w])
    return find_origin(trace, [x], [w])


@pytest.mark.parametrize(
    ("penalty", "critic", "expected"),
    [
        # The norm of a gradient that is 0.
        (lambda g: (tf.norm(g, axis=1) - 1) ** 2, lambda x, w: x @ w * 0, ("Sqrt", "backward")),
        (lambda g: 1 / g, lambda x, w: x @ w * 0, ("RealDiv", "forward")),
        # The gradient itself is not finite, or the gradient's gradient.
        (lambda g: g, lambda x, w: tf.sqrt(x * w), ("Sqrt", "backward")),
        (lambda g: g, lambda x, w: (x * w) ** 1.5, ("Pow", "backward")),
    ],
)
def test_gradients_of_gradients(
    penalty: Callable[[Any], Any], critic: Callable[[Any, Any], Any], expected: tuple[str, str]
) -> None:
    found = search_penalty(penalty, critic)
    assert found.origin is not None
    assert (found.origin.operation.type, found.origin.direction) == expected


def test_what_is_made_of_finite_gradients_is_looked_at_too() -> None:
    x, w = tf.constant(BATCH), tf.Variable(1.0)

    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(x * w * 0)
        (gradient,) = tape.gradient(loss, [w])
        w.assign_sub(gradient / tf.abs(gradient))  # the update

    with trace_operations(lambda owner: None) as trace:
        step()
    found = find_origin(trace, [x], [tf.constant(1.0)])
    assert found.is_nonfinite
    assert found.origin is not None
    operation = found.origin.operation
    assert (operation.type, found.origin.direction) == ("RealDiv", "update")
    assert operation.call_site is not None
    assert "# the update" in linecache.getline(__file__, operation.call_site.line)


def test_of_a_weight_alone_an_operation_is_no_constant() -> None:
    found = search(lambda x, w: x * tf.math.log(w), weight=0.0)
    assert found.origin is not None
    assert (found.origin.operation.type, found.origin.direction) == ("Log", "forward")


def test_the_line_is_the_persons_own_and_an_installed_packages_only_where_there_is_none(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "installed.py").write_text(
        "import tensorflow as tf\ndef log(x, w):\n    return tf.math.log(x * w)\n"
    )
    spec = importlib.util.spec_from_file_location("installed", folder / "installed.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = search(lambda x, w: module.log(x, w))
    assert found.origin is not None
    call_site = found.origin.operation.call_site
    assert call_site is not None
    assert call_site.file == __file__
    x, w = tf.constant(BATCH), tf.Variable(1.0)
    with trace_operations(lambda owner: None) as trace:
        with tf.GradientTape() as tape:
            loss = module.log(x, w)
        tape.gradient(loss, [w])
    origin = find_origin(trace, [x], [w]).origin
    assert origin is not None
    assert origin.operation.call_site is not None
    assert (origin.operation.call_site.file, origin.operation.call_site.line) == (
        str(folder / "installed.py"),
        3,
    )
