"""Several trainings that wrote to one log directory, told apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from provider import ACCESS, Provider
from synthetic_logs import INF, NAN, START, StreamWriter, mlp_manifest, mlp_values

from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.tags import Stream
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.reader import Reader, RunIndex

WEIGHT = TensorInfo("weight", "dense", "dense/kernel", (2, 3), "float32")
MODEL = Manifest((WEIGHT,), "Callback")


def manifest(**change: object) -> Manifest:
    """Of a model with one weight, changed."""
    return Manifest((dataclasses.replace(WEIGHT, **change),), "Callback")  # type: ignore[arg-type]


def write(
    folder: Path,
    session: int,
    first: int,
    last: int,
    *,
    bad: Sequence[int] = (),
    of: Manifest = MODEL,
    at: float | None = None,
    stream: Stream | None = None,
) -> None:
    """A session of a record a step, which took a second each, 1,000 seconds after the last one."""
    stream = stream or Stream(f"0a{session:02x}")
    time = START + 1000 * session if at is None else at
    with StreamWriter(folder, stream, of, time) as writer:
        for step in range(first, last + 1):
            value = NAN if step in bad else 1.0
            writer.write(step, step, lambda _, v=value: [np.float32(v)] * len(of.tensors))


def runs_of(logs: Path) -> list[RunIndex]:
    return Reader(Provider(logs)).runs(ACCESS)


def steps_of(logs: Path) -> dict[str, tuple[int | None, int | None]]:
    return {run.run: (run.first_step, run.last_step) for run in runs_of(logs)}


def test_a_broken_fold_stays_beside_the_healthy_ones(tmp_path: Path) -> None:
    for fold in range(3):
        write(tmp_path / "exp/nanwatch", fold, 0, 9, bad=[5] if fold == 1 else [])
    runs = runs_of(tmp_path)
    assert [run.run for run in runs] == ["exp", "exp/2", "exp/3"]
    assert [run.nonfinite.first[0] for run in runs] == pytest.approx([NAN, 5, NAN], nan_ok=True)
    assert [run.began for run in runs] == [START, START + 1000, START + 2000]
    assert [(run.written, run.read) for run in runs] == [(10, 10)] * 3
    assert [len(run.problems) for run in runs] == [1, 0, 0]
    assert "were written to the same directory: 'exp/2' and on" in runs[0].problems[0]


def test_runs_of_one_directory_are_read_by_name(tmp_path: Path) -> None:
    for fold in range(12):
        write(tmp_path / "nanwatch", fold, 0, fold)
    reader = Reader(Provider(tmp_path))
    assert list(reader.listed(ACCESS)) == ["."]  # Nothing is read yet.
    assert reader.run(ACCESS, "./11").last_step == 10
    assert list(reader.listed(ACCESS)) == [".", *(f"./{number}" for number in range(2, 13))]
    (records,) = reader.records(ACCESS, reader.run(ACCESS, "./3"), 0, 99)
    assert records.first.tolist() == [0, 1, 2]
    with pytest.raises(LookupError):
        reader.run(ACCESS, "./13")


def test_a_name_that_a_directory_has_is_not_given_twice(tmp_path: Path) -> None:
    for fold in range(3):
        write(tmp_path / "exp/nanwatch", fold, 0, fold)
    write(tmp_path / "exp/2/nanwatch", 9, 0, 9)
    assert steps_of(tmp_path) == {"exp": (0, 0), "exp/2#": (0, 1), "exp/3": (0, 2), "exp/2": (0, 9)}
    assert Reader(Provider(tmp_path)).run(ACCESS, "exp/2#").last_step == 1


@pytest.mark.parametrize("first", [1, 6, 10, 500])
def test_a_resumed_training_goes_on(tmp_path: Path, first: int) -> None:
    """Within the steps of the one before, right after them, or after some that were lost."""
    write(tmp_path / "nanwatch", 0, 0, 9)
    write(tmp_path / "nanwatch", 1, first, first + 9)
    assert steps_of(tmp_path) == {".": (0, first + 9)}


def test_a_training_that_is_resumed_twice_from_one_checkpoint_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "nanwatch", 0, 0, 9)
    write(tmp_path / "nanwatch", 1, 5, 14)
    write(tmp_path / "nanwatch", 2, 5, 19)
    assert steps_of(tmp_path) == {".": (0, 19)}


def test_a_resumed_fold_goes_on_with_the_newest(tmp_path: Path) -> None:
    for fold in range(2):
        write(tmp_path / "nanwatch", fold, 0, 9)
    write(tmp_path / "nanwatch", 2, 5, 19)
    assert steps_of(tmp_path) == {".": (0, 9), "./2": (0, 19)}


def test_a_repetition_from_the_first_step_is_another_training(tmp_path: Path) -> None:
    """As where no checkpoint existed: nothing distinguishes it from the next fold."""
    write(tmp_path / "nanwatch", 0, 3, 9, bad=[8])
    write(tmp_path / "nanwatch", 1, 3, 19)
    assert steps_of(tmp_path) == {".": (3, 9), "./2": (3, 19)}


@pytest.mark.parametrize(
    "other", [manifest(name="other/kernel"), manifest(shape=(3, 3)), manifest(dtype="float16")]
)
def test_another_model_is_another_training(tmp_path: Path, other: Manifest) -> None:
    write(tmp_path / "nanwatch", 0, 0, 9)
    write(tmp_path / "nanwatch", 1, 5, 14, of=other)
    write(tmp_path / "nanwatch", 2, 7, 19)  # Goes on with the first one.
    assert steps_of(tmp_path) == {".": (0, 19), "./2": (5, 14)}


def test_more_that_is_watched_makes_no_other_training(tmp_path: Path) -> None:
    """As to see more of a run that broke, from its last checkpoint on."""
    more = (WEIGHT, TensorInfo("activation", "dense", "dense", (-1, 3), "float32"))
    write(tmp_path / "nanwatch", 0, 0, 9)
    write(tmp_path / "nanwatch", 1, 5, 14, of=Manifest(more, "Callback"))
    (run,) = runs_of(tmp_path)
    assert (run.last_step, len(run.tensors)) == (14, 2)


def test_a_session_without_a_record_belongs_to_what_followed(tmp_path: Path) -> None:
    for session in (0, 2, 4):
        with StreamWriter(tmp_path / "nanwatch", Stream(f"0a{session:02x}"), MODEL, START):
            pass
    write(tmp_path / "nanwatch", 1, 0, 9)
    write(tmp_path / "nanwatch", 3, 0, 19)
    assert steps_of(tmp_path) == {".": (0, 9), "./2": (0, 19)}


def test_two_that_write_at_the_same_time_are_diagnosed_apart(tmp_path: Path) -> None:
    """A's poisoned weights and B's healthy activations would make a layer that is at fault."""
    folder = tmp_path / "nanwatch"
    with (
        StreamWriter(folder, Stream("0a"), MODEL, START) as one,
        StreamWriter(folder, Stream("0b"), MODEL, START + 0.5) as two,
    ):
        for step in range(8):
            one.write(step, step, lambda s: [np.float32(NAN if s in (2, 6) else 1)])
            two.write(step + 4, step + 4, lambda s: [np.float32(INF if s == 5 else 1)])
    runs = runs_of(tmp_path)
    assert [(run.run, run.first_step, run.last_step) for run in runs] == [
        (".", 0, 7),
        ("./2", 4, 11),
    ]
    assert [run.nonfinite.first[0] for run in runs] == [2, 5]


def test_the_workers_of_a_distributed_training_are_one_run(tmp_path: Path) -> None:
    """Also where it is repeated, and where a worker was lost before its first record."""
    for training in range(3):
        for worker in ("worker-0", "worker-1"):
            if (training, worker) != (1, "worker-1"):
                write(
                    tmp_path / "nanwatch" / worker,
                    training,
                    0,
                    9 + training,
                    of=dataclasses.replace(MODEL, worker=worker),
                    at=START + 1000 * training + (2 if worker == "worker-1" else 0),
                )
    runs = runs_of(tmp_path)
    assert [run.run for run in runs] == [".", "./2", "./3"]
    assert [run.last_step for run in runs] == [9, 10, 11]
    both = {"worker-0", "worker-1"}
    workers = [{tensor.worker for tensor in run.tensors} for run in runs]
    assert workers == [both, {"worker-0"}, both]


def test_summaries_are_of_the_training_beside_which_they_were_written(tmp_path: Path) -> None:
    for training in range(3):
        write(tmp_path / "nanwatch", training, 0, 9)
        for name in ("one", "two"):
            if (training, name) != (0, "two"):
                scalar = Manifest((TensorInfo("loss", "", name, (), "float32"),), "summary")
                stream = Stream(f"0b{training:02x}", "loss", name)
                write(
                    tmp_path,
                    training,
                    0,
                    3,
                    of=scalar,
                    at=START + 1000 * training + 5,
                    stream=stream,
                )
    found = {run.run: {tensor.info.name for tensor in run.tensors} for run in runs_of(tmp_path)}
    everything = {"dense/kernel", "one", "two"}
    assert found == {".": {"dense/kernel", "one"}, "./2": everything, "./3": everything}


# Clocks that are put back


def test_a_clock_that_is_put_back_between_sessions_changes_no_order(tmp_path: Path) -> None:
    write(tmp_path / "nanwatch", 0, 0, 9, bad=[8], at=START)
    write(tmp_path / "nanwatch", 1, 6, 14, at=START - 86_400)
    (run,) = runs_of(tmp_path)
    assert (run.first_step, run.last_step) == (0, 14)
    assert np.isnan(run.nonfinite.first[0])  # Step 8 was repeated.


def test_a_clock_that_is_put_back_into_the_session_before_breaks_no_training(
    tmp_path: Path,
) -> None:
    """As long as no step is repeated: then it may be two processes at a time."""
    write(tmp_path / "nanwatch", 0, 0, 9, at=START)
    write(tmp_path / "nanwatch", 1, 10, 19, at=START + 5)
    assert steps_of(tmp_path) == {".": (0, 19)}
    write(tmp_path / "nanwatch", 2, 18, 29, at=START + 7)
    assert steps_of(tmp_path) == {".": (0, 19), "./2": (18, 29)}


def test_folds_stay_in_order_though_the_clock_is_put_back(tmp_path: Path) -> None:
    for fold in range(3):
        write(tmp_path / "nanwatch", fold, 0, fold, at=START - 5000 * fold)
    assert steps_of(tmp_path) == {".": (0, 0), "./2": (0, 1), "./3": (0, 2)}


def test_a_clock_that_is_put_back_within_a_session_changes_no_order(tmp_path: Path) -> None:
    with StreamWriter(tmp_path / "nanwatch", Stream("0a"), MODEL) as writer:
        for step in range(200):
            if step == 100:
                writer.jump(-3600)
            writer.write(step, step, lambda s: [np.float32(NAN if s == 150 else 1)])
    write(tmp_path / "nanwatch", 1, 180, 190, at=START + 7200)
    reader = Reader(Provider(tmp_path))
    (run,) = reader.runs(ACCESS)
    assert (run.written, run.read, run.last_step) == (211, 211, 190)
    assert run.nonfinite.first[0] == 150
    first = np.concatenate([part.first for part in reader.records(ACCESS, run, 0, 999)])
    assert first.tolist() == list(range(191))


# What is kept


def test_a_further_training_leaves_the_indexes_of_the_others(tmp_path: Path) -> None:
    """So that none of the others is diagnosed again."""
    now = 0.0
    for fold in range(3):
        write(tmp_path / "nanwatch", fold, 0, 9)
    provider = Provider(tmp_path)
    reader = Reader(provider, clock=lambda: now)
    before = reader.runs(ACCESS)
    write(tmp_path / "nanwatch", 3, 0, 9)
    provider.reload()
    now = 60
    after = reader.runs(ACCESS)
    assert len(after) == 4
    assert all(one is other for one, other in zip(before, after, strict=False))


def test_many_folds_of_a_network_are_as_each_by_itself(tmp_path: Path) -> None:
    """Every fold that is read out of the shared directory is what it is in one of its own."""
    of = mlp_manifest()
    for fold in range(3):
        for folder in (tmp_path / "shared", tmp_path / f"alone{fold}"):
            time = START + 1000 * fold
            stream = Stream(f"0a{fold:02x}")
            with StreamWriter(folder / "nanwatch", stream, of, time) as writer:
                for first in range(0, 24, 8):
                    values = mlp_values(of, lambda t, s, f=fold: (NAN,) * (s == 10 + f), seed=fold)
                    writer.write(first, first + 7, values)
    reader = Reader(Provider(tmp_path))
    for fold, name in enumerate(("shared", "shared/2", "shared/3")):
        shared, alone = reader.run(ACCESS, name), reader.run(ACCESS, f"alone{fold}")
        for one, other in zip(
            reader.history(ACCESS, shared).series,
            reader.history(ACCESS, alone).series,
            strict=True,
        ):
            np.testing.assert_array_equal(one.columns, other.columns)
            np.testing.assert_array_equal(one.windows, other.windows)
