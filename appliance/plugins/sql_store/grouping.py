"""Exact sums of columns by other columns: numbers for distinct values, then `bincount`.

Columns are joined to one number a row, by their distinct values where their range is large. Sums
are exact: where a float could lose a unit, octets are summed in two halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
_LARGEST_RADIX = 1 << 62


@dataclass(slots=True)
class Groups:
    """Distinct combinations of columns and their sums.

    Attributes
    ----------
    columns
        The columns grouped by, one value a group.
    sums
        int64, shape (n_groups, 3): octets, packets, flows.
    """

    columns: list[AnyArray]
    sums: IntArray

    def where(self, chosen: NDArray[Any]) -> Groups:
        """Return the groups at these places."""
        return Groups([column[chosen] for column in self.columns], self.sums[chosen])


def grouped(
    columns: Sequence[AnyArray], octets: IntArray, packets: IntArray, flows: IntArray | None = None
) -> Groups:
    """Group rows and sum them up.

    Parameters
    ----------
    columns
        At least one; integers.
    flows
        How many each row stands for; None for one each.
    """
    if not len(octets):
        return Groups([column[:0] for column in columns], np.zeros((0, 3), np.int64))
    mixed = _Mixed(len(octets))
    for column in columns:
        mixed.add(column)
    codes, used, size = mixed.numbered()
    if codes is None:
        counted = len(octets) if flows is None else int(flows.sum())
        sums = np.array([[_total(octets), _total(packets), counted]], np.int64)
    else:
        rows = np.bincount(codes, minlength=size)
        counts = rows if flows is None else _summed(codes, flows, size)
        sums = np.column_stack(
            (_summed(codes, octets, size), _summed(codes, packets, size), counts)
        )
        if used is None:
            used = np.flatnonzero(rows)
            sums = sums[used]
    return Groups(mixed.columns(used), np.minimum(sums, LARGEST_SUM))


def joined(groups: Sequence[Groups]) -> Groups:
    """Put groups of the same columns together and sum up what occurs several times."""
    if len(groups) == 1:
        return groups[0]
    columns = [
        np.concatenate(parts) for parts in zip(*(group.columns for group in groups), strict=True)
    ]
    sums = np.concatenate([group.sums for group in groups])
    return grouped(columns, sums[:, 0], sums[:, 1], sums[:, 2])


def regrouped(groups: Groups, columns: Sequence[int]) -> Groups:
    """Group by some of the columns only."""
    sums = groups.sums
    kept = [groups.columns[column] for column in columns]
    return grouped(kept, sums[:, 0], sums[:, 1], sums[:, 2])


class _Mixed:
    """Columns joined to one number a row, from which their values come back."""

    def __init__(self, n_rows: int) -> None:
        self.n_rows, self.radix = n_rows, 1
        self.codes: IntArray | None = None
        self._steps: list[_Step] = []

    def add(self, column: AnyArray) -> None:
        """Add a column; one that does not vary adds nothing to the numbers."""
        low = high = int(column[0])
        if not is_constant(column):
            low, high = int(column.min()), int(column.max())
        if low == high:
            self._steps.append(_Step(1, column[:1]))
            return
        step = _Step(high - low + 1, None, column.dtype.type(low))
        if high - low < _dense(self.n_rows):
            part = column if low == 0 else column - step.low
            part = part.astype(np.int64)
        else:
            part, values = _encoded(column - step.low, high - low + 1)
            step = _Step(len(values), values.astype(column.dtype) + step.low)
        if self.codes is None:
            self.codes, self.radix = part, step.size
        else:
            if self.radix * step.size >= _LARGEST_RADIX:
                self.codes, known = _encoded(self.codes, self.radix)
                self.radix = len(known)
                self._steps.append(_Step(0, known))
            self.codes = self.codes * step.size + part
            self.radix *= step.size
        self._steps.append(step)

    def numbered(self) -> tuple[IntArray | None, IntArray | None, int]:
        """Return a number for each row, what the numbers stand for (None: themselves), and below
        what they stay."""
        if self.codes is None or self.radix <= _dense(self.n_rows):
            return self.codes, None, self.radix
        codes, used = _encoded(self.codes, self.radix)
        return codes, used, len(used)

    def columns(self, used: IntArray | None) -> list[AnyArray]:
        """Return the values of the columns for some of the numbers."""
        left = np.zeros(1, np.int64) if used is None else used
        found: list[AnyArray] = []
        for step in reversed(self._steps):
            if step.size == 0 and step.values is not None:
                left = step.values[left]
                continue
            place = left % step.size
            left = left // step.size
            if step.values is not None:
                found.append(step.values[place])
            else:
                found.append(place.astype(step.low.dtype) + step.low)
        return found[::-1]


class _Step(NamedTuple):
    """One column in the numbers: how many values, and which; of size 0, a renumbering."""

    size: int
    values: AnyArray | None
    low: Any = None


def _dense(n_rows: int) -> int:
    """Return up to how many values are counted in a table of all of them."""
    return max(_SMALL, 2 * n_rows)


def _encoded(column: AnyArray, below: int) -> tuple[IntArray, AnyArray]:
    """Number the distinct values, which are not negative and below a limit."""
    narrow = column.astype(np.uint32) if below <= 1 << 32 else column
    encoded = pa.array(narrow).dictionary_encode()
    values = encoded.dictionary.to_numpy().astype(column.dtype)
    return encoded.indices.to_numpy().astype(np.int64), values


def _summed(index: IntArray, values: IntArray, n: int) -> IntArray:
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
