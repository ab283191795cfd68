"""What is finite and still wrong, and what looks like it and is not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from synthetic_histories import (
    DEFAULT,
    LAYERS,
    MODEL,
    STATISTICS,
    Change,
    Values,
    history,
    of_role,
    poison,
    ruin,
)

from tb_nanwatch.diagnosis import Finding, Thresholds, diagnose, status
from tb_nanwatch.format.history import History
from tb_nanwatch.stats.columns import COLUMN

LIMITS = Thresholds()


def causes(findings: Sequence[Finding]) -> list[str]:
    return [each.cause for each in findings]


def scaled(values: Values, factor: float, *roles: str, layers: Sequence[str] = LAYERS) -> None:
    """Multiplies everything of these roles and layers."""
    for key in of_role(values, *roles, layers=layers):
        values[key] = values[key] * np.asarray(factor, values[key].dtype)


def by_step(factor: Callable[[int], float], *roles: str) -> Change:
    return lambda step, values: scaled(values, factor(step), *roles)


def no_loss_decay(values: Values, value: float = 1.0) -> None:
    values["loss", "loss"] = np.array(value, np.float32)


def explodes(every: int) -> Change:
    """From a quarter of the run on everything grows by two thirds a record."""

    def change(step: int, values: Values) -> None:
        factor = 10 ** (0.22 * max(0, step / every - 10))
        scaled(values, factor, "gradient", "activation_gradient", "weight", "update")
        no_loss_decay(values, factor**2)

    return change


def overflows(step: int, values: Values) -> None:
    """From step 5 on everything grows tenfold a step, until the loss is Inf at step 25."""
    factor = 10.0 ** np.clip(step - 5, 0, 25)
    scaled(values, factor, "gradient", "activation_gradient", "prediction", "weight", "update")
    no_loss_decay(values, np.inf if step >= 25 else factor)
    if step > 27:
        ruin(values, "prediction", "loss", "activation_gradient", "gradient", "update", "weight")


@pytest.mark.parametrize(("every", "sample_every"), [(1, 1), (4, 1), (1, 4)])
def test_exploding_while_finite(every: int, sample_every: int) -> None:
    recorded = history(explodes(every), steps=40 * every, every=every, sample_every=sample_every)
    found = diagnose(recorded)
    assert causes(found) == ["exploding-gradient"]
    assert found[0].severity == "warning"
    assert status(recorded, found) == "unstable"
    assert 8 <= found[0].step / every <= 22
    assert found[0].last_step == 40 * every - 1


def test_exploding_until_it_overflows_is_an_error() -> None:
    found = diagnose(history(overflows, roles=DEFAULT))
    assert causes(found) == ["exploding-gradient"]
    assert (found[0].severity, found[0].step, found[0].origin.role) == ("error", 25, "loss")
    assert 3 <= found[0].evidence["growth_first_step"] <= 7


def test_statistics_that_overflow_first_are_part_of_the_explosion() -> None:
    def change(step: int, values: Values) -> None:
        overflows(step, values)
        if step >= 24:
            for key in STATISTICS:
                values[key] = np.full(5, np.inf, np.float32)

    found = diagnose(history(change, roles=DEFAULT))
    assert causes(found) == ["exploding-gradient"]
    assert (found[0].step, found[0].origin.layer) == (24, "norm")


def test_an_overflow_in_one_step_is_no_growth_over_steps() -> None:
    """A linear recurrence of gain 1.5 over 200 time steps: predictions of 1e35 at step 0."""

    def change(step: int, values: Values) -> None:
        scaled(values, 1e35, "prediction")
        no_loss_decay(values, np.inf)
        if step > 0:
            ruin(values, "prediction", "gradient", "weight")

    found = diagnose(history(change, roles=DEFAULT))
    assert causes(found) == ["exploding-gradient"]
    assert (found[0].step, found[0].severity) == (0, "error")
    assert (found[0].variant, found[0].related) == ("depth", {"quantity": "prediction"})


@pytest.mark.parametrize(
    "change",
    [
        by_step(lambda step: 1e6 if step == 20 else 1.0, "gradient", "update"),
        by_step(lambda step: 1e3 if step in (3, 4) else 1.0, "gradient", "loss"),
        by_step(lambda step: min(step + 1, 20) / 20, "update"),
        by_step(lambda step: 10.0 ** (-0.3 * step), "gradient", "activation_gradient", "loss"),
        by_step(lambda step: 10.0 ** (-6 + 0.2 * min(step, 30)), "gradient"),
        by_step(lambda step: 500.0, "input"),
        by_step(lambda step: 1e3, "gradient", "activation_gradient"),
    ],
    ids=[
        "one spike of the gradients",
        "an early spike of the loss",
        "learning-rate warm-up",
        "converging to a loss of nearly zero",
        "leaving a plateau",
        "large inputs without trouble",
        "a summed loss",
    ],
)
@pytest.mark.parametrize(("every", "sample_every"), [(1, 1), (4, 1), (1, 4)])
def test_what_looks_like_trouble_and_is_none(change: Change, every: int, sample_every: int) -> None:
    assert diagnose(history(change, every=every, sample_every=sample_every)) == ()


def test_statistics_of_batches_may_grow() -> None:
    def change(step: int, values: Values) -> None:
        for key in STATISTICS:
            values[key] = values[key] * np.float32(10 ** (0.3 * min(step, 20)))

    assert diagnose(history(change)) == ()


def test_diverging_while_finite() -> None:
    def change(step: int, values: Values) -> None:
        no_loss_decay(values, 1.0 if step < 15 else 10 ** (0.2 * (step - 15)))

    found = diagnose(history(change))
    assert causes(found) == ["divergence"]
    assert 13 <= found[0].step <= 24
    assert found[0].last_step == 39
    assert found[0].origin.role == "loss"


def test_one_layer_may_amplify_out_of_proportion() -> None:
    def change(step: int, values: Values) -> None:
        scaled(values, 1e7, "activation", layers=["two"])

    found = diagnose(history(change))
    assert causes(found) == ["divergence"]
    assert (found[0].origin.role, found[0].origin.layer, found[0].step) == ("activation", "two", 0)


def fading(rate: float) -> Change:
    """Gradients that are `rate` times those of the layer behind."""

    def change(step: int, values: Values) -> None:
        for place, layer in enumerate(reversed(LAYERS)):
            scaled(values, rate**place, "gradient", "activation_gradient", layers=[layer])

    return change


def test_vanishing() -> None:
    found = diagnose(history(fading(0.02)))
    assert causes(found) == ["vanishing-gradient"]
    assert (found[0].origin.layer, found[0].step, found[0].last_step) == ("one", 0, 39)
    assert found[0].severity == "warning"


def test_vanishing_below_what_float32_can_hold_is_not_dead() -> None:
    found = diagnose(history(fading(1e-13)))
    assert causes(found)[:1] == ["vanishing-gradient"]
    assert "dead-layer" not in causes(found)


@pytest.mark.parametrize(
    "change",
    [
        fading(0.2),
        lambda step, values: scaled(values, 1e-7, "gradient", layers=["one"]),
        lambda step, values: fading(0.02)(step, values) if step < 9 else None,
    ],
    ids=["a little", "one layer alone", "at the start alone"],
)
def test_not_vanishing(change: Change) -> None:
    assert diagnose(history(change)) == ()


def dies(layers: Sequence[str], since: int = 12, until: int = 99) -> Change:
    def change(step: int, values: Values) -> None:
        no_loss_decay(values, 2.3)
        if since <= step < until:
            scaled(values, 0.0, "gradient", "activation_gradient", layers=layers)

    return change


@pytest.mark.parametrize(("every", "sample_every"), [(1, 1), (4, 1), (1, 4)])
def test_a_layer_dies(every: int, sample_every: int) -> None:
    found = diagnose(history(dies(["one", "two"]), every=every, sample_every=sample_every))
    assert causes(found) == ["dead-layer"]
    assert (found[0].origin.layer, found[0].step, found[0].last_step) == ("two", 12, 39)
    assert [each.layer for each in found[0].affected] == ["one"]


@pytest.mark.parametrize(
    ("change", "cause"), [(fading(1e-2), "vanishing-gradient"), (dies(["one"]), "dead-layer")]
)
def test_sixty_steps_are_enough_in_windows_that_double(change: Change, cause: str) -> None:
    recorded = history(change, steps=60, every=60, flush_at={0, 2, 6, 14, 30, 46})
    assert len(recorded.series[0].windows) == 7
    assert causes(diagnose(recorded)) == [cause]


def test_what_never_had_a_gradient_was_killed_by_no_step() -> None:
    (found,) = diagnose(history(dies(["one"], since=0)))
    assert (found.cause, found.step) == ("dead-layer", 0)
    assert found.variant == "cut"
    (found,) = diagnose(history(dies(["one"])))
    assert found.variant == "units"


def test_the_loss_is_judged_while_the_gradients_are_zero() -> None:
    """All margins are met from step 12 on: the loss is zero then, whatever it was before."""

    def change(step: int, values: Values) -> None:
        dies(LAYERS)(step, values)
        values["loss", "loss"] = np.array(1.0 if step < 12 else 0.0, np.float32)

    recorded = history(change, steps=20, every=20, flush_at={0, 2, 6, 11, 15, 17})
    assert diagnose(recorded) == ()


def test_the_loss_is_cut_off() -> None:
    found = diagnose(history(dies(LAYERS, since=0)))
    assert causes(found) == ["dead-layer"]
    assert found[0].variant == "loss"
    (later,) = diagnose(history(dies(LAYERS, since=1)))
    assert later.variant == "units"


def test_zero_gradients_at_a_loss_of_zero_are_what_is_wanted() -> None:
    def change(step: int, values: Values) -> None:
        dies(LAYERS)(step, values)
        no_loss_decay(values, 1.0 if step < 12 else 0.0)

    assert diagnose(history(change)) == ()
    assert diagnose(history(dies(["one"], until=30))) == ()


def test_one_zero_gradient_of_a_layer_does_not_make_it_dead() -> None:
    def change(step: int, values: Values) -> None:
        values["gradient", "one/bias"] = np.zeros((5, 4), np.float32)

    assert diagnose(history(change)) == ()


@pytest.mark.parametrize(
    ("class_name", "is_builtin", "is_said"),
    [("Rescaling", True, False), ("Normalization", True, False), ("Rescaling", False, True)],
)
def test_data_that_the_model_scales_is_not_named(
    class_name: str, is_builtin: bool, is_said: bool
) -> None:
    def change(step: int, values: Values) -> None:
        scaled(values, 1e3, "input")
        overflows(step, values)

    first, *rest = MODEL.layers
    scaler = replace(first, path="scaler", class_name=class_name, is_builtin=is_builtin, inputs=())
    model = replace(MODEL, layers=(scaler, first, *rest))
    found = diagnose(history(change, roles=DEFAULT, sample_every=4, flush_at={25}, model=model))
    assert causes(found) == ["exploding-gradient"] + ["unscaled-input"] * is_said


def test_data_that_is_not_scaled_is_named_with_the_trouble_it_leads_to() -> None:
    def change(step: int, values: Values) -> None:
        scaled(values, 1e3, "input")
        overflows(step, values)

    found = diagnose(history(change, roles=DEFAULT, sample_every=4, flush_at={25}))
    assert causes(found) == ["exploding-gradient", "unscaled-input"]
    assert found[1].evidence["largest_magnitude"] > 1e3
    assert found[1].related == {"trouble": "exploding-gradient"}
    assert found[1].evidence["trouble_step"] == found[0].step


@pytest.mark.parametrize("sample_every", [1, 4])
def test_near_the_limit_of_the_dtype(sample_every: int) -> None:
    risky = by_step(lambda step: 4e3 if step >= 9 else 1.0, "activation")
    found = diagnose(history(risky, dtypes={"activation": "float16"}, sample_every=sample_every))
    assert causes(found) == ["range-overflow-risk"]
    assert found[0].step >= 9
    assert (found[0].variant, found[0].related) == ("", {"dtype": "float16"})
    assert diagnose(history(risky)) == ()


def test_a_mask_is_not_near_the_limit() -> None:
    def change(step: int, values: Values) -> None:
        masked = values["activation", "two"].copy()
        masked[0] = np.finfo(np.float32).min
        values["activation", "two"] = masked

    assert diagnose(history(change)) == ()


def half(step: int, values: Values) -> None:
    scaled(values, 1e-5, "gradient", "activation_gradient")


def test_half_precision_without_loss_scaling_loses_gradients() -> None:
    dtypes = {"activation": "float16", "prediction": "float16", "activation_gradient": "float16"}
    found = diagnose(history(half, dtypes=dtypes))
    assert causes(found) == ["range-underflow"]
    assert (found[0].variant, found[0].related) == ("float16", {"dtype": "float16"})
    assert diagnose(history(half, dtypes=dtypes, loss_scale=lambda step: 2.0**15)) == ()
    assert diagnose(history(half)) == ()


@pytest.mark.parametrize("sample_every", [1, 4])
def test_subnormal_gradients(sample_every: int) -> None:
    tiny = by_step(lambda step: 1e-38, "gradient", "activation_gradient")
    found = diagnose(history(tiny, sample_every=sample_every))
    assert causes(found) == ["range-underflow"]
    assert found[0].evidence["subnormal_share"] > 0.9


def heavy_tailed(scale: float) -> Change:
    """Most elements of the gradients are subnormal; the few that matter are `scale`."""

    def change(step: int, values: Values) -> None:
        for key in of_role(values, "gradient", "activation_gradient"):
            tail = np.full(values[key].shape, 1e-39, np.float32)
            tail.reshape(-1)[::4] = scale
            values[key] = tail

    return change


def test_a_heavy_tailed_gradient_is_healthy() -> None:
    assert diagnose(history(heavy_tailed(0.8), roles=DEFAULT)) == ()
    (found,) = diagnose(history(heavy_tailed(1e-37), roles=DEFAULT))
    assert found.cause == "range-underflow"
    assert found.evidence["rms"] > found.evidence["smallest_normal"]
    assert found.evidence["subnormal_share"] == pytest.approx(0.75)


@pytest.mark.parametrize("seed", range(3))
def test_a_heavy_tailed_gradient_in_half_precision_is_healthy(seed: int) -> None:
    """A third of it is subnormal in float16; the tail is what the update is made of."""

    def change(step: int, values: Values) -> None:
        rng = np.random.default_rng([seed, step])
        for key in of_role(values, "activation_gradient"):
            values[key] = (1e-4 * rng.standard_t(1.2, values[key].shape)).astype(np.float32)
            values[key].reshape(-1)[0] = 0.03

    dtypes = {"activation": "float16", "prediction": "float16", "activation_gradient": "float16"}
    recorded = history(change, dtypes=dtypes)
    (series,) = recorded.series
    rows = [info.role == "activation_gradient" for info in recorded.tensors]
    shares = series.columns[:, rows, COLUMN["subnormal"]] / 40
    assert np.median(shares) > 0.25
    assert diagnose(recorded) == ()


def test_underflow_gives_percentiles_of_the_distribution() -> None:
    """One gradient of the first layer: of 20 elements 12 at 3e-8, 7 at 1e-6 and one at 5e-6."""
    drawn = np.array([3e-8] * 12 + [1e-6] * 7 + [5e-6], np.float32).reshape(5, 4)

    def change(step: int, values: Values) -> None:
        values["gradient", "one/kernel"] = drawn

    found = diagnose(history(change, dtypes={"activation": "float16", "prediction": "float16"}))
    (each,) = [each for each in found if each.cause == "range-underflow"]
    assert each.origin.tensor == "one/kernel"
    assert each.evidence["rms"] == pytest.approx(np.sqrt((drawn.astype(float) ** 2).mean()))
    for share, name in ((0.5, "half_below"), (0.99, "99_percent_below")):
        exact = np.quantile(drawn, share, method="inverted_cdf")
        assert exact < each.evidence[name] <= 2 * exact


def refused(
    steps: Sequence[int], scale: Callable[[int], float], role: str, count: int = 40
) -> History:
    def change(step: int, values: Values) -> None:
        if step in steps:
            ruin(values, *{"gradient", role})

    return history(change, steps=count, roles=DEFAULT, skipped=steps, loss_scale=scale)


def test_a_scale_that_backs_off_is_information() -> None:
    recorded = refused(range(8), lambda step: 2.0 ** (15 - min(step, 8)), "gradient")
    found = diagnose(recorded)
    assert causes(found) == ["loss-scale-backoff"]
    assert (found[0].severity, found[0].step, found[0].last_step) == ("info", 0, 7)
    assert found[0].evidence["skipped_steps"] == 8
    assert status(recorded, found) == "healthy"


@pytest.mark.parametrize(
    ("steps", "count", "role", "cause", "variant"),
    [
        # Short runs: of the forward pass no scale is to blame; nothing was ever learned.
        (range(3), 3, "loss", "loss-scale-collapse", "forward"),
        ([5], 12, "prediction", "loss-scale-collapse", "forward"),
        (range(12), 12, "gradient", "loss-scale-collapse", "backward"),
        # Too early to tell.
        (range(4), 4, "gradient", "loss-scale-backoff", "unfinished"),
        (range(9, 12), 12, "gradient", "loss-scale-backoff", "unfinished"),
        (range(8), 12, "gradient", "loss-scale-backoff", ""),
    ],
)
def test_it_has_recovered_only_once_a_step_was_taken(
    steps: Sequence[int], count: int, role: str, cause: str, variant: str
) -> None:
    recorded = refused(steps, lambda step: 2.0**12, role, count)
    (found,) = diagnose(recorded)
    assert (found.cause, found.variant) == (cause, variant)


def test_data_that_is_not_finite_is_no_fault_of_the_forward_pass() -> None:
    def change(step: int, values: Values) -> None:
        if step == 5:
            ruin(values, "input", "prediction", "loss", "gradient")

    recorded = history(
        change, steps=12, roles=DEFAULT, skipped=[5], loss_scale=lambda step: 2.0**12
    )
    assert "loss-scale-collapse" not in causes(diagnose(recorded))


def test_inputs_beyond_float16_are_named() -> None:
    def change(step: int, values: Values) -> None:
        values["input", "input"] = np.full((8, 5), 69998, np.float32)
        ruin(values, "prediction", "loss", "gradient")

    for policy, variant in (
        ("mixed_float16", "range"),
        ("", "forward"),
        ("int8_from_mixed_float16", "forward"),
        ("float32", "not-float16"),
        ("mixed_bfloat16", "not-float16"),
    ):
        layers = tuple(replace(each, dtype_policy=policy) for each in MODEL.layers)
        model = replace(MODEL, layers=layers)
        recorded = history(
            change,
            steps=12,
            roles=DEFAULT,
            skipped=range(12),
            loss_scale=lambda step: 2.0**12,
            model=model,
        )
        (found,) = diagnose(recorded)
        assert (found.cause, found.variant) == ("loss-scale-collapse", variant)


@pytest.mark.parametrize(
    ("steps", "role", "variant"),
    [
        (range(5, 40), "gradient", "backward"),
        (range(5, 40), "loss", "forward"),
        ([30], "gradient", "backward"),
    ],
    ids=["a streak", "a streak that the forward pass makes", "at the floor"],
)
def test_a_scale_that_collapses_is_an_error(steps: Sequence[int], role: str, variant: str) -> None:
    recorded = refused(steps, lambda step: 2.0 ** (15 - max(0, step - 4)), role)
    found = diagnose(recorded)
    assert causes(found) == ["loss-scale-collapse"]
    assert (found[0].severity, found[0].step) == ("error", steps[0])
    assert found[0].origin.role == role
    assert found[0].variant == variant
    assert status(recorded, found) == "nonfinite"


def test_thresholds_are_obeyed() -> None:
    recorded = history(by_step(lambda step: 500.0, "input"))
    assert diagnose(recorded, Thresholds.from_mapping({"amplification": 1e-3})) != ()
    assert diagnose(history(fading(0.02)), Thresholds(vanishing_ratio=1e-12)) == ()


def test_a_log_likelihood_may_fall_below_zero() -> None:
    def change(step: int, values: Values) -> None:
        no_loss_decay(values, 1.0 - step**2)

    assert diagnose(history(change)) == ()


def test_a_streak_of_refused_steps_may_begin_within_a_record() -> None:
    """Refused from step 12 on, in a record of the steps 7 to 14."""

    def change(step: int, values: Values) -> None:
        if step >= 12:
            poison(values, *of_role(values, "activation", layers=["two"]))
            ruin(values, "prediction", "loss", "activation_gradient", "gradient")

    recorded = functools.partial(
        history,
        change,
        steps=47,
        every=47,
        flush_at={0, 2, 6, 14, 30},
        skipped=range(12, 47),
        loss_scale=lambda step: 2.0 ** (15 - max(0, step - 11)),
    )
    (found,) = diagnose(recorded())
    assert (found.cause, found.step, found.last_step) == ("loss-scale-collapse", 12, 46)
    assert (found.origin.role, found.origin.layer) == ("activation", "two")
    assert found.evidence["skipped_steps"] == found.evidence["longest_streak"] == 35
    assert found.record_also == ()
    (found,) = diagnose(recorded(roles=DEFAULT))
    assert (found.origin.role, found.record_also) == ("prediction", ("activation",))


@pytest.mark.parametrize(("clipvalue", "is_said"), [(None, True), (1.0, False)])
def test_gradients_that_are_clipped_before_they_are_squared_are_no_risk(
    clipvalue: float | None, is_said: bool
) -> None:
    optimizers = tuple(replace(each, clipvalue=clipvalue) for each in MODEL.optimizers)
    change = by_step(lambda step: 1e19 if step == 20 else 1.0, "gradient")
    model = replace(MODEL, optimizers=optimizers)
    found = diagnose(history(change, roles=DEFAULT, model=model))
    assert ("range-overflow-risk" in causes(found)) == is_said
