"""Priority sampling in C: twin of `appliance.flowlog.samples.period`.

A column is one value for each row, or one of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int64, c_uint64

import numpy as np

from appliance.flows import AnyArray
from appliance.native.library import HASH_SEED, array_of, kernel, with_strides

MOST_STRATA = 4096
"""Of one batch; more are left to the twin. A larger table would cost small batches more than it
saves."""

_U1, _U2, _U8, _F8 = (array_of(name) for name in ("u1", "u2", "u8", "f8"))
_STRATA = kernel(
    "strata",
    c_int64,
    *(_U8, c_int64, _U8, c_int64, _U1, c_int64, c_int64, _U8, _U2, c_int64, c_uint64),
)
_FLOWS_ABOVE = kernel(
    "flows_above",
    c_int64,
    *(_U1, c_int64, _U8, c_int64, _U8, c_int64, _F8, c_int64),
    *(_U8, _U2, _F8, c_int64, c_uint64, array_of("i8"), _F8),
)


def strata(columns: Sequence[AnyArray], n_rows: int) -> tuple[AnyArray, AnyArray] | None:
    """Find the strata of some rows.

    Parameters
    ----------
    columns
        Those that tell strata apart: uint64, uint64 and uint8.

    Returns
    -------
    tuple
        uint64 keys, each once, and uint16 places among them, one for each row; None for more than
        `MOST_STRATA`.
    """
    most = min(n_rows, MOST_STRATA)
    keys, codes = np.empty(most, np.uint64), np.empty(n_rows, np.uint16)
    count = _STRATA(*with_strides(columns), n_rows, keys, codes, most, HASH_SEED)
    if count == -2:
        raise MemoryError
    return None if count < 0 else (keys[:count], codes)


def flows_above(
    columns: Sequence[AnyArray],
    places: AnyArray,
    seed: int,
    codes: AnyArray,
    thresholds: AnyArray,
) -> tuple[AnyArray, AnyArray]:
    """Find the flows whose priority is above the threshold of their stratum.

    Parameters
    ----------
    columns
        The kind of record, uint8; octets and flows, uint64; the sampling rate, float64.
    places
        uint64, where each row is in the log.
    codes, thresholds
        uint16, the stratum of each row; float64, the threshold of each stratum.

    Returns
    -------
    tuple
        int64 indices of rows, and their float64 priorities.
    """
    n_rows = len(places)
    rows, priorities = np.empty(n_rows, np.int64), np.empty(n_rows)
    drawn = (places, codes, thresholds, n_rows, seed)
    count = _FLOWS_ABOVE(*with_strides(columns), *drawn, rows, priorities)
    return rows[:count], priorities[:count]
