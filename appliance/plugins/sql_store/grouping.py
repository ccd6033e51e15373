"""Exact sums of columns by other columns: numbers for distinct values, then `bincount`.

Columns are joined to one number a row, by their distinct values where their range is large. Sums
are exact: where a float could lose a unit, octets are summed in two halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from appliance.flows import AnyArray, is_constant

IntArray = NDArray[np.int64]

LARGEST_SUM = 1 << 60
"""No stored sum is larger; what would be stays there."""

_EXACT = 1 << 53
_DENSE = 1 << 16
_HALF = 24


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
    codes, radix = _codes(columns)
    if codes is None:
        sums = np.array([[_total(octets), _total(packets), _flows(flows, len(octets))]])
        return Groups([column[:1] for column in columns], np.minimum(sums, LARGEST_SUM))
    index, first = _numbered(codes, radix)
    n = len(first)
    counted = np.bincount(index, minlength=n) if flows is None else _summed(index, flows, n)
    sums = np.column_stack((_summed(index, octets, n), _summed(index, packets, n), counted))
    return Groups([column[first] for column in columns], np.minimum(sums, LARGEST_SUM))


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


def _codes(columns: Sequence[AnyArray]) -> tuple[IntArray | None, int]:
    """Join the columns that vary to one number a row, and tell what it stays below."""
    codes: IntArray | None = None
    radix = 1
    for column in columns:
        if is_constant(column):
            continue
        low, high = int(column.min()), int(column.max())
        if low == high:
            continue
        if high - low < _DENSE:
            part, size = (column - column.dtype.type(low)).astype(np.int64), high - low + 1
        else:
            part, size = _encoded(column)
        if codes is None:
            codes, radix = part, size
            continue
        if radix * size >= 1 << 62:
            codes, radix = _encoded(codes)
        codes, radix = codes * size + part, radix * size
    return codes, radix


def _encoded(column: AnyArray) -> tuple[IntArray, int]:
    encoded = pa.array(column).dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), len(encoded.dictionary)


def _numbered(codes: IntArray, radix: int) -> tuple[IntArray, IntArray]:
    """Number the distinct codes; return the number of each row and one row of each number."""
    n_rows = len(codes)
    if radix <= _DENSE:
        used = np.bincount(codes, minlength=radix) > 0
        index = (np.cumsum(used) - 1)[codes]
        n = int(used.sum())
    else:
        encoded, n = _encoded(codes)
        index = encoded
    first = np.empty(n, np.int64)
    first[index] = np.arange(n_rows)
    return index, first


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


def _flows(flows: IntArray | None, n_rows: int) -> int:
    return n_rows if flows is None else int(flows.sum())
