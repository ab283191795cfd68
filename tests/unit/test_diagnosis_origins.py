"""Where non-finite values come from, in histories made by hand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
import pytest
from synthetic_histories import (
    ALL,
    DEFAULT,
    LAYERS,
    MODEL,
    STATISTICS,
    Change,
    Values,
    aftermath,
    healthy,
    history,
    of_role,
    poison,
    ruin,
)

from tb_nanwatch.diagnosis import Finding, advice, diagnose, explanation, headline, status
from tb_nanwatch.format.facts import LayerFacts, ModelFacts, OptimizerFacts

INF = np.inf
GRADIENT = "activation_gradient"
T = 17


def said(change: Change, roles: Collection[str] = ALL, **options: object) -> tuple[Finding, ...]:
    return diagnose(history(change, roles=roles, **options))  # type: ignore[arg-type]


def only(findings: Sequence[Finding]) -> Finding:
    assert len(findings) == 1, [(each.cause, each.step, each.origin) for each in findings]
    return findings[0]


def breaks_at(step: int, first: Change) -> Change:
    """`first` at that step, which leaves NaN weights; from then on all is NaN."""

    def change(now: int, values: Values) -> None:
        if now == step:
            first(now, values)
        elif now > step:
            aftermath(values)

    return change


def from_activation(layer: str, value: float = np.nan) -> Change:
    """A layer makes a NaN, and all behind it is NaN, and so every gradient and weight."""

    def first(step: int, values: Values) -> None:
        behind = LAYERS[LAYERS.index(layer) :]
        poison(values, ("activation", layer), value=value)
        poison(values, *of_role(values, "activation", layers=behind[1:]))
        ruin(values, "prediction", "loss", "activation_gradient", "gradient", "slot", "update")
        ruin(values, "weight")

    return first


def from_loss(step: int, values: Values) -> None:
    ruin(values, "loss", "activation_gradient", "gradient", "slot", "update", "weight")


def from_backward(layer: str, *, own: bool = False) -> Change:
    """What that layer gives back is NaN: the gradients before it, and with `own` its variables'."""

    def first(step: int, values: Values) -> None:
        before = LAYERS[: LAYERS.index(layer)]
        poison(values, *of_role(values, "activation_gradient", layers=before))
        variables = (*before, layer) if own else before
        for role in ("gradient", "slot", "update", "weight"):
            keys = of_role(values, role, layers=variables)
            poison(values, *(key for key in keys if key not in STATISTICS))

    return first


def from_slot(step: int, values: Values) -> None:
    poison(values, ("slot", "adam/two_kernel_velocity"), value=INF)


def from_input(step: int, values: Values) -> None:
    poison(values, ("input", "input"))
    from_activation("one")(step, values)


def from_target(step: int, values: Values) -> None:
    poison(values, ("target", "target"))
    from_loss(step, values)


@pytest.mark.parametrize(
    ("every", "flush_at"),
    [(1, ()), (8, {T}), (8, ())],
    ids=["each step", "windows that a change ends", "windows that go on"],
)
@pytest.mark.parametrize(
    ("first", "cause", "role", "layer", "tensor"),
    [
        (from_input, "nonfinite-input", "input", "", "input"),
        (from_target, "nonfinite-target", "target", "", "target"),
        (from_activation("one"), "layer-forward", "activation", "one", "one"),
        (from_activation("norm", INF), "layer-forward", "activation", "norm", "norm"),
        (from_activation("four"), "layer-forward", "activation", "four", "four"),
        (from_loss, "loss-domain", "loss", "", "loss"),
        (from_backward("two"), "layer-backward", "activation_gradient", "two", "one"),
        (from_backward("four"), "layer-backward", "activation_gradient", "four", "three"),
        (from_backward("one", own=True), "layer-backward", "gradient", "one", "one/bias"),
    ],
)
def test_origin_with_every_role(
    first: Change,
    cause: str,
    role: str,
    layer: str,
    tensor: str,
    every: int,
    flush_at: Collection[int],
) -> None:
    found = only(said(breaks_at(T, first), every=every, flush_at=flush_at, sample_every=4))
    origin = found.origin
    assert (found.cause, found.severity, found.step) == (cause, "error", T)
    if tensor.endswith("bias"):
        assert (origin.role, origin.layer) == (role, layer)
    else:
        assert (origin.role, origin.layer, origin.tensor) == (role, layer, tensor)
    assert found.last_step == 39
    reached = {(each.role, each.tensor) for each in found.affected}
    assert ("weight", "one/kernel") in reached
    assert (origin.role, origin.tensor) not in reached
    assert not any(role == "input" for role, _ in reached)
    assert found.record_also == ()


