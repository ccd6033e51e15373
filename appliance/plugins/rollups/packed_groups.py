"""Groups of rows in numpy: the reference for the kernel in C, and what works where there is none.

The columns of a row are packed into one integer of at most 62 bits; a column whose range is too
wide for that is numbered by its distinct values first. Then `bincount` sums up by that integer, or
by its place in a table. Sums are exact: where a float could lose a unit, octets are summed in two
halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from appliance.flows import AnyArray, is_constant

IntArray = NDArray[np.int64]

LARGEST_SUM = 1 << 60
"""No stored sum is larger; what would be stays there."""

_EXACT = 1 << 53
_SMALL = 1 << 16
_HALF = 24
_MOST_BITS = 62
_WIDE_BITS = 40
"""A column of a wider range is numbered by its values, so that others fit beside it."""

_MIXES = tuple(
    np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93)
)
_FEW_BITS = 13
"""Fewer rows than this says are not worth a table."""


def group_in_numpy(
    columns: Sequence[AnyArray], octets: IntArray, packets: IntArray, flows: IntArray | None
) -> tuple[list[AnyArray], IntArray]:
    """Group at least one row, and sum up.

    Returns
    -------
    tuple
        The columns, one value for each group, of stride 0 where they do not vary; sums, int64,
        shape (3, n_groups). The order of groups is no particular one.
    """
    packed = _Packed(len(octets))
    for column in columns:
        packed.add(column)
    if packed.codes is None:
        counted = len(octets) if flows is None else _total(flows)
        sums = np.array([[_total(octets)], [_total(packets)], [counted]], np.int64)
        return packed.columns(np.zeros(1, np.int64)), sums
    places, known, size = packed.find_places(packed.codes)
    rows = np.bincount(places, minlength=size)
    used = np.flatnonzero(rows)
    sums = np.empty((3, len(used)), np.int64)
    for measure, values in enumerate((octets, packets, flows)):
        whole = rows if values is None else _sum_by_place(places, values, size)
        np.minimum(whole[used], LARGEST_SUM, out=sums[measure])
    return packed.columns(used if known is None else known[used]), sums


class _Packed:
    """Columns packed into one number a row, from which their values come back."""

    def __init__(self, n_rows: int) -> None:
        self.n_rows, self.bits = n_rows, 0
        self.codes: IntArray | None = None
        self._steps: list[_Step] = []

    def add(self, column: AnyArray) -> None:
        """Add a column; one that does not vary adds nothing to the numbers."""
        low = high = int(column[0])
        if not is_constant(column):
            low, high = int(column.min()), int(column.max())
        if low == high:
            self._steps.append(_Step(0, column[:1]))
            return
        step = _Step((high - low).bit_length(), None, column.dtype.type(low))
        part = column - step.low if low else column
        if step.bits > _WIDE_BITS:
            part, values = _encode(part, high - low + 1)
            step = _Step((len(values) - 1).bit_length(), values.astype(column.dtype) + step.low)
        self._append(np.asarray(part, np.int64), step)

    def _append(self, part: IntArray, step: _Step) -> None:
        if self.codes is None:
            self.codes, self.bits = part, step.bits
        else:
            if self.bits + step.bits > _MOST_BITS:
                self.codes, known = _encode(self.codes, 1 << self.bits)
                self.bits = (len(known) - 1).bit_length()
                self._steps.append(_Step(-1, known))
            self.codes = self.codes << step.bits
            self.codes |= part
            self.bits += step.bits
        self._steps.append(step)

    def find_places(self, codes: IntArray) -> tuple[IntArray, IntArray | None, int]:
        """Return a place for each row, the number at each place (None: the place itself), and how
        many places there are; some are empty."""
        if self.bits <= _dense_bits(self.n_rows):
            return codes, None, 1 << self.bits
        return _find_places(codes, 1 << self.bits)

    def columns(self, used: IntArray) -> list[AnyArray]:
        """Return the values of the columns for some of the numbers."""
        left = used
        found: list[AnyArray] = []
        for step in reversed(self._steps):
            if step.bits < 0 and step.values is not None:
                left = step.values[left]
                continue
            if step.bits == 0 and step.values is not None:
                found.append(np.broadcast_to(step.values, used.shape))
                continue
            place = left & ((1 << step.bits) - 1)
            left = left >> step.bits
            if step.values is not None:
                found.append(step.values[place])
            else:
                found.append(place.astype(step.low.dtype) + step.low)
        return found[::-1]


class _Step(NamedTuple):
    """One column in the numbers: its bits and values; of bits -1, a renumbering."""

    bits: int
    values: AnyArray | None
    low: Any = None


def _dense_bits(n_rows: int) -> int:
    """Return of how many bits numbers are at most that are counted in a table of all of them."""
    return max(_SMALL, 2 * n_rows).bit_length() - 1


def _find_places(codes: IntArray, below: int) -> tuple[IntArray, IntArray, int]:
    """Find a place for each distinct number, in one table after the other.

    In a table, the last number that comes to a place has it; rows with another one go on to the
    next. What is left after the last table is numbered without collisions, three times as slowly.
    """
    places, left, part = np.empty(0, np.int64), None, codes
    known: list[IntArray] = []
    offset = 0
    for factor in _MIXES:
        bits = len(part).bit_length() - 1
        if bits < _FEW_BITS:
            break
        found = ((part.view(np.uint64) * factor) >> np.uint64(64 - bits)).view(np.int64)
        table = np.empty(1 << bits, np.int64)
        table[found] = part
        missed = np.flatnonzero(table[found] != part)
        found += offset
        if left is None:
            places, left = found, missed
        else:
            places[left] = found
            left = left[missed]
        known.append(table)
        offset += len(table)
        part = part[missed]
    index, values = _encode(part, below)
    if left is None:
        return index, values, len(values)
    places[left] = index + offset
    known.append(values)
    return places, np.concatenate(known), offset + len(values)


def _encode(column: AnyArray, below: int) -> tuple[IntArray, AnyArray]:
    """Number the distinct values, which are not negative and below a limit."""
    narrow = column.astype(np.uint32) if below <= 1 << 32 else column
    encoded = pa.array(narrow).dictionary_encode()
    values = encoded.dictionary.to_numpy().astype(column.dtype)
    return encoded.indices.to_numpy().astype(np.int64), values


def _sum_by_place(index: IntArray, values: IntArray, n: int) -> IntArray:
    largest = int(values.max())
    if largest * len(values) < _EXACT:
        return np.bincount(index, values, n).astype(np.int64)
    # In two halves each sum stays below 2^53, unless one bin has more than a billion rows.
    low = np.bincount(index, values & ((1 << _HALF) - 1), n)
    high = np.bincount(index, values >> _HALF, n)
    whole = np.minimum(high, LARGEST_SUM >> _HALF).astype(np.int64) << _HALF
    return np.asarray(whole + low.astype(np.int64), np.int64)


def _total(values: IntArray) -> int:
    whole = int((values >> _HALF).sum()) << _HALF
    return min(whole + int((values & ((1 << _HALF) - 1)).sum()), LARGEST_SUM)
