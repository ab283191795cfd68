"""One tensor's histograms over time against a slow and obvious loop."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from tb_nanwatch.grid import column_edges, spectrogram, totals
from tb_nanwatch.reader.records import RecordHistograms
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.histogram import Histograms, bin_code
from tb_nanwatch.stats.record import empty_columns

Steps = npt.NDArray[np.int64]


@dataclass
class Placed:
    first: int
    valid_until: int
    bins: dict[tuple[int, int], int]

    @property
    def histogram(self) -> Histograms:
        counts = {bin_code(*key): count for key, count in self.bins.items()}
        codes = sorted(counts)
        return Histograms(
            np.array([len(codes)]),
            np.array(codes, np.int64),
            np.array([counts[code] for code in codes], np.int64),
        )


def chunk(records: list[Placed]) -> RecordHistograms:
    """The records as the reader gives them."""
    parts = [record.histogram for record in records]
    nothing = np.zeros(0, np.int64)
    return RecordHistograms(
        np.array([record.first for record in records], np.int64),
        np.array([record.valid_until for record in records], np.int64),
        Histograms(
            *(
                np.concatenate([nothing, *(getattr(part, name) for part in parts)])
                for name in ("lengths", "codes", "counts")
            )
        ),
    )


@dataclass
class Chunk:
    first: Steps
    last: Steps
    valid_until: Steps
    rows: Steps
    columns: npt.NDArray[np.float64]


bins = st.dictionaries(
    st.tuples(st.sampled_from([-1, 1]), st.integers(-149, 127)), st.integers(1, 10**9), max_size=5
)


@st.composite
def placed(draw: st.DrawFn) -> list[Placed]:
    steps = sorted(draw(st.sets(st.integers(0, 60), max_size=8)))
    ends = [*(step - 1 for step in steps[1:]), 70]
    return [
        Placed(first, draw(st.integers(first, end)), draw(bins))
        for first, end in zip(steps, ends, strict=False)
    ]


@given(placed(), st.integers(0, 40), st.integers(0, 40), st.integers(1, 90))
def test_every_element_is_in_the_columns_of_its_record(
    records: list[Placed], first: int, span: int, columns: int
) -> None:
    edges = column_edges(first, first + span, columns)
    found = spectrogram([chunk(records)], edges)
    assert found.counts.shape[0] == len(edges) - 1
    exponents = range(found.first_exponent, found.first_exponent + found.counts.shape[1])
    for column, (left, right) in enumerate(pairwise(edges.tolist())):
        expected = dict.fromkeys(exponents, 0)
        for record in records:
            if record.first < right and record.valid_until >= left:
                for (_, exponent), count in record.bins.items():
                    expected[exponent] += count
        assert found.counts[column].tolist() == list(expected.values())
    if found.counts.size:
        assert found.counts[:, [0, -1]].any(axis=0).all(), "No bin at the ends is empty."


@given(placed(), st.integers(0, 40), st.integers(0, 40), st.integers(1, 90))
def test_totals_are_of_the_same_records(
    records: list[Placed], first: int, span: int, columns: int
) -> None:
    edges = column_edges(first, first + span, columns)
    rows = np.tile(empty_columns(2), (len(records), 1, 1))
    for position, record in enumerate(records):
        rows[position, 1, COLUMN["zero"]] = sum(record.bins.values())
        rows[position, 1, COLUMN["sampled_elements"]] = position + 1
    first_steps = np.array([each.first for each in records], np.int64)
    valid_until = np.array([each.valid_until for each in records], np.int64)
    recorded = Chunk(first_steps, first_steps, valid_until, np.array([4, 7]), rows)
    sums = totals([recorded], 7, edges, ["zero", "sampled_elements"])
    assert np.array_equal(sums[:, 0], spectrogram([chunk(records)], edges).counts.sum(axis=1))
    for column, (left, right) in enumerate(pairwise(edges.tolist())):
        within = (first_steps < right) & (valid_until >= left)
        assert sums[column, 1] == (np.flatnonzero(within) + 1).sum()
    assert not totals([recorded], 5, edges, ["zero"]).any()


def test_nothing_recorded_is_no_column() -> None:
    edges = np.zeros(1, np.int64)
    assert spectrogram([], edges).counts.shape == (0, 0)
    assert totals([], 0, edges, ["zero", "subnormal"]).shape == (0, 2)