@pytest.mark.parametrize(
    ("first", "cause", "role", "layer", "record_also"),
    [
        (from_input, "nonfinite-input", "input", "", ()),
        (from_target, "nonfinite-target", "target", "", ()),
        (from_activation("two"), "layer-forward", "prediction", "", ("activation",)),
        (from_loss, "loss-domain", "loss", "", ()),
        (from_backward("three"), "layer-backward", "gradient", "norm", ("activation_gradient",)),
        (from_backward("two"), "layer-backward", "gradient", "one", ("activation_gradient",)),
    ],
)
def test_origin_with_the_default_roles(
    first: Change, cause: str, role: str, layer: str, record_also: tuple[str, ...]
) -> None:
    found = only(said(breaks_at(T, first), DEFAULT))
    assert (found.cause, found.step) == (cause, T)
    assert (found.origin.role, found.origin.layer) == (role, layer)
    assert found.record_also == record_also


def test_every_gradient_non_finite_under_a_finite_loss_is_the_loss_backward() -> None:
    def first(step: int, values: Values) -> None:
        ruin(values, "activation_gradient", "gradient", "slot", "update", "weight")

    exact = only(said(breaks_at(T, first)))
    assert (exact.cause, exact.step, exact.record_also) == ("loss-backward", T, ())
    guessed = only(said(breaks_at(T, first), DEFAULT))
    assert (guessed.cause, guessed.record_also) == ("loss-backward", ("activation_gradient",))


def test_the_loss_may_hide_it() -> None:
    """One NaN in the input, and ReLU kernels that drop it: the first kernel alone is lost."""

    def change(step: int, values: Values) -> None:
        if step == 0:
            poison(values, ("input", "input"), ("gradient", "one/kernel"))
        if step > 0:
            poison(values, ("gradient", "one/kernel"), ("activation", "one"))
        poison(values, ("weight", "one/kernel"))

    found = only(said(change))
    assert (found.cause, found.step, found.last_step) == ("nonfinite-input", 0, 39)
    assert found.consequences.is_loss_finite
    assert found.evidence == {"nan": 1, "pos_inf": 0, "neg_inf": 0}


def test_a_sample_weight_is_looked_for_among_the_sample_weights() -> None:
    def make(step: int) -> Values:
        return healthy(step) | {("target", "sample_weight"): np.ones(8, np.float32)}

    def first(step: int, values: Values) -> None:
        poison(values, ("target", "sample_weight"))
        from_loss(step, values)

    found = only(said(breaks_at(T, first), make=make))
    assert (found.cause, found.origin.tensor) == ("nonfinite-target", "sample_weight")
    assert found.variant == "sample-weight"


def test_a_loaded_nan_comes_before_the_first_step() -> None:
    def initial(step: int, values: Values) -> None:
        poison(values, ("weight", "three/kernel"))

    found = only(said(lambda _, values: aftermath(values), initial=initial))
    assert (found.cause, found.step) == ("nonfinite-initial-weight", 0)
    assert (found.origin.layer, found.origin.tensor) == ("three", "three/kernel")
    assert only(said(breaks_at(0, from_loss), initial=lambda *_: None)).cause == "loss-domain"


