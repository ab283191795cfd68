"""Long runs are drawn from merges of records, and every answer is as if they were not."""

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
from werkzeug.test import Client

from tb_nanwatch.format.tags import SUBDIRECTORY, Stream, parse_tag
from tb_nanwatch.grid import aligned_edges, cells, column_edges
from tb_nanwatch.http import apps
from tb_nanwatch.http.viewport import Viewport
from tb_nanwatch.reader import Access, Reader, Records, RunIndex, merged
from tb_nanwatch.stats.columns import WINDOW_FIELD
from tb_nanwatch.stats.record import empty_columns, merge_columns
from tb_nanwatch.stats.statistics import COLUMN_STATISTICS
from tb_nanwatch.training.budget import Budget
from tb_nanwatch.training.record_writer import RecordWriter

NAMES = [each.name for each in COLUMN_STATISTICS]


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
    """Two workers, resumed in the middle of their records."""
    logs = tmp_path_factory.mktemp("nasty")
    for worker in ("one", "two"):
        folder = logs / SUBDIRECTORY / worker
        more: dict[str, Any] = {"worker": worker, "width": 1 + (worker == "two")}
        write_session(folder, "0a", 700, bad=[5, 611], **more)
        write_session(folder, "0b", 900, begin=500, bad=[500, 640], wall_time=1.8e9, **more)
    return logs


def read(logs: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> tuple[Counted, Reader]:
    monkeypatch.setattr(merged, "MOST_RECORDS", most)
    provider = Counted(logs)
    return provider, Reader(provider)


@pytest.fixture(scope="module")
def readers(long_run: Path, nasty_run: Path) -> dict[str, Reader]:
    """One of each run, kept over the examples of a property."""
    return {"long_run": Reader(Counted(long_run)), "nasty_run": Reader(Counted(nasty_run))}


def grid(
    reader: Reader, index: RunIndex, first: int, last: int, columns: int, name: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.uint8], bool]:
    is_merged = reader.is_large(index, first, last)
    chunks = list(reader.records(ACCESS, index, first, last, merged=is_merged))
    edges = column_edges(first, last, columns)
    if is_merged:
        edges = aligned_edges(edges, chunks)
    return edges, *cells(chunks, np.arange(len(index.tensors)), edges, name), is_merged


def total(records: Sequence[Records], tensors: int) -> npt.NDArray[np.float64]:
    """All records as one, [tensors, columns]."""
    found = []
    for chunk in records:
        spread = np.stack([empty_columns(tensors)] * len(chunk.first))
        spread[:, chunk.rows] = chunk.columns
        found.extend(spread)
    return merge_columns(found)


def count(records: Sequence[Records]) -> int:
    """How many recorded windows they are."""
    return sum(len(chunk.first) * chunk.windows_merged for chunk in records)


@settings(max_examples=25)
@given(st.data())
@pytest.mark.parametrize("run", ["long_run", "nasty_run"])
def test_a_viewport_is_the_same_from_merges(
    run: str, readers: dict[str, Reader], data: st.DataObject
) -> None:
    reader = readers[run]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merged, "MOST_RECORDS", 40)
        index = reader.run(ACCESS, ".")
        assert index.last_step is not None
        first = data.draw(st.integers(0, index.last_step))
        last = data.draw(st.integers(first, index.last_step))
        name = data.draw(st.sampled_from(NAMES))
        columns = data.draw(st.integers(1, 60))
        edges, value, flags, is_merged = grid(reader, index, first, last, columns, name)
        single = list(reader.records(ACCESS, index, first, last))
        merges = list(reader.records(ACCESS, index, first, last, merged=True))
        assert {chunk.windows_merged for chunk in single} == {1}
        everything = np.arange(len(index.tensors))
        if not (is_merged and _divided(merges, edges)):
            expected, raised = cells(single, everything, edges, name)
            np.testing.assert_array_equal(value, expected)
            np.testing.assert_array_equal(flags, raised)

        assert count(merges) == count(single)
        np.testing.assert_array_equal(
            total(merges, len(everything)), total(single, len(everything))
        )


