"""The reader over TensorBoard's own loaders and real event files."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from provider import ACCESS, Provider
from synthetic_logs import (
    INF,
    NAN,
    START,
    StreamWriter,
    mlp_manifest,
    mlp_values,
    replicas,
    window_record,
)

from tb_nanwatch.format.events import manifest_value, record_values
from tb_nanwatch.format.facts import ModelFacts, OptimizerFacts
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.tags import Stream, block_tag
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.reader import Reader, RunIndex, UnknownRunError
from tb_nanwatch.reader.cache import Cache
from tb_nanwatch.reader.tensors import tensor_id
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.histogram import merge_histograms, total_histogram

ONE = Manifest((TensorInfo("loss", "", "loss", (), "float32"),), "Watcher")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def reader_of(logs: Path, **options: Any) -> Reader:
    return Reader(Provider(logs), **options)


def constant(value: float) -> Callable[[int], Sequence[npt.NDArray[np.generic]]]:
    """The loss has this value at each step."""
    return lambda step: [np.float32(value).reshape(())]


def named(name: str) -> Manifest:
    """The manifest of one scalar."""
    return Manifest((TensorInfo("loss", "", name, (), "float32"),), "Watcher")


def columns_of(reader: Reader, index: RunIndex) -> dict[int, npt.NDArray[np.float64]]:
    """First step to the columns of the first tensor, over the whole run."""
    assert index.first_step is not None
    assert index.last_step is not None
    return {
        int(first): records.columns[position, 0]
        for records in reader.records(ACCESS, index, index.first_step, index.last_step)
        for position, first in enumerate(records.first)
    }


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    manifest = mlp_manifest()
    with StreamWriter(tmp_path / "run/nanwatch", Stream("0a"), manifest) as writer:
        written = [
            writer.write(first, first + 1, mlp_values(manifest)) for first in range(0, 300, 2)
        ]
    reader = reader_of(tmp_path)
    (index,) = reader.runs(ACCESS)
    assert (index.run, index.first_step, index.last_step) == ("run", 0, 299)
    assert (index.written, index.read, index.problems) == (150, 150, ())
    assert [tensor.info for tensor in index.tensors] == list(manifest.tensors)
    read = list(reader.records(ACCESS, index, 0, 299))
    assert len(read) == 3  # Blocks of 64.
    for name, wanted in (("windows", "window"), ("columns", "columns")):
        got = np.concatenate([getattr(records, name) for records in read])
        expected = np.stack([getattr(record, wanted) for record in written])
        assert np.array_equal(got, expected, equal_nan=True)
    found = list(reader.histograms(ACCESS, index, 2, 100, 139))
    assert [chunk.first[0] for chunk in found] == [100, 128]
    assert [chunk.valid_until[0] for chunk in found] == [101, 129]
    histograms = [chunk.histograms for chunk in found]
    parts = [record.histograms for record in written[50:70]]
    merged = merge_histograms([part for part in parts if part]).tensor(2)
    np.testing.assert_array_equal(total_histogram(histograms), merged)


def test_only_the_blocks_of_the_viewport_are_asked_for(tmp_path: Path) -> None:
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), ONE) as writer:
        for step in range(300):
            writer.write(step, step, constant(1))
    provider = Provider(tmp_path)
    asked: list[str] = []
    read = provider.read_tensors

    def spy(*args: Any, **kwargs: Any) -> Any:
        asked.extend(kwargs["run_tag_filter"].tags)
        return read(*args, **kwargs)

    reader = Reader(provider, cache_bytes=0)
    index = reader.run(ACCESS, ".")
    provider.read_tensors = spy  # type: ignore[method-assign]
    (records,) = reader.records(ACCESS, index, 130, 140)
    assert records.first.tolist() == list(range(130, 141))
    assert asked == [block_tag("stats", Stream("0a"), 2)]


def test_a_warm_request_costs_one_call_at_most(gallery: Path) -> None:
    clock = Clock()
    provider = Provider(gallery)
    reader = Reader(provider, clock=clock)

    def request() -> list[str]:
        provider.calls.clear()
        for index in reader.runs(ACCESS):
            if index.first_step is not None and index.last_step is not None:
                list(reader.records(ACCESS, index, index.first_step, index.last_step))
        return provider.calls

    assert request() == ["list", "read", "read"]
    assert request() == []
    clock.now += 60
    assert request() == ["list"]


def test_what_is_new_is_read_and_nothing_else(tmp_path: Path) -> None:
    clock = Clock()
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), ONE) as writer:
        writer.write(0, 0, constant(1))
        writer.flush()
        provider = Provider(tmp_path)
        reader = Reader(provider, clock=clock)
        assert reader.run(ACCESS, ".").last_step == 0
        writer.write(1, 1, constant(NAN))
        writer.flush()
        provider.reload()
        assert reader.run(ACCESS, ".").last_step == 0  # Listed a moment ago.
        clock.now += 60
        provider.calls.clear()
        index = reader.run(ACCESS, ".")
        assert provider.calls == ["list", "read"]
        assert index.last_step == 1
        assert index.nonfinite.first.tolist() == [1]


def test_an_unknown_run_names_the_known_ones(gallery: Path) -> None:
    with pytest.raises(UnknownRunError) as error:
        reader_of(gallery).run(ACCESS, "nanfeature")
    assert "nan_feature" in error.value.known


@pytest.mark.parametrize("cache_bytes", [0, 20_000, 2**28])
def test_answers_do_not_depend_on_the_cache(gallery: Path, cache_bytes: int) -> None:
    reader = reader_of(gallery, cache_bytes=cache_bytes)
    index = reader.run(ACCESS, "resumed")
    assert sorted(columns_of(reader, index)) == list(range(0, 160, 16))


def test_threads_get_the_same_answers(gallery: Path) -> None:
    reader = reader_of(gallery, cache_bytes=20_000)
    names = [index.run for index in reader_of(gallery).runs(ACCESS) if index.read]

    def ask(name: str) -> tuple[int, float]:
        index = reader.run(ACCESS, name)
        columns = columns_of(reader, index)
        return len(columns), float(np.nansum(list(columns.values())))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, names * 8))
    assert answers == answers[: len(names)] * 8


def test_a_resumed_session_replaces_what_it_does_again(gallery: Path) -> None:
    index = reader_of(gallery).run(ACCESS, "resumed")
    assert np.isnan(index.nonfinite.first).all()  # The NaN of step 90 did not happen again.
    assert (index.written, index.read) == (12, 12)
    assert (index.first_step, index.last_step) == (0, 159)
    assert len(index.tensors) == len(mlp_manifest().tensors)
    assert index.problems == (
        "2 records of an earlier session (steps 64 to 95) are replaced by a later session, which "
        "repeated these steps.",
    )


def test_a_nan_before_the_restart_stays(tmp_path: Path) -> None:
    """The restart cuts a block: only what it does not replace counts."""
    folder = tmp_path / "nanwatch"
    with StreamWriter(folder, Stream("0a"), ONE) as writer:
        for step in range(20):
            writer.write(step, step, constant(NAN if step in (3, 15) else 1))
    with StreamWriter(folder, Stream("0b"), ONE, 1.8e9) as writer:
        writer.write(10, 11, constant(1))
    index = reader_of(tmp_path).run(ACCESS, ".")
    assert index.nonfinite.first.tolist() == [3]
    assert index.nonfinite.last.tolist() == [3]
    assert index.nonfinite.steps.tolist() == [1]
    assert index.last_step == 11


def test_workers_do_not_replace_each_other(gallery: Path) -> None:
    index = reader_of(gallery).run(ACCESS, "workers")
    assert (index.written, index.read) == (6, 6)
    assert len(index.tensors) == 2 * len(mlp_manifest().tensors)
    assert {tensor.worker for tensor in index.tensors} == {"worker0", "worker1"}
    assert len({tensor.id for tensor in index.tensors}) == len(index.tensors)


def test_each_replica_of_each_worker_has_tensors_of_its_own(tmp_path: Path) -> None:
    replicas(tmp_path)
    reader = reader_of(tmp_path)
    index = reader.run(ACCESS, "replicas")
    assert len({tensor.id for tensor in index.tensors}) == 4 * len(mlp_manifest().tensors)
    (bad,) = np.flatnonzero(~np.isnan(index.nonfinite.first))
    history = reader.history(ACCESS, index)
    assert history.tensors[bad].replica == "replica-1"
    assert history.workers[bad] == "worker-0/replica-1"
    assert len(set(history.workers)) == 4
    cell = columns_of(reader, index)
    assert sorted(cell) == [0, 8, 16, 24]


def test_summaries_are_replaced_by_their_own_later_sessions_alone(tmp_path: Path) -> None:
    def write(session: str, name: str, steps: Sequence[int], value: float) -> None:
        manifest = Manifest((TensorInfo("loss", "", name, (), "float32"),), "summary")
        stream = Stream(session, "loss", name)
        with StreamWriter(tmp_path / "nanwatch", stream, manifest, int(session, 16)) as writer:
            for step in steps:
                writer.write(step, step, constant(value))

    write("a1", "one", (0, 10, 20), NAN)
    write("a2", "two", (0, 10, 20), NAN)
    write("b1", "one", (10, 20, 30), 1)
    index = reader_of(tmp_path).run(ACCESS, "nanwatch")  # The user's own directory of that name.
    assert [tensor.info.name for tensor in index.tensors] == ["one", "two"]
    assert index.nonfinite.steps.tolist() == [1, 3]
    assert (index.written, index.read) == (9, 9)


def test_a_callback_and_a_summary_of_one_run_stand_together(tmp_path: Path) -> None:
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), ONE) as writer:
        writer.write(0, 9, constant(1))
    with StreamWriter(tmp_path, Stream("0b", "loss", "loss"), ONE) as writer:
        writer.write(5, 5, constant(INF))
    index = reader_of(tmp_path).run(ACCESS, ".")
    assert len(index.tensors) == 1  # One tensor, two streams.
    assert index.tensors[0].id == tensor_id("loss", "loss", "")
    assert index.read == 2
    assert index.nonfinite.first.tolist() == [5]


def test_equal_rows_of_one_manifest_are_told_apart(tmp_path: Path) -> None:
    manifest = dataclasses.replace(ONE, tensors=ONE.tensors * 2)
    with StreamWriter(tmp_path, Stream("0a", "loss", "x"), manifest) as writer:
        writer.write(0, 0, lambda step: [np.array(1.0), np.array(NAN)])
    index = reader_of(tmp_path).run(ACCESS, ".")
    assert len({tensor.id for tensor in index.tensors}) == 2
    assert np.isnan(index.nonfinite.first).tolist() == [True, False]


def test_the_initial_state_counts(gallery: Path) -> None:
    index = reader_of(gallery).run(ACCESS, "bad_checkpoint")
    (bad,) = np.flatnonzero(~np.isnan(index.nonfinite.first))
    assert index.tensors[bad].info.role == "weight"
    assert index.nonfinite.first[bad] == 0
    assert index.nonfinite.steps[bad] == 16


def test_the_initial_state_of_a_replaced_session_does_not_count(tmp_path: Path) -> None:
    for session, first, value in (("0a", 0, 1.0), ("0b", 4, NAN), ("0c", 2, 1.0)):
        start = START + 100 * int(session, 16)
        with StreamWriter(tmp_path / "nanwatch", Stream(session), ONE, start) as writer:
            writer.write_initial(first, constant(value)(0))
            writer.write(first, first + 3, constant(value))
    index = reader_of(tmp_path).run(ACCESS, ".")
    assert [int(each.windows[0, WINDOW_FIELD["last_step"]]) for each in index.initials] == [0, 2]
    assert np.isnan(index.nonfinite.first).all()


def test_what_loss_scaling_handled_is_not_nonfinite(gallery: Path) -> None:
    index = reader_of(gallery).run(ACCESS, "loss_scaling")
    assert np.isnan(index.nonfinite.first).all()
    assert index.scale_skipped_steps == 6


def test_a_run_without_a_record_is_there(gallery: Path) -> None:
    index = reader_of(gallery).run(ACCESS, "empty")
    assert (index.first_step, index.tensors, index.read, index.problems) == (None, (), 0, ())


# What cannot be read


def damaged_run(folder: Path) -> None:
    """8 records: one is of version 2, one of no known manifest, one has no steps."""
    with StreamWriter(folder, Stream("0a"), ONE) as writer:
        for sequence in range(8):
            record = window_record(ONE, sequence, 2 * sequence, 2 * sequence + 1, constant(1))
            values = record_values(writer.stream, 0, record)
            tensor = values[0].tensor
            packed = np.frombuffer(tensor.tensor_content).reshape(2, -1).copy()
            if sequence == 2:
                packed[0, WINDOW_FIELD["version"]] = 2
            if sequence == 4:
                packed[0, WINDOW_FIELD["manifest"]] += 1
            if sequence == 5:
                packed[0, WINDOW_FIELD["first_step"]] = INF
            tensor.tensor_content = packed.tobytes()
            writer.add(2 * sequence + 1, values)


def test_problems_are_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    damaged_run(tmp_path / "nanwatch")
    reader = reader_of(tmp_path)
    index = reader.run(ACCESS, ".")
    assert (index.written, index.read) == (8, 5)
    assert sorted(columns_of(reader, index)) == [0, 2, 6, 12, 14]
    version, *others = sorted(index.problems, key=lambda text: "version 2" not in text)
    assert version == (
        "1 of 8 records has version 2, written by a newer NaNWatch: "
        "upgrade tb-nanwatch to see them."
    )
    assert any("1 of 8 records is not shown, because the manifest" in text for text in others)
    assert any("1 of 8 records is damaged and not shown" in text for text in others)
    assert len(others) == 2


def test_a_manifest_that_comes_late_brings_its_records(tmp_path: Path) -> None:
    clock = Clock()
    record = window_record(ONE, 0, 0, 3, constant(1))
    stream = Stream("0a")
    with StreamWriter(tmp_path, stream, mlp_manifest()) as writer:
        writer.add(3, record_values(stream, 0, record))
        writer.flush()
        provider = Provider(tmp_path)
        reader = Reader(provider, clock=clock)
        index = reader.run(ACCESS, ".")
        assert (index.written, index.read) == (1, 0)
        assert "manifest" in index.problems[0]
        writer.add(3, [manifest_value(stream, ONE)])
        writer.flush()
    provider.reload()
    clock.now += 60
    index = reader.run(ACCESS, ".")
    assert (index.written, index.read, index.problems) == (1, 1, ())


def test_a_record_that_is_no_matrix_costs_itself_alone(tmp_path: Path) -> None:
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), ONE) as writer:
        writer.write(0, 0, constant(1))
        values = record_values(writer.stream, 0, window_record(ONE, 1, 1, 1, constant(1)))
        values[0].tensor.tensor_shape.dim.pop()
        values[0].tensor.tensor_shape.dim[0].size = len(values[0].tensor.tensor_content) // 8
        writer.add(1, values)
        writer.put(window_record(ONE, 2, 2, 2, constant(1)))
    index = reader_of(tmp_path).run(ACCESS, ".")
    assert (index.written, index.read) == (3, 2)
    assert "1 of 3 records is damaged" in index.problems[0]


def test_columns_that_a_manifest_lacks_are_empty(tmp_path: Path) -> None:
    """As of an older version: fewer columns, in another order."""
    names = ("max", "nan", "steps")
    old = dataclasses.replace(ONE, columns=(*names, *(f"gone{n}" for n in range(16))))
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), old) as writer:
        record = window_record(old, 0, 0, 3, constant(5))
        record.columns[:, : len(names)] = [7, 2, 4]
        writer.put(record)
    reader = reader_of(tmp_path)
    (columns,) = columns_of(reader, reader.run(ACCESS, ".")).values()
    assert [columns[COLUMN[name]] for name in names] == [7, 2, 4]
    assert np.isnan(columns[COLUMN["min"]])
    assert columns[COLUMN["zero"]] == 0


def test_facts_of_a_tensor_are_no_part_of_its_identity(tmp_path: Path) -> None:
    """Two sessions whose manifests differ in facts alone are one run of the same tensors."""
    for session, start, attribute in (("0a", 1.7e9, ""), ("0b", 1.8e9, "kernel")):
        info = dataclasses.replace(ONE.tensors[0], trainable=bool(attribute), attribute=attribute)
        model = ModelFacts("keras", optimizers=(OptimizerFacts("sgd", attribute or "SGD", True),))
        manifest = dataclasses.replace(ONE, tensors=(info,), model=model)
        with StreamWriter(tmp_path / "nanwatch", Stream(session), manifest, start) as writer:
            first = 10 * (session == "0b")
            writer.write(first, first + 9, constant(1))
    reader = reader_of(tmp_path)
    index = reader.run(ACCESS, ".")
    (tensor,) = index.tensors
    assert tensor.id == tensor_id("loss", "loss", "")
    assert (tensor.info.attribute, index.read) == ("kernel", 2)
    history = reader.history(ACCESS, index)
    assert history.model.optimizers[0].class_name == "kernel"  # As the latest session has it.


def test_of_several_workers_the_first_tells_the_model(tmp_path: Path) -> None:
    for worker, framework in (("worker-1", "later"), ("worker-0", "first")):
        manifest = dataclasses.replace(ONE, worker=worker, model=ModelFacts(framework))
        folder = tmp_path / "nanwatch" / worker
        with StreamWriter(folder, Stream(f"0{worker[-1]}"), manifest) as writer:
            writer.write(0, 9, constant(1))
    with StreamWriter(tmp_path, Stream("0c", "loss", "x"), named("x"), 1.9e9) as writer:
        writer.write(0, 0, constant(1))  # A manifest that knows of no model.
    reader = reader_of(tmp_path)
    assert reader.history(ACCESS, reader.run(ACCESS, ".")).model.framework == "first"


def test_lost_records_are_named(tmp_path: Path) -> None:
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), ONE) as writer:
        for sequence in (0, 5):
            record = window_record(ONE, sequence, 9 * sequence, 9 * sequence + 8, constant(1))
            record.window[WINDOW_FIELD["lost_records"]] = 4 * (sequence > 0)
            writer.put(record)
    index = reader_of(tmp_path).run(ACCESS, ".")
    assert (index.written, index.read) == (6, 2)
    assert any("4 records could not be written during training" in text for text in index.problems)
    assert not any("sampled" in text for text in index.problems)


def test_sampled_records_are_counted(gallery: Path) -> None:
    index = Reader(Provider(gallery, keep=7)).run(ACCESS, "nan_feature")
    assert (index.written, index.read) == (19, 7)
    assert "12 of 19 records are missing" in index.problems[0]
    assert "--samples_per_plugin=nanwatch=0" in index.problems[0]


def test_a_tag_that_tensorboard_cannot_read_costs_itself_alone(tmp_path: Path) -> None:
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), ONE) as writer:
        for step in range(200):
            writer.write(step, step, constant(1))
    provider = Provider(tmp_path)
    provider.fails_on = block_tag("stats", Stream("0a"), 1)
    reader = Reader(provider)
    index = reader.run(ACCESS, ".")
    assert (index.written, index.read) == (200, 136)
    assert any("could not read 1 of the run's tags" in text for text in index.problems)
    provider.fails_on = ""
    assert reader.run(ACCESS, ".").problems == ()  # It is tried again.


def test_columns_of_other_tensors_do_not_mix(tmp_path: Path) -> None:
    """Other tensors are watched after the restart: another manifest, other rows."""
    weight = TensorInfo("weight", "", "loss", (), "float32")
    other = Manifest((TensorInfo("loss", "", "other", (), "float32"), weight), "Watcher")
    with StreamWriter(
        tmp_path / "nanwatch", Stream("0a"), Manifest((weight,), "Watcher")
    ) as writer:
        writer.write(0, 1, constant(5))
    with StreamWriter(tmp_path / "nanwatch", Stream("0b"), other, 1.8e9) as writer:
        writer.write(2, 3, lambda step: [np.array(7.0), np.array(9.0)])
    reader = reader_of(tmp_path)
    index = reader.run(ACCESS, ".")
    largest = {
        (int(first), index.tensors[row].info.name): records.columns[i, j, COLUMN["max"]]
        for records in reader.records(ACCESS, index, 0, 3)
        for i, first in enumerate(records.first)
        for j, row in enumerate(records.rows)
    }
    assert largest == {(0, "loss"): 5, (2, "other"): 7, (2, "loss"): 9}


@pytest.fixture
def cache() -> Cache[str]:
    return Cache(10, len)


def test_the_least_recently_used_goes_first(cache: Cache[str]) -> None:
    cache.put("a", 0, "A" * 4)
    cache.put("b", 0, "B" * 4)
    assert cache.get("a", 0) == "AAAA"
    cache.put("c", 0, "C" * 4)
    assert [cache.get(key, 0) for key in "abc"] == ["AAAA", None, "CCCC"]
    assert cache.bytes == 8


def test_another_state_counts_as_absent(cache: Cache[str]) -> None:
    cache.put("a", 0, "A" * 4)
    assert cache.get("a", 1) is None
    cache.put("a", 1, "A" * 5)
    assert (cache.get("a", 0), cache.get("a", 1), cache.bytes) == (None, "AAAAA", 5)


def test_what_is_too_large_is_not_kept(cache: Cache[str]) -> None:
    cache.put("a", 0, "A" * 4)
    cache.put("a", 1, "A" * 11)
    assert (cache.get("a", 1), cache.bytes) == (None, 0)


def test_one_thread_computes_what_several_want(cache: Cache[str]) -> None:
    computed: list[str] = []
    both = threading.Barrier(2, timeout=30)

    def compute(key: str) -> str:
        both.wait()  # Of two keys at the same time.
        computed.append(key)
        return key

    with ThreadPoolExecutor(8) as threads:
        keys = ["a", "b"] * 8
        answers = threads.map(lambda key: cache.get_or_compute(key, 0, lambda: compute(key)), keys)
        assert list(answers) == keys
    assert sorted(computed) == ["a", "b"]
    assert cache.get_or_compute("a", 1, lambda: "other") == "other"


def test_a_failed_computation_is_tried_again(cache: Cache[str]) -> None:
    def fail() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.get_or_compute("a", 0, fail)
    assert cache.get_or_compute("a", 0, lambda: "A") == "A"


def test_a_damaged_manifest_passes_for_no_other(tmp_path: Path) -> None:
    """Runs of a model share its manifest by the hash in the tag; one may say something else."""
    with StreamWriter(tmp_path / "a", Stream("0a"), named("a")) as writer:
        wrong = manifest_value(writer.stream, ONE)
        wrong.tensor.CopyFrom(manifest_value(writer.stream, named("other")).tensor)
        writer.add(0, [wrong])
        writer.write(0, 0, constant(1))
    with StreamWriter(tmp_path / "b", Stream("0b"), ONE) as writer:
        writer.write(0, 0, constant(1))
    a, b = reader_of(tmp_path).runs(ACCESS)
    assert [tensor.info.name for tensor in a.tensors] == ["a"]
    assert [tensor.info.name for tensor in b.tensors] == ["loss"]
    assert (a.read, b.read) == (1, 1)