def test_a_slot_overflows_beside_an_infinite_loss() -> None:
    """Adam's second moment, as with targets of 1e20: the gradients are finite all the time."""

    def change(step: int, values: Values) -> None:
        for key in of_role(values, "target", "gradient"):
            values[key] = values[key] * np.float32(1e20)
        if step >= 1:
            poison(values, ("loss", "loss"), value=INF)
            poison(values, *of_role(values, "slot"), value=INF)
        if step == 2:
            ruin(values, "update", "weight")
        if step > 2:
            aftermath(values)

    found = said(change)
    assert [each.cause for each in found] == ["optimizer-overflow", "unscaled-target"]
    assert (found[0].step, found[0].origin.role) == (1, "slot")
    assert found[1].severity == "warning"
    assert (found[0].variant, found[0].evidence["pos_inf"]) == ("squares", 1)


def everywhere(values: Values) -> None:
    for key in of_role(values, "weight"):
        if key not in STATISTICS:
            values[key] = np.full_like(values[key], np.nan)


def somewhere(values: Values) -> None:
    ruin(values, "weight")


@pytest.mark.parametrize(
    ("which", "epsilon", "variant"),
    [
        (everywhere, 1e-7, "learning-rate"),
        (somewhere, 1e-7, "elements"),
        (somewhere, 0.0, "epsilon"),
        (somewhere, None, "elements"),
    ],
)
def test_finite_gradients_and_a_bad_weight_are_the_optimizer(
    which: Callable[[Values], None], epsilon: float | None, variant: str
) -> None:
    """A learning rate multiplies every element; what some elements show is a matter of these."""

    def first(step: int, values: Values) -> None:
        which(values)

    optimizer = OptimizerFacts("adam", "Adam", True, epsilon=epsilon)
    model = replace(MODEL, optimizers=(optimizer,))
    found = only(said(breaks_at(T, first), DEFAULT, model=model))
    assert (found.cause, found.step, found.record_also) == (
        "optimizer-overflow",
        T,
        ("slot", "update"),
    )
    assert found.variant == variant


@pytest.mark.parametrize(
    ("roles", "cause", "record_also"),
    [
        (("input", "target", "weight"), "loss-domain", ("prediction", "loss", "gradient")),
        (("weight", "slot", "update"), "loss-domain", ("prediction", "loss", "gradient")),
        (("prediction", "loss", "weight"), "layer-backward", ("gradient",)),
    ],
)
def test_without_gradients_nobody_knows_that_the_optimizer_did_it(
    roles: Collection[str], cause: str, record_also: tuple[str, ...]
) -> None:
    def first(step: int, values: Values) -> None:
        ruin(values, "gradient", "slot", "update", "weight")

    found = only(said(breaks_at(T, first), roles))
    assert (found.cause, found.step, found.record_also) == (cause, T, record_also)
    assert found.inferred_from in roles


def test_slots_that_were_not_recorded_overflowed_when_the_squares_did() -> None:
    def change(step: int, values: Values) -> None:
        if step == T:
            for key in of_role(values, "gradient"):
                values[key] = values[key] * np.float32(1e24)
        if step == T + 1:
            ruin(values, "weight")
        elif step > T + 1:
            aftermath(values)

    found = only(said(change, DEFAULT, sample_every=4, flush_at={T + 1}))
    assert (found.cause, found.step) == ("optimizer-overflow", T)
    assert (found.variant, found.evidence["first_seen_step"]) == ("squares", T + 1)


@pytest.mark.parametrize(("steps", "causes"), [(0, 2), (2, 2), (3, 1)])
def test_what_an_optimizer_has_accumulated_is_no_overflow_of_its_own(
    steps: int, causes: int
) -> None:
    def change(step: int, values: Values) -> None:
        if step == T:
            for key in of_role(values, "gradient"):
                values[key] = values[key] * np.float32(np.nan)
        if step == T + 2:
            ruin(values, "weight")
        elif step > T + 2:
            aftermath(values)

    adam = OptimizerFacts("adam", "Adam", True, 0.001, gradient_accumulation_steps=steps)
    found = said(change, DEFAULT, model=replace(MODEL, optimizers=(adam,)))
    assert len(found) == causes, [(each.cause, each.step) for each in found]
    assert (found[0].cause, found[0].step) == ("loss-backward", T)


