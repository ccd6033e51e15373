"""Which sums are large, in C: twin of `appliance.plugins.rollups.cutting`."""

from __future__ import annotations

from ctypes import c_int64

import numpy as np

from appliance.flows import AnyArray
from appliance.native.library import array_of, kernel

_NUMBERS, _CELLS = array_of(np.int64), array_of(np.uint32)
_COUNT_LARGE = kernel("count_large", None, _NUMBERS, _CELLS, c_int64, _NUMBERS, _NUMBERS)
_PART_LARGE = kernel(
    "part_large",
    c_int64,
    *(_NUMBERS, _CELLS, c_int64, _NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS),
)


def count_large(sums: AnyArray, cells: AnyArray, thresholds: AnyArray) -> AnyArray:
    """Count the rows that are at least as large as the threshold of their cell.

    Parameters
    ----------
    sums
        int64, shape (3, n_rows), contiguous.
    cells
        uint32, shape (n_rows,), each below n_cells.
    thresholds
        int64, shape (n_cells, 3).

    Returns
    -------
    ndarray
        int64, shape (n_cells, 3).
    """
    counts = np.zeros_like(thresholds)
    _COUNT_LARGE(sums, cells, len(cells), thresholds, counts)
    return counts


def part_large(
    sums: AnyArray, cells: AnyArray, thresholds: AnyArray
) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Part rows into those at least as large as a threshold by any measure, and others.

    Returns
    -------
    tuple
        int64 places of both, and the largest of the others by cell, int64, shape (n_cells, 3).
    """
    n_rows = len(cells)
    large, others = np.empty(n_rows, np.int64), np.empty(n_rows, np.int64)
    largest = np.zeros_like(thresholds)
    count = _PART_LARGE(sums, cells, n_rows, thresholds, large, others, largest)
    return large[:count], others[: n_rows - count], largest