def _divided(chunks: Sequence[Records], edges: npt.NDArray[np.int64]) -> bool:
    """Whether an edge divides a merge, as it may where two streams differ."""
    return any(
        ((chunk.first < edge) & (chunk.last >= edge)).any()
        for chunk in chunks
        if chunk.windows_merged > 1
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


def test_the_picture_of_a_run_is_in_memory_once_its_overview_is(
    long_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, reader = read(long_run, monkeypatch, 200)
    monkeypatch.setattr(reader, "_cache_bytes", 300_000)  # 1.8 MB of records: few blocks stay.
    index = reader.run(ACCESS, ".")
    provider.bytes = 0
    grid(reader, index, 0, 5999, 200, "norm")
    record_size = 8 * 19 * (1 + TENSORS)
    assert provider.bytes < 64 * record_size  # What is in no merge of 16.
    provider.bytes = 0
    edges, *_ = grid(reader, index, 3300, 3360, 61, "norm")
    assert len(edges) == 62  # A column a step.
    assert provider.bytes < 3 * 64 * record_size


def test_a_refresh_reads_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, "MOST_RECORDS", 200)
    now = [0.0]
    sink = Sink(tmp_path / SUBDIRECTORY, 1.7e9)
    writer = RecordWriter(lambda: sink, Stream("0a"), "memory", Budget())
    for step in range(1000):
        writer.write(manifest(), record(step, step, ()))
    sink.put()
    provider = Counted(tmp_path)
    reader = Reader(provider, clock=lambda: now[0])
    index = reader.run(ACCESS, ".")
    grid(reader, index, 0, 999, 100, "norm")
    for step in range(1000, 1010):
        writer.write(manifest(), record(step, step, [1009]))
    sink.put()
    provider.reload()
    now[0] = 60
    provider.tags.clear()
    index = reader.run(ACCESS, ".")
    _, _, flags, _ = grid(reader, index, 0, 1009, 100, "norm")
    assert flags[1, -1] & 1
    assert index.read == 1010
    assert index.nonfinite.first.tolist()[1:] == [1009, 1009]
    assert [tag.block for tag in map(parse_tag, provider.tags) if tag] == [15]
    writer.close()


def test_a_sampled_run_is_counted_exactly(long_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, "MOST_RECORDS", 200)
    reader = Reader(Counted(long_run, keep=63))
    index = reader.run(ACCESS, ".")
    # 46 full blocks lost a record each; the last one has 56.
    assert (index.written, index.read) == (3000, 3000 - 46)
    assert "46 of 3,000 records are missing" in index.problems[0]
    assert count(list(reader.records(ACCESS, index, 0, 5999, merged=True))) == 2954


def test_no_merge_reaches_over_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gap in which nothing was recorded stays one."""
    monkeypatch.setattr(merged, "MOST_RECORDS", 10)
    sink = Sink(tmp_path / SUBDIRECTORY, 1.7e9)
    writer = RecordWriter(lambda: sink, Stream("0a"), "memory", Budget())
    for step in (*range(24), *range(1000, 1024)):
        writer.write(manifest(), record(step, step, ()))
    writer.close()
    reader = Reader(Provider(tmp_path))
    index = reader.run(ACCESS, ".")
    merges = list(reader.records(ACCESS, index, 0, 1023, merged=True))
    assert count(merges) == 48
    spans = [
        span
        for chunk in merges
        for span in zip(chunk.first.tolist(), chunk.last.tolist(), strict=True)
        if chunk.windows_merged > 1
    ]
    assert spans == [(0, 15), (1008, 1023)]


@pytest.mark.parametrize("run", ["long_run", "nasty_run"])
def test_a_very_long_history_is_merged_but_around_what_is_non_finite(
    run: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(Provider(request.getfixturevalue(run)))
    index = reader.run(ACCESS, ".")
    exact = reader.history(ACCESS, index)
    monkeypatch.setattr(merged, "MOST_HISTORY_BYTES", 1000)
    short = reader.history(ACCESS, index)
    windows = [np.concatenate([each.windows for each in h.series]) for h in (exact, short)]
    assert len(windows[1]) < len(windows[0]) / 6
    bad = np.unique(index.nonfinite.first[~np.isnan(index.nonfinite.first)])
    edges = [WINDOW_FIELD["first_step"], WINDOW_FIELD["last_step"]]
    for step in bad:
        spans = [of[(of[:, edges[0]] <= step) & (step <= of[:, edges[1]])] for of in windows]
        assert sorted(map(tuple, spans[0][:, edges])) == sorted(map(tuple, spans[1][:, edges]))
    steps = [
        np.concatenate([np.arange(first, last + 1) for first, last in of[:, edges].astype(int)])
        for of in windows
    ]
    np.testing.assert_array_equal(np.sort(steps[0]), np.sort(steps[1]))


def test_the_routes_answer_the_same_from_merges(
    long_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(most: int, route: str, **query: Any) -> Any:
        monkeypatch.setattr(merged, "MOST_RECORDS", most)
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
        monkeypatch.setattr(merged, "MOST_RECORDS", most)
        index = reader.run(ACCESS, ".")
        view = Viewport(reader, ACCESS, index, 512, axis=axis, steps=(0, 1399))
        return list(view.records())

    fine, coarse, even = ask(10**6, "log"), ask(most, "log"), ask(most, "step")
    assert {chunk.windows_merged for chunk in fine} == {1}
    assert max(chunk.windows_merged for chunk in coarse) > 1

    def early(chunks: Sequence[Records]) -> list[tuple[int, int]]:
        """The records of the first 16 steps."""
        steps = (zip(chunk.first.tolist(), chunk.last.tolist(), strict=True) for chunk in chunks)
        return sorted(each for chunk in steps for each in chunk if each[0] < 16)

    assert early(coarse) == early(fine) != early(even)
    # None is left out, and none is there twice.
    assert count(coarse) == count(even) == count(fine)


def test_answers_are_the_same_without_a_cache(
    nasty_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merged, "MOST_RECORDS", 40)
    answers = []
    for cache_bytes in (0, 2**28):
        reader = Reader(Provider(nasty_run), cache_bytes=cache_bytes)
        index = reader.run(Access(RequestContext()), ".")
        answers.append(grid(reader, index, 0, 1399, 100, "norm")[1])
    np.testing.assert_array_equal(*answers)