def test_statistics_are_poisoned_while_training_goes_on() -> None:
    def change(step: int, values: Values) -> None:
        if step >= T:
            poison(values, *STATISTICS)

    found = only(said(change))
    assert (found.cause, found.step, found.last_step) == ("poisoned-statistics", T, 39)
    assert (found.origin.layer, found.origin.tensor) == ("norm", "norm/moving_mean")
    assert [each.tensor for each in found.affected] == ["norm/moving_variance"]


def test_a_frozen_kernel_is_no_statistic() -> None:
    """Another model trains it, and made it NaN."""

    def change(step: int, values: Values) -> None:
        if step >= T:
            poison(values, ("weight", "norm/moving_mean"))

    recorded = history(change, roles=ALL)
    tensors = tuple(
        replace(each, is_statistic=False, trainable=False, attribute="kernel")
        if each.name == "norm/moving_mean"
        else each
        for each in recorded.tensors
    )
    found = only(diagnose(replace(recorded, tensors=tensors)))
    assert (found.cause, found.variant, found.step) == ("poisoned-statistics", "untrained", T)
    assert headline(found) == f"NaN in a frozen variable at step {T} · layer `norm`"


def test_a_bad_batch_that_was_skipped_leaves_poisoned_statistics() -> None:
    def change(step: int, values: Values) -> None:
        if step == T:
            poison(values, ("input", "input"))
            ruin(values, "activation", "prediction", "loss", "activation_gradient", "gradient")
        if step >= T:
            poison(values, *STATISTICS)

    found = said(change)
    assert [(each.cause, each.step) for each in found] == [
        ("nonfinite-input", T),
        ("poisoned-statistics", T),
    ]


def test_lost_with_everything_else_statistics_are_no_finding_of_their_own() -> None:
    def change(step: int, values: Values) -> None:
        breaks_at(T, from_input)(step, values)
        if step >= T:
            poison(values, *STATISTICS)

    assert only(said(change)).cause == "nonfinite-input"


def test_a_masked_infinity_is_no_error() -> None:
    def change(step: int, values: Values) -> None:
        poison(values, ("activation", "two"), value=-INF)

    recorded = history(change)
    assert diagnose(recorded) == ()
    assert status(recorded, ()) == "healthy"


def test_a_masked_infinity_does_not_explain_later_trouble() -> None:
    def change(step: int, values: Values) -> None:
        poison(values, ("activation", "two"), value=-INF)
        breaks_at(T, from_activation("three"))(step, values)

    found = only(said(change))
    assert (found.step, found.origin.layer) == (T, "three")


def test_a_mask_beside_a_loss_out_of_its_domain() -> None:
    """Activations are looked at when something trips: of their past nothing is known."""

    def change(step: int, values: Values) -> None:
        poison(values, ("activation", "two"), value=-INF)
        breaks_at(T, from_loss)(step, values)

    found = only(said(change, every=8, flush_at={T}, only_at={"activation": {T}}))
    assert (found.cause, found.origin.role, found.step) == ("loss-domain", "loss", T)


def test_activations_of_the_tripped_step_name_the_layer() -> None:
    change = breaks_at(T, from_activation("norm"))
    found = only(said(change, every=8, flush_at={T}, only_at={"activation": {T}}))
    assert (found.cause, found.origin.layer, found.step) == ("layer-forward", "norm", T)


