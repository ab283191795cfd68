"""The usual level of a tensor, and the instability of cells, on histories that people know."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tb_nanwatch.grid import cells, column_edges, instability_cells, norm_history
from tb_nanwatch.grid.norms import NormHistory
from tb_nanwatch.reader.records import Records
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.instability import FEWEST, instability, usual_levels
from tb_nanwatch.stats.record import empty_columns

Matrix = npt.NDArray[np.float64]


def level(norms: npt.ArrayLike, finite: npt.ArrayLike | None = None) -> float:
    """The usual level of one tensor with a record a step."""
    values = np.asarray(norms, np.float64)[:, np.newaxis]
    all_finite = np.ones(values.shape, bool)
    if finite is not None:
        all_finite[:, 0] = finite
    with np.errstate(divide="ignore"):
        levels = usual_levels(np.arange(len(values)), np.log10(values), all_finite)
    return float(levels[0])


STEPS = np.arange(1000)
NOISE = 10 ** np.random.default_rng(0).normal(0, 0.15, 1000)


def test_a_tensor_that_stays_at_its_level_has_no_instability() -> None:
    assert level(np.full(1000, 0.01)) == -2
    assert level(NOISE) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("norms", "usual"),
    [
        pytest.param(np.where(STEPS < 300, 1, 10 ** ((STEPS - 300) / 20)), 0, id="explodes later"),
        pytest.param(10.0 ** (STEPS / 10), 0, id="explodes from the first step"),
        pytest.param(np.where(STEPS < 100, 1.0, 1e6), 0, id="explodes early and stays there"),
        pytest.param(np.where(STEPS == 500, 1e8, 1.0), 0, id="a spike"),
        pytest.param(np.where(STEPS == 0, 1e8, 1.0), 0, id="a spike at once"),
        pytest.param(10 ** (-STEPS / 2000), -0.25, id="a loss that decays"),
        pytest.param(10 ** (-STEPS / 100), -1, id="vanishes: some of it is usual"),
    ],
)
def test_the_level_is_that_before_the_trouble(norms: Matrix, usual: float) -> None:
    assert level(norms * NOISE) == pytest.approx(usual, abs=0.3)


def test_what_grows_from_zero_is_calm_soon() -> None:
    """Biases, moving averages and the slots of Adam begin at zero in every healthy run."""
    grown = 1 + STEPS
    departure = np.log10(grown) - level(grown)
    assert np.abs(departure[STEPS > 50]).max() < 1


def test_zeros_and_non_finite_records_do_not_move_the_level() -> None:
    norms = np.ones(40)
    norms[10:20] = 0
    norms[20:] = 1e-9  # What is left beside the NaN.
    assert level(norms, np.arange(40) < 20) == 0


def test_a_tensor_that_is_never_finite_has_the_level_of_its_finite_elements() -> None:
    assert level(np.full(20, 100.0), np.zeros(20, bool)) == 2


@pytest.mark.parametrize("norms", [[], [1.0] * (FEWEST - 1), [0.0] * 50, [np.nan] * 50])
def test_too_short_a_history_has_no_level(norms: list[float]) -> None:
    assert np.isnan(level(norms))


def test_without_a_level_a_norm_is_at_its_level() -> None:
    logs = np.array([3.0, -np.inf, np.nan])
    assert np.array_equal(instability(logs, np.full(3, np.nan)), [0, -np.inf, np.nan], True)
    assert np.array_equal(instability(logs, np.full(3, 1.0)), [2, -np.inf, np.nan], True)


def records(first: int, norms: Matrix, rows: tuple[int, ...] = (0,), width: int = 1) -> Records:
    """Records of `width` steps each with these largest norms, [records, rows]."""
    columns = np.tile(empty_columns(len(rows)), (len(norms), 1, 1))
    columns[..., COLUMN["steps"]] = columns[..., COLUMN["elements"]] = width
    columns[..., COLUMN["largest_norm"]] = norms
    begins = first + width * np.arange(len(norms))
    ends = begins + width - 1
    return Records(begins, ends, ends, np.array(rows), np.zeros((len(norms), 1)), columns)


def one_row(history: NormHistory, edges: list[int]) -> npt.NDArray[np.float32]:
    return instability_cells(history, np.array([0]), np.array(edges))[0]


def test_a_cell_has_the_value_farthest_from_zero() -> None:
    norms = np.ones((40, 1))
    norms[[10, 11, 30], 0] = 1e3, 1e-5, 1e4
    history = norm_history([records(0, norms)], 1)
    assert one_row(history, [0, 8, 16, 32, 40]) == pytest.approx([0, -5, 4, 0])
    assert one_row(history, [10, 11, 12]) == pytest.approx([3, -5])


def test_zero_is_a_value_of_its_own_only_where_there_is_nothing_else() -> None:
    norms = np.ones((20, 1))
    norms[8:] = 0
    norms[8] = 10
    cells_of = one_row(norm_history([records(0, norms)], 1), [0, 8, 10, 20, 25])
    assert np.array_equal(cells_of, np.float32([0, 1, -np.inf, np.nan]), equal_nan=True)


def test_a_tensor_in_several_streams_has_one_level() -> None:
    """As after a resume with another optimizer: other rows, the same tensor."""
    before, after = records(0, np.ones((30, 2)), (0, 1)), records(30, np.full((30, 1), 1e3))
    history = norm_history([after, before], 2)
    assert history.levels == pytest.approx([0, 0])
    assert one_row(history, [0, 30, 60]) == pytest.approx([0, 3])


@given(
    st.lists(st.sampled_from([0.0, 1e-30, 0.5, 1.0, 3.0, 1e30, np.inf, np.nan]), min_size=1),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_every_zoom_shows_the_same(norms: list[float], cut: int, columns: int) -> None:
    """A wide cell is the worst of the narrow ones; blocks of records make no difference."""
    column = np.array(norms)[:, np.newaxis]
    end = len(norms) - 1
    history = norm_history([records(0, column)], 1)
    parts = [records(0, column[:cut]), records(min(cut, end + 1), column[cut:])]
    assert norm_history(parts, 1).levels.tolist() == pytest.approx(
        history.levels.tolist(), nan_ok=True
    )
    each = one_row(history, list(range(len(norms) + 1)))
    edges = column_edges(0, end, columns)
    for value, begin, after in zip(
        one_row(history, edges.tolist()), edges, edges[1:], strict=False
    ):
        inside = each[begin:after]
        known = inside[~np.isnan(inside)]
        counted = known[~np.isneginf(known)]
        if len(counted):
            assert abs(value) == np.abs(counted).max()
        else:
            assert np.array_equal(value, known[0] if len(known) else np.float32(np.nan), True)


def test_cells_are_recorded_where_their_norms_are() -> None:
    chunk = records(5, np.ones((10, 1)), width=3)
    edges = column_edges(0, 40, 41)
    norm, _ = cells([chunk], np.array([0]), edges, "norm")
    value = instability_cells(norm_history([chunk], 1), np.array([0]), edges)
    assert np.array_equal(np.isnan(norm), np.isnan(value))
