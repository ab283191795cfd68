"""What Keras's logs of an epoch tell: validation and metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic_histories import DEFAULT, STATISTICS, Values, aftermath, history, poison, ruin

from tb_nanwatch.diagnosis import Finding, advice, diagnose, explanation, fix_code, headline
from tb_nanwatch.format.history import History
from tb_nanwatch.format.nonfinite_logs import NonfiniteLogs

VALIDATION = NonfiniteLogs(15, ("val_loss", "val_mae"), True, 3)


def with_logs(logs: NonfiniteLogs, recorded: History | None = None) -> tuple[Finding, ...]:
    recorded = recorded or history(steps=20, roles=DEFAULT)
    return diagnose(replace(recorded, nonfinite_logs=(logs,)))


def test_the_first_batch_of_a_validation_is_named() -> None:
    (found,) = with_logs(VALIDATION)
    assert (found.cause, found.severity, found.step) == ("nonfinite-validation", "error", 15)
    assert headline(found) == "`val_loss` is not finite after step 15 · validation batch 3"
    assert "the training is finite" in explanation(found)
    assert "validation_data.skip(3)" in fix_code(found)


def test_rows_of_arrays_are_named() -> None:
    (found,) = with_logs(replace(VALIDATION, rows=64, bad_data={"x": (10, 12)}))
    assert headline(found) == (
        "`val_loss` is not finite after step 15 · `x` of the validation data, row 10"
    )
    assert advice(found).startswith("Clean the validation data")
    assert "np.isfinite(x_val)" in fix_code(found)


def test_no_rows_are_named() -> None:
    (found,) = with_logs(replace(VALIDATION, first_batch=-1, rows=0))
    assert headline(found).endswith("the validation data has no rows")


@pytest.mark.parametrize("in_validation", [True, False])
def test_a_metric_alone_is_a_warning(in_validation: bool) -> None:
    (found,) = with_logs(NonfiniteLogs(15, ("recall",), in_validation))
    assert (found.cause, found.severity) == ("nonfinite-metric", "warning")
    assert headline(found) == (
        "Metric `recall` is not finite after step 15 · the training is finite"
    )


def lost(step: int, values: Values) -> None:
    if step == 9:
        ruin(values, "loss", "gradient", "weight")
    elif step > 9:
        aftermath(values)


def poisoned(step: int, values: Values) -> None:
    if step >= 9:
        poison(values, *STATISTICS)


@pytest.mark.parametrize("change", [lost, poisoned])
@pytest.mark.parametrize("names", [("val_loss",), ("loss", "val_loss")])
def test_what_the_training_explains_is_no_finding_of_its_own(
    change: object, names: tuple[str, ...]
) -> None:
    recorded = history(change, steps=20, roles=DEFAULT)  # type: ignore[arg-type]
    logs = NonfiniteLogs(15, names, names == ("val_loss",))
    causes = {each.cause for each in with_logs(logs, recorded)}
    assert causes.isdisjoint({"nonfinite-validation", "nonfinite-metric"})


def test_a_training_that_breaks_later_explains_nothing() -> None:
    recorded = history(lost, steps=20, roles=DEFAULT)
    found = with_logs(replace(VALIDATION, step=5), recorded)
    assert found[0].cause == "nonfinite-validation"