@pytest.mark.parametrize(
    ("kind", "places", "number"),
    [("MaxPooling1D", 6, 1), ("ReLU", 6, 1), ("", 3, 1), ("", 6, 0), ("Softmax", 6, 0)],
)
def test_a_nan_that_pooling_drops_is_swallowed(kind: str, places: int, number: int) -> None:
    """What a `where` leaves out is meant; what max-pooling drops is luck."""

    def make(step: int) -> Values:
        rng = np.random.default_rng(step)
        sizes = {"conv": 6, "next": places, "head": places}
        outputs = {name: rng.standard_normal((4, size, 2)) for name, size in sizes.items()}
        return {("activation", name): output for name, output in outputs.items()} | {
            ("prediction", "prediction"): rng.standard_normal((4, 1)),
            ("loss", "loss"): np.float32(rng.random()).reshape(()),
            ("gradient", "conv/kernel"): rng.standard_normal((4, 4)),
            ("gradient", "head/kernel"): rng.standard_normal((4, 4)),
        }

    def change(step: int, values: Values) -> None:
        if step >= T:
            poison(values, ("activation", "conv"))

    model = ModelFacts(layers=(LayerFacts("next", kind, True, inputs=("conv",)),) if kind else ())
    found = said(change, make=make, model=model)
    assert [(each.cause, each.step, each.origin.layer) for each in found] == [
        ("swallowed-nonfinite", T, "conv")
    ][:number]
    assert all(each.related == {"hiding_layer": "next"} for each in found)


def test_independent_trouble_is_said_once_each() -> None:
    """Bad batches that a guard skips, in two epochs, and a loss out of its domain between."""

    def change(step: int, values: Values) -> None:
        if step in (5, 25):
            poison(values, ("input", "input"))
            ruin(values, "activation", "prediction", "loss", "activation_gradient", "gradient")
        if step == 12:
            ruin(values, "loss", "activation_gradient", "gradient")

    found = said(change)
    assert [(each.cause, each.step, each.last_step) for each in found] == [
        ("nonfinite-input", 5, 25),
        ("loss-domain", 12, 12),
    ]


def test_clipping_spreads_a_nan() -> None:
    """Gradients are non-finite in the first layers alone, weights everywhere."""

    def first(step: int, values: Values) -> None:
        from_backward("three")(step, values)
        ruin(values, "slot", "update", "weight")

    clips = OptimizerFacts("adam", "Adam", True, global_clipnorm=1.0)
    clipping = replace(MODEL, optimizers=(clips,))
    for model in (clipping, ModelFacts()):  # known to clip, and a loop of which nothing is known
        found = only(said(breaks_at(T, first), model=model))
        assert (found.cause, found.origin.layer) == ("layer-backward", "three")
        assert found.consequences.is_spread_by_clipping
    alone = only(said(breaks_at(T, from_backward("three")), model=clipping))
    assert not alone.consequences.is_spread_by_clipping
    unclipped = only(said(breaks_at(T, first)))
    assert not unclipped.consequences.is_spread_by_clipping


def test_a_second_update_of_a_variable_is_no_clipping() -> None:
    """The first of two updates of each variable has finite gradients, the second has none."""

    def make(step: int) -> Values:
        values = healthy(step)
        again = {
            ("gradient", f"{name}#2"): value
            for (role, name), value in values.items()
            if role == "gradient"
        }
        return {**values, **again}

    def change(step: int, values: Values) -> None:
        if step >= T:
            ruin(values, "loss", "activation_gradient", "slot", "update", "weight")
            poison(values, *(key for key in of_role(values, "gradient") if key[1].endswith("#2")))

    found = said(change, make=make, model=ModelFacts())[0]
    assert found.step == T
    assert found.consequences.lost_variables
    assert not found.consequences.is_spread_by_clipping


def test_nothing_is_wrong_with_a_healthy_history() -> None:
    for options in ({}, {"every": 8}, {"roles": DEFAULT}, {"steps": 3}, {"steps": 0}):
        recorded = history(**options)  # type: ignore[arg-type]
        assert diagnose(recorded) == ()
        assert status(recorded, ()) == ("healthy" if options.get("steps", 1) else "empty")


def test_a_mask_in_the_data_or_in_a_constant_is_meant() -> None:
    def masked(step: int, values: Values) -> None:
        poison(values, ("input", "input"), ("weight", "norm/moving_mean"), value=-INF)

    def initial(step: int, values: Values) -> None:
        poison(values, ("weight", "norm/moving_mean"), value=-INF)

    assert diagnose(history(masked, initial=initial)) == ()


def test_gradients_alone_cannot_tell_the_loss_from_what_comes_before_it() -> None:
    def change(step: int, values: Values) -> None:
        if step >= T:
            ruin(values, "gradient")

    found = only(said(change, ["gradient"]))
    assert (found.step, found.record_also) == (T, ("input", "prediction", "loss"))
    assert (found.cause, found.inferred_from) == ("loss-domain", "gradient")


