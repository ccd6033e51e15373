"""Sums of rows by several columns, in C: twin of `appliance.plugins.rollups.grouping`."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int64, c_uint64, c_void_p
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.flows import AnyArray, is_constant
from appliance.native.library import HASH_SEED, array_of, kernel

MOST_ROWS = (1 << 32) - 1
_WORD_BITS = 64
_MEASURES = 3
_ONE = np.ones(1, np.int64)

_WORDS, _NUMBERS = array_of(np.uint64), array_of(np.int64)
_GROUP_ROWS = kernel(
    "group_rows",
    c_int64,
    *(_NUMBERS, _NUMBERS, c_int64, _WORDS, c_int64, c_int64, c_void_p, c_uint64),
)
_COLUMN_OF_GROUPS = kernel(
    "column_of_groups", None, c_void_p, c_int64, c_int64, _WORDS, c_int64, c_void_p
)
_SUMS_OF_GROUPS = kernel("sums_of_groups", None, c_void_p, c_int64, c_int64, _NUMBERS)


class Part(NamedTuple):
    """Some of the rows to be grouped.

    Attributes
    ----------
    columns
        Integers of any size and stride, in the same order in every part.
    measures
        Octets, packets and flows, int64 and not negative; None is one each.
    """

    columns: Sequence[AnyArray]
    measures: Sequence[AnyArray | None]
    n_rows: int


class _Range(NamedTuple):
    """Lowest value of a column, and how many bits what is above it has."""

    low: int
    bits: int


def group_rows(parts: Sequence[Part]) -> tuple[list[AnyArray], NDArray[np.int64]]:
    """Group rows, together at least one and at most `MOST_ROWS`, and sum them up.

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
    by_column = list(zip(*(part.columns for part in parts), strict=True))
    ranges = [_range_of(columns) for columns in by_column]
    varying = [number for number, span in enumerate(ranges) if span.bits]
    places, n_words = _places([ranges[number] for number in varying])
    lengths = np.array([part.n_rows for part in parts], np.int64)
    width = n_words + _MEASURES
    groups = np.empty((int(lengths.sum()), width), np.uint64)
    count = _GROUP_ROWS(
        _sources(parts, varying),
        *(lengths, len(parts), places, len(varying), n_words, groups.ctypes.data, HASH_SEED),
    )
    if count < 0:
        raise MemoryError
    values: list[AnyArray] = [np.broadcast_to(columns[0][:1], (count,)) for columns in by_column]
    for number, place in zip(varying, places, strict=True):
        values[number] = column = np.empty(count, by_column[number][0].dtype)
        _COLUMN_OF_GROUPS(
            groups.ctypes.data, count, width, place, column.itemsize, column.ctypes.data
        )
    sums = np.empty((_MEASURES, count), np.int64)
    _SUMS_OF_GROUPS(groups.ctypes.data, count, width, sums)
    return values, sums


def _range_of(columns: Sequence[AnyArray]) -> _Range:
    """Return the range of a column, of which this is what each part has."""
    few = [column[:1] if is_constant(column) else column for column in columns]
    low = min(int(column.min()) for column in few)
    high = max(int(column.max()) for column in few)
    return _Range(low, (high - low).bit_length())


def _places(ranges: Sequence[_Range]) -> tuple[AnyArray, int]:
    """Put columns into as few words as it takes, the widest first.

    Returns
    -------
    tuple
        uint64, shape (n_columns, 4): lowest value, word, shift, bits; how many words there are.
    """
    places, used = np.zeros((len(ranges), 4), np.uint64), [0]
    for number in sorted(range(len(ranges)), key=lambda number: -ranges[number].bits):
        low, bits = ranges[number]
        fits = (word for word, taken in enumerate(used) if taken + bits <= _WORD_BITS)
        word = next(fits, len(used))
        if word == len(used):
            used.append(0)
        places[number] = low % (1 << _WORD_BITS), word, used[word], bits
        used[word] += bits
    return places, len(used)


def _sources(parts: Sequence[Part], varying: Sequence[int]) -> AnyArray:
    """Describe the columns and measures of each part: address, stride, size and sign."""
    arrays = [
        _ONE if array is None else array
        for part in parts
        for array in (*(part.columns[number] for number in varying), *part.measures)
    ]
    sources = np.empty((len(arrays), 3), np.int64)
    for place, array in enumerate(arrays):
        size = -array.itemsize if array.dtype.kind == "i" else array.itemsize
        sources[place] = array.ctypes.data, 0 if array is _ONE else array.strides[0], size
    return sources
