"""The largest names of a bin, and what is known of all others.

Of each bin the union of the N largest by octets, by packets and by flows is kept; `flags` of a row
says by which of them it is one. A row OTHER has the rest: rows + other = total. For each of the
three orders a row THRESHOLD has the largest value of each measure that a name without that flag can
have: that is by how much an answer in that order can be too low. While a bin has at most N names,
all are kept with all flags, other is zero and so is every threshold.

Bins are made exactly, from sums of names, or of smaller bins: a name that one of those does not
have may be there up to its threshold, so the thresholds add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from appliance.flows import AnyArray, address_text, is_constant
from appliance.plugins.rollups.dimensions import Dimension
from appliance.plugins.rollups.grouping import (
    LARGEST_SUM,
    Groups,
    IntArray,
    add_sums,
    group_rows,
)
from appliance.services import port_name

BY = (1, 2, 4)
"""Flags by octets, packets, flows."""

LARGEST = sum(BY)
OTHER = 8
THRESHOLD = 16

_SEARCHED = 8
"""The largest are looked for among one in so many first."""

StoredRow = tuple[int, str, int, int, int]
"""flags, name, octets, packets, flows"""


@dataclass(slots=True)
class TopN:
    """The largest names of one bin.

    Attributes
    ----------
    flags
        uint8, shape (n,).
    sums
        int64, shape (n, 3).
    threshold
        int64, shape (3, 3): order, measure.
    total
        int64, shape (3,).
    """

    names: list[str]
    flags: NDArray[np.uint8]
    sums: IntArray
    threshold: IntArray
    total: IntArray

    @property
    def error_bound(self) -> IntArray:
        """What a name that is not kept can have at most, by measure."""
        found: IntArray = self.threshold.diagonal()
        return found

    def rows(self) -> list[StoredRow]:
        """Return the rows to store, the last four those that are about no name."""
        columns = (self.flags.tolist(), self.names, *self.sums.T.tolist())
        other = np.maximum(self.total - add_sums(self.sums), 0).tolist()
        rows: list[StoredRow] = list(zip(*columns, strict=True))
        rows.append((OTHER, "", *other))
        return rows + [(THRESHOLD | BY[m], "", *self.threshold[m].tolist()) for m in range(3)]


def top_n_from_rows(rows: Sequence[StoredRow]) -> TopN:
    """Read the stored rows of one bin."""
    names = [row for row in rows if row[0] <= LARGEST]
    special = {row[0]: row[2:] for row in rows if row[0] > LARGEST}
    sums = np.array([row[2:] for row in names], np.int64).reshape(-1, 3)
    threshold = np.array([special.get(THRESHOLD | by, (0, 0, 0)) for by in BY], np.int64)
    other = np.array(special.get(OTHER, (0, 0, 0)), np.int64)
    flags = np.array([row[0] for row in names], np.uint8)
    return TopN([row[1] for row in names], flags, sums, threshold, add_sums([*sums, other]))


def top_n_from_groups(
    dimension: Dimension, groups: Groups, most: int, error_bound: IntArray, total: IntArray
) -> TopN:
    """Choose the largest of exact sums.

    Parameters
    ----------
    groups
        By two columns, as `name_of` takes them.
    error_bound
        What a name can have beside its sum at most, by measure.
    total
        Of the bin.
    """
    flags, threshold = flag_largest(groups.sums, most, error_bound)
    kept = np.flatnonzero(flags)
    first, second = (column[kept].tolist() for column in groups.columns)
    names = [name_of(dimension, *pair) for pair in zip(first, second, strict=True)]
    return TopN(names, flags[kept], groups.sums[kept], threshold, total)


def merge_tops(parts: Sequence[TopN], most: int, total: IntArray) -> TopN:
    """Make a bin of others."""
    names = pa.array([name for part in parts for name in part.names], pa.string())
    sums = np.concatenate([part.sums for part in parts])
    error_bound = add_sums([part.error_bound for part in parts])
    known = add_sums([part.total for part in parts])
    encoded = names.dictionary_encode()
    groups = group_rows([encoded.indices.to_numpy()], *sums.T)
    flags, threshold = flag_largest(groups.sums, most, error_bound + np.maximum(total - known, 0))
    kept = np.flatnonzero(flags)
    texts = encoded.dictionary.take(pa.array(groups.columns[0][kept])).to_pylist()
    return TopN(texts, flags[kept], groups.sums[kept], threshold, total)


def cells(groups: Groups) -> Iterator[tuple[int, Groups]]:
    """Part groups by their first column, which is then left out."""
    rest = Groups(groups.columns[1:], groups.sums)
    for cell, places in places_by_value(groups.columns[0]):
        yield cell, rest if len(places) == len(rest.sums) else rest.where(places)


def places_by_value(column: AnyArray) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Return each distinct value with its places, in order."""
    if not len(column):
        return
    if is_constant(column):
        yield int(column[0]), np.arange(len(column))
        return
    # Numbers of 16 bits are sorted by their octets, which takes a fraction of the time.
    few = int(column.min()) >= 0 and int(column.max()) < 1 << 16
    order = np.argsort(column.astype(np.uint16) if few else column, kind="stable")
    values = column[order]
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1])).tolist()
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        yield int(values[start]), order[start:end]


@lru_cache(maxsize=1 << 16)
def name_of(dimension: Dimension, first: int, second: int) -> str:
    """Return the text of an address (its halves), or of a port (protocol and number)."""
    if dimension is Dimension.PORT:
        return port_name(first, second)
    return address_text(first, second)


def flag_largest(
    sums: IntArray, most: int, error_bound: IntArray
) -> tuple[NDArray[np.uint8], IntArray]:
    """Flag the largest by each measure; return the flags and the thresholds, shape (3, 3)."""
    n = len(sums)
    flags = np.zeros(n, np.uint8)
    threshold = np.zeros((3, 3), np.int64)
    for measure, flag in enumerate(BY):
        if n <= most:
            flags |= np.uint8(flag)
            continue
        flags[_largest(sums[:, measure], most)] |= np.uint8(flag)
    for measure, flag in enumerate(BY):
        kept = np.flatnonzero(flags & flag)
        threshold[measure] = error_bound
        if len(kept) < n:
            threshold[measure] += [_largest_beside(sums[:, column], kept) for column in range(3)]
    return flags, np.minimum(threshold, LARGEST_SUM)


def _largest(values: IntArray, most: int) -> NDArray[np.intp]:
    """Return the places of the largest of more values than that."""
    few = values[: max(_SEARCHED * most, len(values) // _SEARCHED)]
    # What is largest among a part is not larger than what is largest of all.
    least = np.partition(few, -most)[-most]
    places = np.flatnonzero(values >= least)
    found: NDArray[np.intp] = places[np.argpartition(values[places], -most)[-most:]]
    return found


def _largest_beside(values: IntArray, kept: NDArray[np.intp]) -> int:
    """Return the largest of the values that are not kept; none is negative."""
    left = values.copy()
    left[kept] = 0
    return int(left.max())