@pytest.mark.parametrize("roles", [ALL, DEFAULT])
def test_a_layer_may_spoil_its_own_gradient_alone(roles: Collection[str]) -> None:
    """As the root of a weight that is 0 in a regularizer does: layers before it are finite."""

    def first(step: int, values: Values) -> None:
        poison(values, *of_role(values, "gradient", layers=["norm"]), ("weight", "norm/gamma"))

    def change(step: int, values: Values) -> None:
        if step >= T:
            first(step, values)

    found = only(said(change, roles))
    assert (found.cause, found.origin.layer, found.record_also) == ("layer-backward", "norm", ())


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("Dropout", "Norm"), "c"),
        (("Lambda", "Dropout"), "b"),
        (("Mine", "Flatten"), "b"),
        (("Flatten", "Dense with my_activation"), "c"),
        (("Dropout", "Flatten"), "a"),
    ],
)
def test_what_a_layer_is_names_the_likely_one(kinds: tuple[str, str], expected: str) -> None:
    """Between the last non-finite gradient and the first finite one there may be several."""
    classes = dict(zip("abcd", ("Dense", *kinds, "Dense"), strict=True))
    model = ModelFacts(
        layers=tuple(
            LayerFacts(path, name.split()[0], name != "Mine", "".join(name.split()[2:]))
            for path, name in classes.items()
        )
    )

    def make(step: int) -> Values:
        rng = np.random.default_rng(step)
        values: Values = {("loss", "loss"): np.array(1.0)}
        for layer in "ad":
            values["gradient", f"{layer}/kernel"] = rng.standard_normal((4, 4))
        return values

    def change(step: int, values: Values) -> None:
        if step >= T:
            poison(values, ("gradient", "a/kernel"))

    found = only(said(change, ["loss", "gradient"], make=make, model=model))
    assert (found.cause, found.origin.layer) == ("layer-backward", expected)
    assert (found.record_also, found.inferred_from) == (("activation_gradient",), "gradient")
    assert found.related == {"from_layer": "a", "to_layer": "d"}


def test_what_could_not_be_read_is_said() -> None:
    partial = replace(history(breaks_at(T, from_loss)), is_complete=False)
    assert only(diagnose(partial)).is_partial


def test_one_step_with_a_learning_rate_beyond_reason() -> None:
    def change(step: int, values: Values) -> None:
        if step >= 5:
            for key in of_role(values, "weight"):
                values[key] = values[key] * np.float32(1e25)
        if step == 6:
            ruin(values, "activation", "prediction", "loss", "activation_gradient", "gradient")
            ruin(values, "slot", "update", "weight")
        elif step > 6:
            aftermath(values)

    found = said(lambda step, values: change(step + 5, values), initial=lambda *_: None)
    assert [(each.cause, each.severity, each.step) for each in found] == [
        ("exploding-gradient", "error", 1)
    ]


def test_weights_that_one_step_makes_a_thousand_times_larger_are_the_reason() -> None:
    """As with a recurrence, which overflows long before its weights do."""

    def first(step: int, values: Values) -> None:
        from_activation("two")(step, values)

    def change(step: int, values: Values) -> None:
        if step == T - 1:
            for key in of_role(values, "weight"):
                values[key] = values[key] * np.float32(3e3)
        breaks_at(T, first)(step, values)

    found = only(said(change, DEFAULT))
    assert (found.cause, found.severity, found.step) == ("exploding-gradient", "error", T)
    assert found.evidence["growth_first_step"] == T - 2


