"""Reads what a training recorded, by TensorBoard's own event loader and apart from our reader."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from tb_nanwatch.format.histograms import unpack_histograms
from tb_nanwatch.format.manifest import Manifest, unpack_manifest
from tb_nanwatch.format.nonfinite_logs import NonfiniteLogs, unpack_nonfinite_logs
from tb_nanwatch.format.records import peek, unpack_record
from tb_nanwatch.format.rerun import Rerun, unpack_rerun
from tb_nanwatch.format.tags import Stream, parse_tag
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.record import Record


@dataclass
class Recorded:
    """Everything of ours in one directory, in the order of the files."""

    manifests: dict[int, Manifest] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    initial: list[Record] = field(default_factory=list)
    reruns: list[Rerun] = field(default_factory=list)
    logs: list[NonfiniteLogs] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    of_stream: dict[Stream, list[Record]] = field(default_factory=dict)

    def names(self, role: str) -> list[str]:
        """Names of the role's tensors, over all manifests."""
        return list(
            dict.fromkeys(
                tensor.name
                for manifest in self.manifests.values()
                for tensor in manifest.tensors
                if tensor.role == role
            )
        )

    def row(self, record: Record, role: str, name: str) -> int:
        tensors = self.manifests[int(record.field("manifest"))].tensors
        return next(
            row for row, each in enumerate(tensors) if (each.role, each.name) == (role, name)
        )

    def series(self, role: str, name: str, column: str) -> list[float]:
        """The column of one tensor in every record, in order."""
        return [
            float(record.columns[self.row(record, role, name), COLUMN[column]])
            for record in self.records
        ]

    def nonfinite(self) -> dict[tuple[str, str], int]:
        """First non-finite step by (role, name)."""
        first: dict[tuple[str, str], int] = {}
        for record in self.records:
            tensors = self.manifests[int(record.field("manifest"))].tensors
            steps = record.columns[:, COLUMN["first_nonfinite_step"]]
            for tensor, step in zip(tensors, steps, strict=True):
                if not np.isnan(step):
                    first.setdefault((tensor.role, tensor.name), int(step))
        return first

    def windows(self) -> list[tuple[int, int]]:
        return [
            (int(record.field("first_step")), int(record.field("last_step")))
            for record in self.records
        ]


def read_recorded(directory: Path) -> Recorded:
    """What stands in the event files of `directory`, now."""
    found = Recorded()
    for file in sorted(directory.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(file)).Load():
            parts: dict[str, np.ndarray] = {}
            stream = None
            for value in event.summary.value:
                tag = parse_tag(value.tag)
                if tag is None:
                    continue
                stream = tag.stream
                if tag.stream not in found.streams:
                    found.streams.append(tag.stream)
                    found.of_stream[tag.stream] = []
                if tag.kind == "manifest":
                    assert tag.manifest is not None
                    manifest = unpack_manifest(value.tensor.string_val[0])
                    found.manifests[int(tag.manifest, 16)] = manifest
                elif tag.kind == "rerun":
                    found.reruns.append(unpack_rerun(value.tensor.string_val[0]))
                elif tag.kind == "logs":
                    found.logs.append(unpack_nonfinite_logs(value.tensor.string_val[0]))
                else:
                    dtype = np.uint8 if tag.kind == "hist" else np.float64
                    shape = [dim.size for dim in value.tensor.tensor_shape.dim]
                    parts[tag.kind] = np.frombuffer(value.tensor.tensor_content, dtype).reshape(
                        shape
                    )
            for kind, target in (("stats", found.records), ("initial", found.initial)):
                if kind in parts:
                    packed = parts[kind]
                    record = unpack_record(packed, found.manifests[peek(packed)[1]])
                    histograms = unpack_histograms(parts["hist"]) if "hist" in parts else None
                    target.append(Record(record.window, record.columns, histograms))
                    if kind == "stats":
                        found.of_stream[stream].append(target[-1])
    return found
