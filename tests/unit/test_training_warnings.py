"""Warnings of one class, each once, that never end a training."""

from __future__ import annotations

import logging
import warnings

import pytest

import tb_nanwatch as nanwatch
from tb_nanwatch.training.internal_errors import InternalErrorGuard
from tb_nanwatch.training.warnings import NaNWatchWarning, WarningCollector, warn


def test_the_class_is_public_and_a_user_warning() -> None:
    assert nanwatch.NaNWatchWarning is NaNWatchWarning
    assert issubclass(NaNWatchWarning, UserWarning)


def test_where_warnings_are_errors_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tb_nanwatch")
    logger.addHandler(caplog.handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn("something.")
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.messages == ["something."]


def test_collected_warnings_are_issued_together_and_once() -> None:
    collector = WarningCollector()
    for _ in range(2):
        collector.add("a sentence.")
        collector.add_skipped("ids", "int64")
        collector.add_skipped("labels", "int32")
        collector.add_missing("loss", "Compute one.")
        collector.add_missing("gradient", "Apply some.")
    with pytest.warns(NaNWatchWarning) as issued:
        collector.flush()
    assert [str(each.message) for each in issued] == [
        "NaNWatch: a sentence.",
        "NaNWatch: these tensors are not recorded, because their dtype cannot hold NaN or Inf: "
        "ids (int64), labels (int32).",
        "NaNWatch: no loss or gradient found in this train_step, so none is recorded. Compute one. "
        "Apply some. Do this in train_step itself, not inside a nested tf.function, loop or "
        "branch.",
    ]
    collector.add("a sentence.")
    collector.add_skipped("ids", "int64")
    collector.add_missing("loss", "Compute one.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        collector.flush()


def test_an_internal_error_is_one_warning() -> None:
    guard = InternalErrorGuard("Nothing else works.")

    def fail_twice() -> None:
        for _ in range(2):
            with guard("count to three"):
                raise KeyError("three\nand a traceback")

    with pytest.warns(NaNWatchWarning) as issued:
        fail_twice()
    assert guard.has_failed
    (message,) = [str(each.message) for each in issued]
    assert message.startswith("NaNWatch: could not count to three (KeyError: 'three")
    assert "Nothing else works. This is a bug in NaNWatch" in message