def test_gradients_of_a_loop_of_ones_own_need_no_layers() -> None:
    """Names alone, as `nanwatch.summary` takes them: they stand in the order of the model."""

    def make(step: int) -> Values:
        rng = np.random.default_rng(step)
        return {("gradient", name): rng.standard_normal(4) for name in ("w1", "w2", "w3")}

    def change(step: int, values: Values) -> None:
        if step >= T:
            poison(values, ("gradient", "w1"))

    recorded = history(change, make=make)
    bare = tuple(replace(info, layer="") for info in recorded.tensors)
    found = only(diagnose(replace(recorded, tensors=bare)))
    assert (found.cause, found.step, found.origin.tensor) == ("layer-backward", T, "w1")
    assert found.related == {"from_layer": "w1", "to_layer": "w2"}
    assert found.inferred_from == "gradient"


@pytest.mark.parametrize(("layer", "before"), [("three", "norm"), ("one", "")])
def test_what_a_relu_drops_shows_on_a_kernel_and_not_on_its_bias(layer: str, before: str) -> None:
    """The bias's gradient is what arrives at the output, the kernel's that times what came in."""

    def change(step: int, values: Values) -> None:
        if step >= T:
            poison(values, ("weight", f"{layer}/kernel"))
            values["gradient", f"{layer}/kernel"] = kernel = np.array(
                values["gradient", f"{layer}/kernel"]
            )
            kernel[2] = np.nan  # An input's column, for all units.

    found = only(said(change, DEFAULT))
    assert (found.cause, found.step, found.record_also) == ("layer-forward", T, ("activation",))
    assert found.origin.layer == before
    assert (found.variant, found.related) == ("hidden", {"next_layer": layer})
    assert found.consequences.is_loss_finite
    recorded = only(said(change, ALL))
    assert (recorded.cause, recorded.origin.layer) == ("layer-backward", layer)


def test_data_that_did_no_harm_does_not_explain_later_trouble() -> None:
    """Missing values that the model knows how to leave out are in every batch."""

    def change(step: int, values: Values) -> None:
        breaks_at(T, from_loss)(step, values)
        poison(values, ("input", "input"))

    found = said(change)
    assert [(each.cause, each.step) for each in found] == [
        ("nonfinite-input", 0),
        ("loss-domain", T),
    ]
    assert found[0].affected == ()


@pytest.mark.parametrize(("smallest", "variant"), [(0.0, "probabilities"), (-2.0, "formula")])
def test_logits_are_the_cure_where_predictions_may_be_probabilities(
    smallest: float, variant: str
) -> None:
    def change(step: int, values: Values) -> None:
        values["prediction", "prediction"] = np.linspace(smallest, 1, 16, dtype=np.float32)
        if step == T:
            from_loss(step, values)
        if step > T:
            aftermath(values)

    found = only(said(change))
    assert (found.cause, found.step) == ("loss-domain", T)
    assert found.variant == variant


@pytest.mark.parametrize("roles", [DEFAULT, ALL])
@pytest.mark.parametrize(
    ("optimizers", "first_is_bad", "cause", "place"),
    [
        (2, True, "loss-domain", 0),
        (2, False, "loss-backward", 0),
        # A total of which the first is a part: no update comes between.
        (1, False, "loss-domain", 1),
    ],
)
def test_of_losses_that_take_turns_the_first_is_at_fault(
    optimizers: int, first_is_bad: bool, cause: str, place: int, roles: Collection[str]
) -> None:
    """Several optimizers in one step: a bad update by the first loss makes the second one bad."""
    names = ("loss/a", "loss/b")

    def make(step: int) -> Values:
        values = healthy(step)
        loss = values.pop(("loss", "loss"))
        calls = {(role, "four#2"): values[role, "four"] for role in ("activation", GRADIENT)}
        return values | calls | {("loss", name): loss for name in names}

    def first(step: int, values: Values) -> None:
        poison(values, ("loss", names[1]), *[("loss", names[0])] * first_is_bad)
        if optimizers > 1:
            poison(values, ("activation", "four#2"))
        ruin(values, GRADIENT, "gradient", "slot", "update", "weight")

    model = replace(MODEL, optimizers=MODEL.optimizers * optimizers)
    recorded = history(breaks_at(T, first), make=make, roles=roles, model=model)
    tensors = tuple(replace(info, layer=info.layer.partition("#")[0]) for info in recorded.tensors)
    found = only(diagnose(replace(recorded, tensors=tensors)))
    assert (found.cause, found.step) == (cause, T)
    if roles is DEFAULT or cause == "loss-backward":
        assert found.origin.tensor == names[place]


