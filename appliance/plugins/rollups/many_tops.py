"""The largest names of many bins at once: what `TopN` is of one.

With thousands of exporters most bins have a few names, all of which are kept; these are made a
column at a time. Only a bin with more names than are kept is looked at by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from appliance.plugins.rollups.grouping import LARGEST_SUM, Groups, IntArray, group_rows
from appliance.plugins.rollups.stored_tops import BinKey, BinRow
from appliance.plugins.rollups.tops import (
    BY,
    LARGEST,
    OTHER,
    THRESHOLD,
    flag_largest,
    places_by_value,
)

NamesAt = Callable[[NDArray[np.intp]], Sequence[str]]
"""Returns the texts of the names at some places."""


@dataclass(slots=True)
class ManyTopN:
    """The names of some bins with exact sums.

    Attributes
    ----------
    place
        int64, shape (n_names,): which of the bins each name is of, ascending.
    sums
        int64, shape (n_names, 3).
    error_bound
        int64, shape (n_bins, 3): what a name can have beside its sum at most.
    total
        int64, shape (n_bins, 3).
    """

    bins: Sequence[BinKey]
    place: IntArray
    sums: IntArray
    error_bound: IntArray
    total: IntArray

    def rows(self, most: int, names_at: NamesAt) -> list[BinRow]:
        """Return the rows to store: so many names of each bin by each measure, the rest as one."""
        flags, threshold = self._flags_and_thresholds(most)
        kept = np.flatnonzero(flags)
        columns = (self.place[kept], flags[kept], *self.sums[kept].T)
        own, *others = (column.tolist() for column in columns)
        rows: list[BinRow] = [
            (*self.bins[place], flag, name, *sums)
            for place, flag, name, *sums in zip(
                own, others[0], names_at(kept), *others[1:], strict=True
            )
        ]
        known = _sums_by(self.place[kept], self.sums[kept], len(self.bins))
        rest = np.maximum(self.total - known, 0).tolist()
        rows += [(*key, OTHER, "", *sums) for key, sums in zip(self.bins, rest, strict=True)]
        for order, by in enumerate(BY):
            thresholds = threshold[:, order].tolist()
            rows += [
                (*key, THRESHOLD | by, "", *c) for key, c in zip(self.bins, thresholds, strict=True)
            ]
        return rows

    def _flags_and_thresholds(self, most: int) -> tuple[NDArray[np.uint8], IntArray]:
        """Return the flags of each name, and the thresholds of each bin, shape (n_bins, 3, 3)."""
        flags = np.full(len(self.place), LARGEST, np.uint8)
        threshold = np.repeat(np.minimum(self.error_bound, LARGEST_SUM)[:, None], len(BY), axis=1)
        counts = np.bincount(self.place, minlength=len(self.bins))
        ends = np.cumsum(counts)
        for number in np.flatnonzero(counts > most).tolist():
            own = slice(int(ends[number] - counts[number]), int(ends[number]))
            flags[own], threshold[number] = flag_largest(
                self.sums[own], most, self.error_bound[number]
            )
        return flags, threshold


def merge_rows(
    stored: Sequence[BinRow], totals: Mapping[BinKey, IntArray], most: int
) -> list[BinRow]:
    """Make bins of smaller ones, as `tops.merge_tops` does one of them.

    Parameters
    ----------
    stored
        Rows of the smaller bins; those of an exporter without total, who was forgotten, are left
        out.
    totals
        Of the bins to be made.
    """
    bins = list(totals)
    index = {key[:2]: number for number, key in enumerate(bins)}
    exporters, directions, _, flags, names, *measures = (
        zip(*stored, strict=True) if stored else [()] * 8
    )
    pairs = zip(exporters, directions, strict=True)
    place = np.array([index.get(pair, -1) for pair in pairs], np.int64)
    flag = np.array(flags, np.int64)
    sums = np.array(measures, np.int64).T
    texts = pa.array(names, pa.string()).dictionary_encode()
    total = np.array(list(totals.values()), np.int64).reshape(-1, 3)
    error_bound = np.zeros_like(total)
    for order, by in enumerate(BY):
        at = (flag == THRESHOLD | by) & (place >= 0)
        error_bound[:, order] = _sums_by(place[at], sums[at], len(bins))[:, order]
    whole = (flag <= OTHER) & (place >= 0)
    error_bound += np.maximum(total - _sums_by(place[whole], sums[whole], len(bins)), 0)
    named = (flag <= LARGEST) & (place >= 0)
    codes = texts.indices.to_numpy().astype(np.int64)
    groups = _in_order(group_rows([place[named], codes[named]], *sums[named].T))
    many = ManyTopN(bins, groups.columns[0], groups.sums, error_bound, total)
    return many.rows(
        most, lambda at: texts.dictionary.take(pa.array(groups.columns[1][at])).to_pylist()
    )


def _in_order(groups: Groups) -> Groups:
    """Sort by the first column."""
    places = [places for _, places in places_by_value(groups.columns[0])]
    return groups.where(np.concatenate(places)) if places else groups


def _sums_by(place: IntArray, sums: IntArray, n: int) -> IntArray:
    """Return the sums of each of n places, shape (n, 3)."""
    result = np.zeros((n, 3), np.int64)
    groups = group_rows([place], *sums.T)
    result[groups.columns[0]] = groups.sums
    return result
