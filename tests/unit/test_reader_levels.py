"""Long runs are read from higher levels, and every answer is as if they had not been."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from long_logs import TENSORS, Sink, manifest, record, write_session
from provider import ACCESS, Provider
from tensorboard.context import RequestContext
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from tb_nanwatch.format.tags import SUBDIRECTORY, Stream, parse_tag
from tb_nanwatch.grid import aligned_edges, cells, column_edges
from tb_nanwatch.http import apps
from tb_nanwatch.http.viewport import Viewport
from tb_nanwatch.reader import Access, Reader, Records, RunIndex, cover
from tb_nanwatch.stats.histogram import merge_histograms
from tb_nanwatch.stats.record import empty_columns, merge_columns
from tb_nanwatch.stats.statistics import STATISTICS
from tb_nanwatch.training.budget import Budget
from tb_nanwatch.training.record_writer import RecordWriter

NAMES = [statistic.name for statistic in STATISTICS]


class Counted(Provider):
    """Keeps what was asked for, and how many bytes the answers were."""

    def __init__(self, logs: Path, keep: int = 0):
        self.bytes = 0
        self.tags: list[str] = []
        super().__init__(logs, keep)

    def read_tensors(self, *args: Any, **kwargs: Any) -> Any:
        answer = super().read_tensors(*args, **kwargs)
        for tags in answer.values():
            for tag, datums in tags.items():
                self.tags.append(tag)
                self.bytes += sum(datum.numpy.nbytes for datum in datums)
        return answer


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 records of two steps: one step is bad, and two near the end."""
    logs = tmp_path_factory.mktemp("long")
    write_session(logs / SUBDIRECTORY, "0a", 3000, width=2, bad=[3333, 5801, 5999])
    return logs


