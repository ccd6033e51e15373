"""Sums of rows by several columns, in C: twin of `appliance.plugins.rollups.grouping`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ctypes import c_int64, c_uint64, c_void_p
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.flows import AnyArray
from appliance.native.library import HASH_SEED, kernel

_MEASURES = 3
_ONE = np.ones(1, np.int64)

# Most groups are few rows, so addresses are handed over as numbers: checking arrays took longer.
_PLAN_KEYS = kernel("plan_keys", c_int64, c_void_p, c_void_p, c_int64, c_int64, c_void_p)
_GROUP_ROWS = kernel(
    "group_rows",
    c_int64,
    *(c_void_p, c_void_p, c_int64, c_void_p, c_int64, c_int64, c_void_p, c_uint64),
)
_UNPACK_GROUPS = kernel(
    "unpack_groups",
    None,
    *(c_void_p, c_int64, c_int64, c_void_p, c_int64, c_void_p, c_void_p, c_void_p),
)


class Part(NamedTuple):
    """Some of the rows to be grouped.

    Attributes
    ----------
    columns
        Integers of any size and stride; those of one place have one dtype in all parts.
    measures
        Octets, packets and flows, int64 and not negative; None is one each.
    """

    columns: Sequence[AnyArray]
    measures: Sequence[AnyArray | None]
    n_rows: int


def group_rows(parts: Sequence[Part]) -> tuple[list[AnyArray], NDArray[np.int64]]:
    """Group rows, at least one and fewer than 2^32, and sum them up.

    Returns
    -------
    tuple
        The columns, one value for each group, of stride 0 where they do not vary, in the order in
        which groups appear first; sums, int64, shape (3, n_groups), at most 2^60.

    Raises
    ------
    MemoryError
        There is none for the table.
    """
    parts = [part for part in parts if part.n_rows]
    columns = parts[0].columns
    lengths = np.array([part.n_rows for part in parts], np.int64)
    # These arrays have to stay until the last kernel has returned.
    sources = np.array([_source(array) for part in parts for array in _arrays(part)], np.int64)
    places = np.empty((len(columns), 4), np.int64)
    rows = _address(sources), _address(lengths), len(parts)
    keys = _address(places), len(columns)
    n_words = _PLAN_KEYS(*rows, keys[1], keys[0])
    groups = np.empty((sum(part.n_rows for part in parts), n_words + _MEASURES), np.uint64)
    count = _GROUP_ROWS(*rows, *keys, n_words, _address(groups), HASH_SEED)
    if count < 0:
        raise MemoryError
    values = [
        np.empty(count, column.dtype) if bits else _repeated(column, count)
        for column, bits in zip(columns, places[:, 3].tolist(), strict=True)
    ]
    sums = np.empty((_MEASURES, count), np.int64)
    sizes = np.array([column.itemsize for column in values], np.int64)
    outputs = np.array([_address(column) for column in values], np.uint64)
    _UNPACK_GROUPS(
        *(_address(groups), count, n_words, *keys),
        *(_address(sizes), _address(outputs), _address(sums)),
    )
    return values, sums


def _arrays(part: Part) -> Iterable[AnyArray]:
    return (*part.columns, *(_ONE if array is None else array for array in part.measures))


def _source(array: AnyArray) -> tuple[int, int, int]:
    """Describe an array: address, stride, size and sign."""
    size = array.itemsize
    stride = 0 if array is _ONE else array.strides[0]
    return _address(array), stride, -size if array.dtype.kind == "i" else size


def _address(array: AnyArray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _repeated(column: AnyArray, n: int) -> AnyArray:
    """Return the first value n times, of stride 0 and without the rest of the column behind it."""
    return np.ndarray((n,), column.dtype, column[:1].copy(), 0, (0,))
