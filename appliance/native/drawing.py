"""Priority sampling in C: twin of `appliance.flowlog.samples.drawing`."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_double, c_int64, c_uint64

import numpy as np

from appliance.flows import AnyArray
from appliance.native.library import array_of, kernel

_ABOVE = kernel(
    "priorities_above",
    c_int64,
    *(array_of(np.uint64), c_int64, array_of(np.uint64), c_int64, array_of(np.float64), c_int64),
    *(array_of(np.uint64), c_int64, c_uint64, c_double, array_of(np.int64), array_of(np.float64)),
)


def priorities_above(
    sized_by: Sequence[AnyArray], places: AnyArray, seed: int, lowest: float
) -> tuple[AnyArray, AnyArray]:
    """Find the rows whose priority is above a threshold.

    Parameters
    ----------
    sized_by
        Octets and flows, uint64, and sampling rates, float64: one for each row, or one of all.
    places
        uint64, where each row is in the log.

    Returns
    -------
    tuple
        int64 indices of rows, and their float64 priorities.
    """
    n_rows = len(places)
    indices, priorities = np.empty(n_rows, np.int64), np.empty(n_rows)
    columns = [part for column in sized_by for part in (column, int(column.ndim > 0))]
    count = _ABOVE(*columns, places, n_rows, seed, lowest, indices, priorities)
    return indices[:count], priorities[:count]
