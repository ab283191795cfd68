"""TensorBoard's own Histograms and Distributions tabs show ours, also when NaN is about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from recorded import read_recorded
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.distribution.distributions_plugin import DistributionsPlugin
from tensorboard.plugins.histogram.histograms_plugin import HistogramsPlugin

import tb_nanwatch as nanwatch

RUN = "nanwatch"
SMALLEST = np.finfo(np.float32).tiny
VALUES = {
    "mixed": [np.nan, np.inf, -np.inf, -3.0, -2.5, -1e-3, -0.0, 0.0, 1e-39, 0.75, 1.0, 1.5, 700.0],
    "equal": [0.1] * 5,
    "zeros": [0.0] * 4,
    "largest": [np.finfo(np.float32).max] * 2,
    "nothing": [np.nan, np.inf],
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> tuple[HistogramsPlugin, Path]:
    logs = tmp_path_factory.mktemp("logs")
    with nanwatch.Watcher(logs, every=1, tensorboard_histograms=True) as watcher:
        for _ in range(2):
            watcher.observe(gradient={name: tf.constant(values) for name, values in VALUES.items()})
            watcher.step_end()
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(logs))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logs))
    return HistogramsPlugin(TBContext(data_provider=provider)), logs


@pytest.mark.parametrize("name", [name for name in VALUES if name != "nothing"])
def test_the_finite_elements_are_all_there(
    plugins: tuple[HistogramsPlugin, Path], name: str
) -> None:
    plugin, _ = plugins
    answer, _ = plugin.histograms_impl(RequestContext(), f"gradient/gradient/{name}", RUN, "x")
    values = np.array(VALUES[name], np.float32).astype(np.float64)
    finite = np.sort(values[np.isfinite(values)])
    assert [step for _, step, _ in answer] == [0, 1]
    for _, _, buckets in answer:
        left, right, counts = np.array(buckets).T
        assert np.isfinite(buckets).all()
        assert (left < right).all()
        assert (np.diff(left) > 0).all()
        assert (right[:-1] <= left[1:]).all()
        assert counts.sum() == len(finite)
        ends = np.cumsum(counts).astype(int)
        for begin, end, low, high in zip(ends - counts.astype(int), ends, left, right, strict=True):
            assert low <= finite[begin]
            assert finite[end - 1] <= high
            # No wider than a power of two, or the numbers around zero.
            same_binade = high <= 2 * low if low > 0 else low >= 2 * high
            assert same_binade or (low, high) == (-SMALLEST, SMALLEST) or 0 <= -low <= SMALLEST


def test_what_holds_nothing_finite_is_left_out(plugins: tuple[HistogramsPlugin, Path]) -> None:
    plugin, _ = plugins
    tags = plugin.index_impl(RequestContext(), "x")[RUN]
    assert sorted(tags) == sorted(
        f"gradient/gradient/{name}" for name in VALUES if name != "nothing"
    )


def test_distributions_take_them(plugins: tuple[HistogramsPlugin, Path]) -> None:
    plugin, _ = plugins
    distributions = DistributionsPlugin(TBContext(data_provider=plugin._data_provider))
    answer, _ = distributions.distributions_impl(
        RequestContext(), "gradient/gradient/mixed", RUN, "x"
    )
    assert np.isfinite([value for _, _, rows in answer for _, value in rows]).all()


def test_our_own_record_is_the_same(plugins: tuple[HistogramsPlugin, Path]) -> None:
    _, logs = plugins
    found = read_recorded(logs / RUN)
    assert found.series("gradient", "gradient/mixed", "nan") == [1, 1]


def test_they_are_not_written_unasked(tmp_path: Path) -> None:
    with nanwatch.Watcher(tmp_path, every=1) as watcher:
        watcher.observe(loss=tf.constant(1.0))
        watcher.step_end()
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    assert multiplexer.PluginRunToTagToContent("histograms") == {}
