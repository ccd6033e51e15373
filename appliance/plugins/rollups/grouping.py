"""Exact sums of columns by other columns, for each distinct combination of values.

A kernel in C does it (`appliance.native.grouping`), or numpy where there is none
(`packed_groups`); they differ in the order of groups only, on which nothing may depend.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.flows import AnyArray, is_constant
from appliance.native import grouping as native
from appliance.native.library import IS_AVAILABLE
from appliance.plugins.rollups.packed_groups import LARGEST_SUM, IntArray, group_in_numpy

__all__ = [
    "LARGEST_SUM",
    "Groups",
    "IntArray",
    "add_sums",
    "group_rows",
    "join_groups",
    "regroup",
    "saturate",
]

_HALF = 24


@dataclass(slots=True)
class Groups:
    """Distinct combinations of columns and their sums.

    Attributes
    ----------
    columns
        The columns grouped by, one value a group; of stride 0 where they do not vary.
    sums
        int64, shape (n_groups, 3): octets, packets, flows, each of them contiguous.
    """

    columns: list[AnyArray]
    sums: IntArray

    def where(self, chosen: NDArray[np.intp]) -> Groups:
        """Return the groups at these places."""
        sums = np.empty((3, len(chosen)), np.int64)
        for place in range(3):
            np.take(self.sums[:, place], chosen, out=sums[place])
        return Groups([_take(column, chosen) for column in self.columns], sums.T)


def group_rows(
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
    if IS_AVAILABLE:
        part = native.Part(columns, (octets, packets, flows), len(octets))
        values, sums = native.group_rows([part])
    else:
        values, sums = group_in_numpy(columns, octets, packets, flows)
    return Groups(values, sums.T)


def add_sums(sums: Sequence[IntArray] | IntArray) -> IntArray:
    """Add rows of sums up, shape (n, 3) to (3,); what exceeds `LARGEST_SUM` is that."""
    rows = np.asarray(sums, np.int64).reshape(-1, 3)
    low, high = (rows & ((1 << _HALF) - 1)).sum(axis=0), (rows >> _HALF).sum(axis=0)
    high += low >> _HALF
    whole = (np.minimum(high, LARGEST_SUM >> _HALF) << _HALF) + (low & ((1 << _HALF) - 1))
    return np.asarray(np.minimum(whole, LARGEST_SUM), np.int64)


def saturate(sums: Iterable[int]) -> IntArray:
    """Return whole numbers of any size as int64; what exceeds `LARGEST_SUM` is that."""
    return np.array([min(value, LARGEST_SUM) for value in sums], np.int64)


def join_groups(groups: Sequence[Groups]) -> Groups:
    """Put groups of the same columns together and sum up what occurs several times."""
    if len(groups) == 1:
        return groups[0]
    if IS_AVAILABLE and any(len(group.sums) for group in groups):
        parts = [
            native.Part(group.columns, tuple(group.sums.T), len(group.sums)) for group in groups
        ]
        values, sums = native.group_rows(parts)
        return Groups(values, sums.T)
    columns = [
        _concatenate(parts) for parts in zip(*(group.columns for group in groups), strict=True)
    ]
    measures = [np.concatenate([group.sums[:, place] for group in groups]) for place in range(3)]
    return group_rows(columns, *measures)


def regroup(groups: Groups, columns: Sequence[int]) -> Groups:
    """Group by some of the columns only."""
    sums = groups.sums
    kept = [groups.columns[column] for column in columns]
    return group_rows(kept, sums[:, 0], sums[:, 1], sums[:, 2])


def _take(column: AnyArray, chosen: NDArray[np.intp]) -> AnyArray:
    if is_constant(column) and len(column):
        return np.broadcast_to(column[:1], chosen.shape)
    return column[chosen]


def _concatenate(parts: Sequence[AnyArray]) -> AnyArray:
    filled = [part for part in parts if len(part)]
    if filled and all(is_constant(part) and part[0] == filled[0][0] for part in filled):
        return np.broadcast_to(filled[0][:1], (sum(len(part) for part in parts),))
    return np.concatenate(parts)
