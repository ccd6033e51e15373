"""Which names stay when there are too many: about the largest of each cell by each measure.

Finding exactly the largest would sort all sums; so a sample says how large they are. A kernel in C
compares all of them with that (`appliance.native.cutting`), or numpy where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.flows import AnyArray, is_constant
from appliance.native import cutting as native
from appliance.native.library import IS_AVAILABLE
from appliance.plugins.rollups.grouping import LARGEST_SUM, Groups, IntArray
from appliance.plugins.rollups.tops import places_by_value

SAMPLE = 50_000
"""Among so many it is found how large the names to be kept are."""

_SAMPLED_CELLS = 50
"""Where more cells are cut, a sample would have too few of each."""

_NARROW = 1 << 20
"""Numbers of cells within such a range are not numbered anew."""


class Cut(NamedTuple):
    """Names parted into those that stay and those that go.

    Attributes
    ----------
    kept, others
        Their places.
    largest
        By cell, the largest sums of the others.
    """

    kept: NDArray[np.intp]
    others: NDArray[np.intp]
    largest: dict[int, IntArray]


def cut(groups: Groups, most: int) -> Cut:
    """Choose so many names of all cells by each measure, about; cells are the first column."""
    numbers, cells = _number_cells(groups.columns[0])
    counts = np.bincount(cells, minlength=len(numbers))
    share = fair_share([count for count in counts.tolist() if count], most)
    sums = np.ascontiguousarray(groups.sums.T)
    thresholds = _thresholds(sums, cells, counts > share, share)
    count_large, part_large = (
        (native.count_large, native.part_large) if IS_AVAILABLE else (count_in_numpy, part_in_numpy)
    )
    # Where many are as small as the last, none of these is worth more than another.
    many = count_large(sums, cells, thresholds) > 2 * share
    thresholds[many & (counts > share)[:, None]] += 1
    kept, others, largest = part_large(sums, cells, thresholds)
    return Cut(kept, others, _by_number(numbers, largest))


def largest_by_cell(groups: Groups) -> dict[int, IntArray]:
    """Return the largest sums of each cell."""
    numbers, cells = _number_cells(groups.columns[0])
    above = np.full((len(numbers), 3), LARGEST_SUM + 1, np.int64)
    part_large = native.part_large if IS_AVAILABLE else part_in_numpy
    _, _, largest = part_large(np.ascontiguousarray(groups.sums.T), cells, above)
    return _by_number(numbers, largest)


def fair_share(counts: Sequence[int], most: int) -> int:
    """Return how many each may have at most so that all have `most`; small ones leave the rest."""
    left, share = most, 0
    for place, count in enumerate(sorted(counts)):
        share = left // (len(counts) - place)
        if count > share:
            break
        left -= count
    return max(1, share)


def count_in_numpy(sums: AnyArray, cells: AnyArray, thresholds: AnyArray) -> AnyArray:
    """Count as `native.count_large` does."""
    counts = np.empty_like(thresholds)
    for measure in range(3):
        is_large = sums[measure] >= thresholds[cells, measure]
        counts[:, measure] = np.bincount(cells[is_large], minlength=len(thresholds))
    return counts


def part_in_numpy(
    sums: AnyArray, cells: AnyArray, thresholds: AnyArray
) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Part as `native.part_large` does."""
    is_large = np.zeros(len(cells), bool)
    for measure in range(3):
        is_large |= sums[measure] >= thresholds[cells, measure]
    others, largest = np.flatnonzero(~is_large), np.zeros_like(thresholds)
    for cell, places in places_by_value(cells[others]):
        largest[cell] = sums[:, others[places]].max(axis=1)
    return np.flatnonzero(is_large), others, largest


def _number_cells(column: AnyArray) -> tuple[IntArray, NDArray[np.uint32]]:
    """Return numbers of cells, some without rows, and the place of each row's among them."""
    if is_constant(column):
        return column[:1].astype(np.int64), np.zeros(len(column), np.uint32)
    low, high = int(column.min()), int(column.max())
    if high - low < _NARROW:
        return np.arange(low, high + 1), (column - column.dtype.type(low)).astype(np.uint32)
    numbers, cells = np.unique(column, return_inverse=True)
    return numbers.astype(np.int64), cells.astype(np.uint32)


def _thresholds(
    sums: IntArray, cells: NDArray[np.uint32], is_cut: NDArray[np.bool_], share: int
) -> IntArray:
    """Return how large the names to be kept are, by cell and measure: 0 where all are.

    A cell of which the sample has nothing, which is as good as impossible, keeps none.
    """
    thresholds = np.where(is_cut[:, None], LARGEST_SUM, np.zeros(3, np.int64))
    n_cut = int(np.count_nonzero(is_cut))
    step = max(1, len(cells) // SAMPLE) if n_cut <= _SAMPLED_CELLS else 1
    rows = _sample(len(cells), step)
    for cell, places in places_by_value(cells[rows]):
        if is_cut[cell]:
            rank = min(max(1, share // step), len(places))
            for measure in range(3):
                values = sums[measure, rows[places]]
                thresholds[cell, measure] = np.partition(values, -rank)[-rank]
    return thresholds


def _sample(n: int, step: int) -> NDArray[np.intp]:
    """Return a place in each so many rows: a random one, as cells may take turns."""
    rows = np.arange(0, n - step + 1, step)
    return rows + np.random.default_rng(n).integers(0, step, len(rows)) if step > 1 else rows


def _by_number(numbers: IntArray, largest: IntArray) -> dict[int, IntArray]:
    some = np.flatnonzero(largest.any(axis=1))
    return {int(numbers[cell]): largest[cell] for cell in some.tolist()}
