"""What is upstream of a tensor, by the recorded call graph."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tb_nanwatch.format.facts import UNKNOWN_MODEL, LayerFacts, ModelFacts
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.http.upstream import upstream

GRAPH = {
    "left": (),
    "right": (),
    "add": ("left", "right"),
    "relu": ("add",),
    "out": ("relu", "left"),
}
"""Two branches from the inputs, added; the left one also goes straight to the output."""

MODEL = ModelFacts(
    layers=tuple(LayerFacts(path, "Layer", True, inputs=inputs) for path, inputs in GRAPH.items())
)


def tensor(role: str, layer: str = "", name: str = "") -> TensorInfo:
    return TensorInfo(role, layer, name or layer or role, (3,), "float32")


def names(
    tensors: Sequence[TensorInfo], workers: Sequence[str] = (), model: ModelFacts = MODEL
) -> dict[str, list[str]]:
    """Role and name of each tensor that has something upstream, to the names of that."""
    found = upstream(tensors, workers or [""] * len(tensors), model)
    return {
        f"{info.role} {info.name}": [f"{tensors[i].role} {tensors[i].name}" for i in above]
        for info, above in zip(tensors, found, strict=True)
        if above
    }


def test_forward_a_layers_output_comes_from_those_it_consumes() -> None:
    layers = [tensor("activation", path) for path in GRAPH]
    ends = [tensor("input"), tensor("target"), tensor("prediction"), tensor("loss")]
    assert names([*ends, *layers]) == {
        "activation left": ["input input"],
        "activation right": ["input input"],
        "activation add": ["activation left", "activation right"],
        "activation relu": ["activation add"],
        "activation out": ["activation relu", "activation left"],
        "prediction prediction": ["activation out"],
        "loss loss": ["prediction prediction", "target target"],
    }


def test_backward_a_gradient_comes_from_the_layers_that_consume_the_output() -> None:
    layers = [tensor("activation_gradient", path) for path in GRAPH]
    kernel = tensor("gradient", "left", "left/kernel")
    assert names([tensor("loss"), *layers, kernel]) == {
        "activation_gradient left": ["activation_gradient add", "activation_gradient out"],
        "activation_gradient right": ["activation_gradient add"],
        "activation_gradient add": ["activation_gradient relu"],
        "activation_gradient relu": ["activation_gradient out"],
        "activation_gradient out": ["loss loss"],
        "gradient left/kernel": ["activation_gradient left"],
    }


def test_what_was_not_recorded_is_passed_through() -> None:
    some = [
        tensor("input"),
        tensor("loss"),
        tensor("activation", "left"),
        tensor("activation", "out"),
        tensor("activation_gradient", "relu"),
        tensor("gradient", "right", "right/kernel"),
        tensor("gradient", "out", "out/kernel"),
    ]
    assert names(some) == {
        "activation left": ["input input"],
        # Through `relu` and `add`: `right` has no activation, so what feeds it is the inputs.
        "activation out": ["activation left", "input input"],
        "activation_gradient relu": ["loss loss"],
        "gradient right/kernel": ["activation_gradient relu"],
        "gradient out/kernel": ["loss loss"],
    }


def test_what_is_unknown_has_nothing_upstream() -> None:
    some = [tensor("input"), tensor("activation", "left"), tensor("gradient", "left")]
    assert names(some, model=UNKNOWN_MODEL) == {}
    assert names([tensor("activation", "elsewhere"), tensor("weight", "left"), *some[:1]]) == {}


def test_another_worker_is_not_upstream() -> None:
    both = [tensor("input", name="a"), tensor("input", name="b"), tensor("activation", "left")]
    assert names(both, ["one", "two", "two"]) == {"activation left": ["input b"]}


def test_a_cycle_ends() -> None:
    """A recurrent model may feed a layer its own output."""
    layers = (
        LayerFacts("cell", "Layer", True, inputs=("cell", "gate")),
        LayerFacts("gate", "Layer", True, inputs=("cell",)),
    )
    assert names([tensor("activation", "cell")], model=ModelFacts(layers=layers)) == {
        "activation cell": ["activation cell"]
    }
    assert names([tensor("gradient", "gate")], model=ModelFacts(layers=layers)) == {}


def test_thousands_of_layers_are_looked_at_once_each() -> None:
    """Quadratic, it took 40 s of 1,500 layers, and the first look at the run as long."""
    count = 3000
    layers = [f"dense_{number}" for number in range(count)]
    model = ModelFacts(
        layers=tuple(
            LayerFacts(path, "Dense", True, inputs=tuple(layers[max(0, at - 2) : at]))
            for at, path in enumerate(layers)
        )
    )
    tensors = [tensor(role, path) for role in ("gradient", "activation") for path in layers]
    tensors = [each for each in tensors if each.role == "gradient" or each.layer == layers[5]]
    begin = time.process_time()
    found = upstream([*tensors, tensor("loss"), tensor("prediction")], [""] * (count + 3), model)
    assert time.process_time() - begin < 1
    loss = count + 1
    assert found[:count] == [(loss,)] * count
    assert found[count + 2] == (count,)


def test_layers_that_feed_each_other_have_what_feeds_both() -> None:
    """A shared layer is called twice: `b` takes the output of `a`, and `a` that of `b`."""
    graph = {"first": (), "a": ("first", "b"), "b": ("a",), "last": ("b",)}
    model = ModelFacts(
        layers=tuple(LayerFacts(path, "Layer", True, inputs=each) for path, each in graph.items())
    )
    recorded = [tensor("activation", "first"), tensor("activation", "last")]
    assert names(recorded, model=model) == {"activation last": ["activation first"]}