def kernels_alone(*layers: str) -> Change:
    """Whole rows of kernels are NaN; what arrives at the layers is finite, as their biases show."""

    def change(step: int, values: Values) -> None:
        for layer in layers if step >= T else ():
            poison(values, ("weight", f"{layer}/kernel"))
            kernel = np.array(values["gradient", f"{layer}/kernel"])
            kernel[2] = np.nan
            values["gradient", f"{layer}/kernel"] = kernel

    return change


def test_a_regularizer_spoils_a_kernel_whose_input_is_finite() -> None:
    layers = tuple(replace(each, is_regularized=each.path == "three") for each in MODEL.layers)
    recorded = history(kernels_alone("three"), roles=DEFAULT, model=replace(MODEL, layers=layers))
    found = only(diagnose(recorded))
    assert (found.cause, found.variant) == ("layer-backward", "own-variables")
    assert found.origin.layer == "three"
    assert "regularizer" in explanation(found)
    assert advice(found).startswith("Look in the regularizer of layer `three`")


def test_a_gradient_penalty_spoils_kernels_of_several_layers() -> None:
    """Their inputs are not all the same, so that one input cannot be why."""
    found = only(said(kernels_alone("one", "three"), DEFAULT))
    assert found.cause == "layer-backward"


def test_layers_that_share_an_input_are_spoiled_by_it() -> None:
    layers = tuple(
        replace(each, inputs=("norm",), activation="relu") if each.path == "four" else each
        for each in MODEL.layers
    )
    recorded = history(
        kernels_alone("three", "four"), roles=DEFAULT, model=replace(MODEL, layers=layers)
    )
    found = only(diagnose(recorded))
    assert (found.cause, found.variant) == ("layer-forward", "hidden")


@pytest.mark.parametrize(
    ("class_name", "activation", "is_tanh_told"),
    [("LSTMCell", "relu", True), ("GRU", "linear", True), ("LSTM", "tanh", False)],
)
def test_gradients_of_a_recurrence_that_nothing_bounds_explode(
    class_name: str, activation: str, is_tanh_told: bool
) -> None:
    def change(step: int, values: Values) -> None:
        if step >= T:
            values["gradient", "one/kernel"] = np.full((5, 4), 1e25, np.float32)
        if step > T:
            ruin(values, "weight", "loss", "prediction")

    first = replace(MODEL.layers[0], class_name=class_name, activation=activation)
    model = replace(MODEL, layers=(first, *MODEL.layers[1:]))
    found = diagnose(history(change, steps=T + 4, roles=DEFAULT, model=model))[0]
    assert (found.cause == "exploding-gradient") == is_tanh_told
    assert ("Use tanh" in advice(found)) == is_tanh_told


def test_slots_that_overflow_in_the_second_step_are_the_optimizers() -> None:
    def change(step: int, values: Values) -> None:
        if step == 1:
            values["gradient", "one/kernel"] = np.full((5, 4), 1e25, np.float32)
            poison(values, ("slot", "adam/one_kernel_velocity"), value=np.inf)
        elif step > 1:
            aftermath(values)

    found = diagnose(history(change, steps=6))[0]
    assert (found.cause, found.step, found.origin.role) == ("optimizer-overflow", 1, "slot")


@pytest.mark.parametrize("role", ALL)
@pytest.mark.parametrize("trainable", [None, 0])
def test_a_role_that_no_record_has_seen_is_as_good_as_not_recorded(
    role: str, trainable: int | None
) -> None:
    def change(step: int, values: Values) -> None:
        if step >= 20:
            aftermath(values)

    model = replace(MODEL, trainable_variables=trainable)
    never = history(change, only_at={role: ()}, model=model)
    others = history(change, roles=[each for each in ALL if each != role], model=model)
    found, expected = ({(each.cause, each.step) for each in diagnose(h)} for h in (never, others))
    assert found == expected
