"""Names that stay when there are too many, and what the others are at most."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.plugins.rollups.cutting import SAMPLE, cut, fair_share, largest_by_cell
from appliance.plugins.rollups.grouping import Groups


def groups_of(cells: np.ndarray, *measures: np.ndarray) -> Groups:
    """Return names of cells with these octets, packets and flows."""
    return Groups([cells, np.arange(len(cells))], np.ascontiguousarray(measures, np.int64).T)


@pytest.mark.parametrize("far", [1, 10**9])
def test_cut_when_a_cell_has_too_many_then_its_largest_by_each_measure_stay(far: int) -> None:
    """A small cell keeps all; numbers of cells may be far apart."""
    cells = np.repeat(np.array([3, 3 + far]), [20, 2000])
    ascending, constant = np.arange(2020), np.ones(2020, int)
    groups = groups_of(cells, ascending, ascending[::-1], constant)
    parted = cut(groups, 120)
    assert sorted([*parted.kept, *parted.others]) == list(range(2020))
    kept = {int(cell): parted.kept[cells[parted.kept] == cell] for cell in (3, 3 + far)}
    assert len(kept[3]) == 20
    assert set(range(20, 120)) | set(range(1920, 2020)) == set(kept[3 + far].tolist())
    assert {cell: sums.tolist() for cell, sums in parted.largest.items()} == {
        3 + far: [1919, 1899, 1]
    }


def test_cut_when_there_are_more_than_are_sampled_then_about_so_many_stay() -> None:
    """Two cells take turns and share the room; the sample is right to some percent."""
    random = np.random.default_rng(7)
    n = 6 * SAMPLE
    groups = groups_of(np.arange(n) % 2, *random.integers(1, 1 << 40, (3, n)))
    parted = cut(groups, 20_000)
    for measure in range(3):
        sums = groups.sums[:, measure]
        least = int(np.partition(sums, -20_000)[-20_000])
        assert sums[parted.others].max() < least * 1.02
    assert len(parted.kept) < 3 * 20_000 * 1.1


def test_largest_when_of_cells_then_by_each_measure() -> None:
    """Rows of a cell stand apart, as they do after grouping."""
    groups = groups_of(np.array([1, 0, 1]), *np.array([[5, 2, 4], [1, 0, 9], [3, 1, 3]]))
    largest = {cell: sums.tolist() for cell, sums in largest_by_cell(groups).items()}
    assert largest == {0: [2, 0, 1], 1: [5, 9, 3]}


def test_share_when_cells_are_small_then_they_leave_their_room() -> None:
    """Three cells, of which one is small."""
    assert fair_share([10, 500, 500], 210) == 100