@pytest.fixture(scope="module")
def nasty_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two workers, resumed in the middle of their records, one of which lost its histograms."""
    logs = tmp_path_factory.mktemp("nasty")
    for worker in ("one", "two"):
        folder = logs / SUBDIRECTORY / worker
        more = {"worker": worker, "width": 1 + (worker == "two")}
        write_session(folder, "0a", 700, bad=[5, 611], **more)
        write_session(folder, "0b", 900, begin=500, bad=[500, 640], wall_time=1.8e9, **more)
    return logs


def read(logs: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> tuple[Counted, Reader]:
    monkeypatch.setattr(cover, "MOST_RECORDS", most)
    provider = Counted(logs)
    return provider, Reader(provider)


@pytest.fixture(scope="module")
def readers(long_run: Path, nasty_run: Path) -> dict[str, Reader]:
    """One of each run, kept over the examples of a property."""
    return {"long_run": Reader(Counted(long_run)), "nasty_run": Reader(Counted(nasty_run))}


def grid(
    reader: Reader, index: RunIndex, first: int, last: int, columns: int, name: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.uint8], int]:
    level = reader.level(index, first, last)
    slabs = list(reader.records(ACCESS, index, first, last, level))
    edges = column_edges(first, last, columns)
    if level:
        edges = aligned_edges(edges, slabs)
    return edges, *cells(slabs, np.arange(len(index.tensors)), edges, name), level


def merged(records: Sequence[Records], tensors: int) -> npt.NDArray[np.float64]:
    """All records as one, [tensors, columns]."""
    found = []
    for slab in records:
        spread = np.stack([empty_columns(tensors)] * len(slab.first))
        spread[:, slab.rows] = slab.columns
        found.extend(spread)
    return merge_columns(found)


@pytest.mark.parametrize("run", ["long_run", "nasty_run"])
def test_the_overview_is_that_of_level_0(
    run: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = request.getfixturevalue(run)
    _, fine = read(logs, monkeypatch, 10**6)
    expected = fine.run(ACCESS, ".")
    assert expected.level == 0
    for most in (1000, 50):
        _, coarse = read(logs, monkeypatch, most)
        index = coarse.run(ACCESS, ".")
        assert index.level > 0
        for name in ("run", "tensors", "first_step", "last_step", "written", "read", "problems"):
            assert getattr(index, name) == getattr(expected, name), name
        for name in ("first", "last", "steps"):
            got, want = (getattr(each.nonfinite, name) for each in (index, expected))
            np.testing.assert_array_equal(got, want, name)
        earliest = expected.nonfinite.first == np.nanmin(expected.nonfinite.first)
        counts = index.nonfinite.counts[earliest], expected.nonfinite.counts[earliest]
        np.testing.assert_array_equal(*counts)


@settings(max_examples=25)
@given(st.data())
@pytest.mark.parametrize("run", ["long_run", "nasty_run"])
def test_a_viewport_is_the_same_from_any_level(
    run: str, readers: dict[str, Reader], data: st.DataObject
) -> None:
    coarse = readers[run]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cover, "MOST_RECORDS", 40)
        index = coarse.run(ACCESS, ".")
        assert index.last_step is not None
        first = data.draw(st.integers(0, index.last_step))
        last = data.draw(st.integers(first, index.last_step))
        name = data.draw(st.sampled_from(NAMES))
        columns = data.draw(st.integers(1, 60))
        edges, value, flags, level = grid(coarse, index, first, last, columns, name)
        slabs = list(coarse.records(ACCESS, index, first, last))
        assert {slab.level for slab in slabs} == {0}
        everything = np.arange(len(index.tensors))
        if not _divided(coarse, index, edges, level):
            expected, raised = cells(slabs, everything, edges, name)
            np.testing.assert_array_equal(value, expected)
            np.testing.assert_array_equal(flags, raised)

        # And all of it at once, from the highest level that there is.
        whole = list(coarse.records(ACCESS, index, first, last, index.level))
        count = sum(len(slab.first) * slab.held for slab in whole)
        assert count == sum(len(slab.first) for slab in slabs)
        np.testing.assert_array_equal(
            merged(whole, len(everything)), merged(slabs, len(everything))
        )
        tensor = data.draw(st.sampled_from(everything.tolist()))
        totals = [
            [h.histogram for h in coarse.histograms(ACCESS, index, tensor, first, last, of)]
            for of in (0, index.level)
        ]
        if totals[0]:
            np.testing.assert_array_equal(*(merge_histograms(each).tensor(0) for each in totals))
        else:  # The range is of one worker alone.
            assert not totals[1]


def _divided(reader: Reader, index: RunIndex, edges: npt.NDArray[np.int64], level: int) -> bool:
    """Whether an edge divides a merged record, as it may where two streams differ."""
    slabs = reader.records(ACCESS, index, int(edges[0]), int(edges[-1]) - 1, level)
    return any(
        ((slab.first < edge) & (slab.last >= edge)).any()
        for slab in slabs
        if slab.level
        for edge in edges
    )


@pytest.mark.parametrize("columns", [1, 7, 100, 512, 4096])
def test_a_bad_step_is_seen_at_every_zoom(
    long_run: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    _, reader = read(long_run, monkeypatch, 100)
    index = reader.run(ACCESS, ".")
    for first, last in ((0, 5999), (3000, 4000), (3330, 3340), (3333, 3333)):
        edges, value, flags, _ = grid(reader, index, first, last, columns, "nonfinite")
        column = np.searchsorted(edges, 3333, side="right") - 1
        assert flags[1, column] & 1
        assert value[1, column] >= 2
        assert not (flags[0] & 7).any()


def test_little_is_read(long_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider, reader = read(long_run, monkeypatch, 200)
    index = reader.run(ACCESS, ".")
    grid(reader, index, 0, 5999, 200, "norm")
    record_size = 8 * 19 * (1 + TENSORS)
    assert provider.bytes < 500 * record_size  # Of 3,000.
    provider.bytes = 0
    edges, *_ = grid(reader, index, 3300, 3360, 61, "norm")
    assert len(edges) == 62  # A column a step.
    assert provider.bytes < 3 * 64 * record_size
    provider.bytes = 0
    grid(reader, index, 3300, 3360, 61, "norm")
    grid(reader, index, 0, 5999, 200, "nonfinite")
    assert provider.bytes == 0


def test_a_refresh_reads_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cover, "MOST_RECORDS", 200)
    now = [0.0]
    sink = Sink(tmp_path / SUBDIRECTORY, 1.7e9)
    writer = RecordWriter(lambda: sink, Stream("0a"), "memory", Budget())
    for step in range(1000):
        writer.write(manifest(), record(step, step, ()))
    sink.put()
    provider = Counted(tmp_path)
    reader = Reader(provider, clock=lambda: now[0])
    index = reader.run(ACCESS, ".")
    assert (index.level, index.read) == (1, 1000)
    for step in range(1000, 1010):
        writer.write(manifest(), record(step, step, [1009]))
    sink.put()
    provider.reload()
    now[0] = 60
    provider.tags.clear()
    index = reader.run(ACCESS, ".")
    assert index.read == 1010
    assert index.nonfinite.first.tolist()[1:] == [1009, 1009]
    grown = [parse_tag(tag) for tag in provider.tags]
    assert sorted((tag.level, tag.block) for tag in grown if tag) == [(0, 15), (1, 0)]
    writer.close()


def test_a_sampled_run_is_counted_exactly(long_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cover, "MOST_RECORDS", 200)
    index = Reader(Counted(long_run, keep=63)).run(ACCESS, ".")
    # 46 full blocks lost a record each; the last one has 56.
    assert (index.written, index.read) == (3000, 3000 - 46)
    assert "46 of 3,000 records did not arrive" in index.problems[0]


def test_levels_that_the_budget_left_out_are_read_from_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Near the end of max_bytes there are no higher levels, and before that no histograms."""
    write_session(tmp_path / SUBDIRECTORY, "0a", 600, bad=[590], max_bytes=590_000)
    provider, reader = read(tmp_path, monkeypatch, 100)
    listed = provider.list_tensors(RequestContext(), experiment_id="", plugin_name="nanwatch")
    levels = {tag.level for tags in listed.values() for name in tags if (tag := parse_tag(name))}
    assert {0, 1, 2} <= levels
    index = reader.run(ACCESS, ".")
    fine, coarse = (
        list(reader.records(ACCESS, index, 0, index.last_step or 0, level))
        for level in (0, index.level)
    )
    assert len(coarse) < len(fine)
    np.testing.assert_array_equal(merged(coarse, TENSORS), merged(fine, TENSORS))


