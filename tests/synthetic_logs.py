"""Event files as a training would leave them, made without any framework.

    python tests/synthetic_logs.py FOLDER

writes the runs of `GALLERY` there; tests call its functions, or use `StreamWriter` for their own.
All of it is the same at each call.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from tb_nanwatch.format.events import initial_value, manifest_value, record_values
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.records import new_window
from tb_nanwatch.format.tags import RECORDS_PER_BLOCK, SUBDIRECTORY, Stream
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN, COLUMNS, WINDOW_FIELD
from tb_nanwatch.stats.histogram import Histograms
from tb_nanwatch.stats.record import Record, merge_columns
from tb_nanwatch.stats.reference import exponent_histogram, statistics

Values = Sequence[npt.NDArray[np.generic]]
"""One array for each tensor of the manifest, at one step."""

NAN, INF = np.nan, np.inf
START = 1_700_000_000.0
_SAMPLED = ["sampled_steps", "sampled_elements", "sampled_finite", "zero", "subnormal", "min"]
_SAMPLED += ["max", "sum"]


class StreamWriter:
    """Writes one stream's records into one event file.

    Args:
      folder: where the event file goes.
      stream: whose records they are.
      manifest: what their rows are.
      wall_time: of the first event; each later one is a second later.
    """

    def __init__(self, folder: Path, stream: Stream, manifest: Manifest, wall_time: float = START):
        self.stream = stream
        self.manifest = manifest
        self.sequence = 0
        self._wall_time = wall_time
        self._file = EventFileWriter(str(folder), filename_suffix="." + stream.session)
        self.add(0, [manifest_value(stream, manifest)])

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def flush(self) -> None:
        """Puts all that was written into the file."""
        self._file.flush()

    def jump(self, seconds: float) -> None:
        """The clock is set forward, or back."""
        self._wall_time += seconds

    def add(self, step: int, values: Iterable[Summary.Value]) -> None:
        """Writes one event."""
        event = Event(step=step, wall_time=self._wall_time, summary=Summary(value=values))
        self._wall_time += 1
        self._file.add_event(event)

    def put(self, record: Record) -> None:
        """Writes a record, under the block of its sequence number."""
        block = int(record.field("sequence")) // RECORDS_PER_BLOCK
        self.add(int(record.field("last_step")), record_values(self.stream, block, record))

    def write(
        self,
        first: int,
        last: int,
        values: Callable[[int], Values],
        *,
        scale_skipped: Collection[int] = (),
        loss_scale: float = NAN,
    ) -> Record:
        """Writes the window from `first` to `last`; its last step is sampled, as in a training."""
        record = window_record(self.manifest, self.sequence, first, last, values, scale_skipped)
        record.window[WINDOW_FIELD["loss_scale"]] = loss_scale
        self.sequence += 1
        self.put(record)
        return record

    def write_initial(self, step: int, values: Values) -> None:
        """Writes the state that `step` is about to find."""
        record = window_record(self.manifest, 0, step, step, lambda _: values)
        self.add(step, [initial_value(self.stream, record)])


def window_record(
    manifest: Manifest,
    sequence: int,
    first: int,
    last: int,
    values: Callable[[int], Values],
    scale_skipped: Collection[int] = (),
) -> Record:
    """The record of a window, exact counts at every step, histograms of the last one."""
    window = new_window(manifest.hash(), sequence, first, last)
    window[WINDOW_FIELD["sampled_step"]] = last
    window[WINDOW_FIELD["scale_skipped_steps"]] = sum(
        first <= step <= last for step in scale_skipped
    )
    steps = []
    for step in range(first, last + 1):
        rows = np.array([statistics(array, step) for array in values(step)])
        if step < last:
            for name in _SAMPLED:
                rows[:, COLUMN[name]] = COLUMNS[COLUMN[name]].empty
        if step in scale_skipped:
            bad = rows[:, COLUMN["nonfinite_steps"]] > 0
            rows[bad, COLUMN["scale_skipped_steps"]] = 1
            rows[:, COLUMN["nonfinite_steps"]] = 0
            rows[:, COLUMN["first_nonfinite_step"]] = NAN
            rows[:, COLUMN["last_nonfinite_step"]] = NAN
        steps.append(rows)
    return Record(window, merge_columns(steps), _histograms(values(last)))


def _histograms(values: Values) -> Histograms:
    parts = [exponent_histogram(array) for array in values]
    return Histograms(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("lengths", "codes", "counts")
        )
    )


LAYERS = ("dense", "dense_1", "dense_2", "logits")


def mlp_manifest(source: str = "Callback", worker: str = "") -> Manifest:
    """A small network: input, target, loss, and the gradient and weight of each variable."""
    tensors = [
        TensorInfo("input", "", "input", (32, 20), "float32"),
        TensorInfo("target", "", "target", (32, 1), "float32"),
    ]
    for role in ("gradient", "weight"):
        for layer in LAYERS:
            for part, shape in (("kernel", (8, 16)), ("bias", (16,))):
                name = f"mlp/{layer}/{part}"
                tensors.append(TensorInfo(role, layer, name, shape, "float32"))
    tensors.append(TensorInfo("loss", "", "loss", (), "float32"))
    return Manifest(tuple(tensors), source, worker=worker)


def mlp_values(
    manifest: Manifest,
    bad: Callable[[TensorInfo, int], Sequence[float]] = lambda tensor, step: (),
    seed: int = 0,
) -> Callable[[int], Values]:
    """Values of a training that goes well, but for first elements that `bad` replaces."""

    def values(step: int) -> Values:
        arrays = []
        for row, tensor in enumerate(manifest.tensors):
            random = np.random.default_rng([seed, step, row])
            scale = 10.0 ** (-(row % 5)) * (1 + 0.3 * np.sin(step / 20 + row))
            shape = tuple(abs(size) for size in tensor.shape or ())
            array = (random.standard_normal(shape or (1,)) * scale).astype(np.float32)
            if tensor.role == "gradient":
                array[array < -scale] = 0.0  # Dead units.
            wrong = bad(tensor, step)
            array.reshape(-1)[: len(wrong)] = wrong
            arrays.append(array.reshape(shape))
        return arrays

    return values


def healthy(logs: Path) -> None:
    manifest = mlp_manifest()
    with StreamWriter(logs / "healthy" / SUBDIRECTORY, Stream("0a01"), manifest) as writer:
        for first in range(0, 160, 16):
            writer.write(first, first + 15, mlp_values(manifest))


def nan_feature(logs: Path) -> None:
    """A NaN cell of the data at step 37: the first kernel is NaN from then on."""
    manifest = mlp_manifest()

    def bad(tensor: TensorInfo, step: int) -> Sequence[float]:
        if tensor.role == "input" and step == 37:
            return (NAN,)
        if tensor.layer == "dense" and tensor.role == "gradient" and step >= 37:
            return (NAN, INF, -INF) if "kernel" in tensor.name else (NAN,)
        if tensor.layer == "dense" and tensor.role == "weight" and step >= 37:
            return (NAN, NAN)
        return ()

    with StreamWriter(logs / "nan_feature" / SUBDIRECTORY, Stream("0a02"), manifest) as writer:
        values = mlp_values(manifest, bad, seed=1)
        for first, last in [(0, 15), (16, 31), (32, 36), (37, 37), (38, 38), (39, 39)]:
            writer.write(first, last, values)
        for first in range(40, 240, 16):
            writer.write(first, min(first + 15, 239), values)


def loss_scaling(logs: Path) -> None:
    """Gradients overflow at steps 0 to 4 and 60; the optimizer handles it by half the scale."""
    manifest = mlp_manifest()
    skipped = (0, 1, 2, 3, 4, 60)

    def bad(tensor: TensorInfo, step: int) -> Sequence[float]:
        return (INF,) if tensor.role == "gradient" and step in skipped else ()

    with StreamWriter(logs / "loss_scaling" / SUBDIRECTORY, Stream("0a03"), manifest) as writer:
        for first in range(0, 96, 8):
            writer.write(
                first,
                first + 7,
                mlp_values(manifest, bad, seed=2),
                scale_skipped=skipped,
                loss_scale=2.0 ** (15 - sum(step <= first + 7 for step in skipped)),
            )


def bad_checkpoint(logs: Path) -> None:
    """A weight is NaN before the first step."""
    manifest = mlp_manifest()

    def bad(tensor: TensorInfo, step: int) -> Sequence[float]:
        mine = tensor.role == "weight" and tensor.name == "mlp/dense_1/kernel"
        return (NAN, -INF) if mine else ()

    with StreamWriter(logs / "bad_checkpoint" / SUBDIRECTORY, Stream("0a04"), manifest) as writer:
        values = mlp_values(manifest, bad, seed=3)
        writer.write_initial(0, values(0))
        writer.write(0, 0, values)
        writer.write(1, 15, values)


def resumed(logs: Path) -> None:
    """Stopped at step 95 after a NaN at step 90, and resumed from the checkpoint of step 64."""
    manifest = mlp_manifest()
    folder = logs / "resumed" / SUBDIRECTORY

    def bad(tensor: TensorInfo, step: int) -> Sequence[float]:
        return (NAN,) if tensor.role == "loss" and step >= 90 else ()

    with StreamWriter(folder, Stream("0a05"), manifest) as writer:
        for first in range(0, 96, 16):
            writer.write(first, first + 15, mlp_values(manifest, bad, seed=4))
    with StreamWriter(folder, Stream("0a06"), manifest, START + 3600) as writer:
        for first in range(64, 160, 16):
            writer.write(first, first + 15, mlp_values(manifest, seed=4))


def workers(logs: Path) -> None:
    """Two workers of one run; the second sees an infinity at step 20."""
    for index, worker in enumerate(("worker0", "worker1")):
        manifest = mlp_manifest(worker=worker)

        def bad(tensor: TensorInfo, step: int, index: int = index) -> Sequence[float]:
            return (INF,) if index == 1 and tensor.role == "target" and step == 20 else ()

        folder = logs / "workers" / SUBDIRECTORY / worker
        with StreamWriter(folder, Stream(f"0a1{index}"), manifest, START + index) as writer:
            for first in range(0, 48, 16):
                writer.write(first, first + 15, mlp_values(manifest, bad, seed=5))


def replicas(logs: Path) -> None:
    """Two workers of two replicas each; the second replica of the first sees a NaN at step 9."""
    for index in range(2):
        manifest = mlp_manifest("Watcher", f"worker-{index}")
        tensors = [
            dataclasses.replace(tensor, replica=f"replica-{replica}")
            for replica in range(2)
            for tensor in manifest.tensors
        ]
        manifest = dataclasses.replace(manifest, tensors=tuple(tensors))

        def bad(tensor: TensorInfo, step: int, index: int = index) -> Sequence[float]:
            mine = (index, tensor.replica, tensor.role, step) == (0, "replica-1", "input", 9)
            return (NAN,) if mine else ()

        folder = logs / "replicas" / SUBDIRECTORY / f"worker-{index}"
        with StreamWriter(folder, Stream(f"0a2{index}"), manifest, START + index) as writer:
            for first in range(0, 32, 8):
                writer.write(first, first + 7, mlp_values(manifest, bad, seed=6))


def every_hundredth(logs: Path) -> None:
    """`nanwatch.summary` of two tensors at every hundredth step; one has a hostile name."""
    names = ("encoder/attention/kernel", '<img src=x onerror=alert(1)>/"\x1b[31m\u202e&amp;\n')
    for index, name in enumerate(names):
        manifest = Manifest(
            (TensorInfo("gradient", "", name, (64,), "float16"),), "summary", "*by hand*"
        )
        stream = Stream("0a07", "gradient", name)

        def values(step: int, index: int = index) -> Values:
            array = np.random.default_rng([6, step]).standard_normal(64).astype(np.float16)
            array[:index] = INF if step >= 700 else 0
            return [array]

        with StreamWriter(logs / "every_hundredth", stream, manifest, START + index) as writer:
            for step in range(0, 1100, 100):
                writer.write(step, step, values)


def empty(logs: Path) -> None:
    """Killed before the first record."""
    with StreamWriter(logs / "empty" / SUBDIRECTORY, Stream("0a08"), mlp_manifest()):
        pass


GALLERY: tuple[Callable[[Path], None], ...] = (
    healthy,
    nan_feature,
    loss_scaling,
    bad_checkpoint,
    resumed,
    workers,
    every_hundredth,
    empty,
)


def write_gallery(logs: Path) -> Path:
    """Writes every run of the gallery into `logs`, and returns it."""
    for run in GALLERY:
        run(logs)
    return logs


if __name__ == "__main__":
    write_gallery(Path(sys.argv[1]))