def test_the_routes_answer_the_same_from_any_level(
    long_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from werkzeug.test import Client

    def ask(most: int, route: str, **query: Any) -> Any:
        monkeypatch.setattr(cover, "MOST_RECORDS", most)
        app = apps(Provider(long_run))[f"/{route}"]
        return Client(app).get("/", query_string={"run": ".", **query})

    tensors = ask(10**6, "run").json["tensors"]
    assert ask(50, "run").json["tensors"] == tensors
    for first, last in ((0, 5999), (100, 5777)):
        query = {"tensor": tensors[1]["id"], "first": first, "last": last}
        fine, coarse = (ask(most, "cell", **query).json for most in (10**6, 50))
        assert coarse == fine
        assert fine["records"] == (last - first) // 2 + 1


@pytest.mark.parametrize(("run", "most"), [("long_run", 40), ("nasty_run", 300)])
def test_the_first_steps_of_a_logarithmic_axis_are_read_as_they_were_recorded(
    run: str, most: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = request.getfixturevalue(run)

    def ask(most: int, axis: str) -> list[Records]:
        reader = Reader(Provider(logs))
        monkeypatch.setattr(cover, "MOST_RECORDS", most)
        query = {"first": 0, "last": 1399, "axis": axis}
        asked = Request(EnvironBuilder(query_string=query).get_environ())
        return list(Viewport(asked, reader, reader.run(ACCESS, ".")).records())

    fine, coarse, even = ask(10**6, "log"), ask(most, "log"), ask(most, "step")
    assert {slab.level for slab in fine} == {0}
    assert max(slab.level for slab in coarse) > 0

    def early(slabs: Sequence[Records]) -> list[tuple[int, int]]:
        """The records of the first 16 steps."""
        steps = (zip(slab.first.tolist(), slab.last.tolist(), strict=True) for slab in slabs)
        return sorted(each for slab in steps for each in slab if each[0] < 16)

    assert early(coarse) == early(fine) != early(even)
    # None is left out, and none is there twice.
    for slabs in (coarse, even):
        assert sum(len(slab.first) * slab.held for slab in slabs) == sum(
            len(slab.first) for slab in fine
        )


def test_answers_are_the_same_without_a_cache(
    nasty_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cover, "MOST_RECORDS", 40)
    answers = []
    for cache_bytes in (0, 2**28):
        reader = Reader(Provider(nasty_run), cache_bytes=cache_bytes)
        index = reader.run(Access(RequestContext()), ".")
        answers.append(grid(reader, index, 0, 1399, 100, "norm")[1])
    np.testing.assert_array_equal(*answers)
