"""Storing the largest names of an hour, of one dimension: all exporters' in one pass.

Sources of NetFlow can be invented by the ten thousand, and each would have an hour of names to be
stored. So only so many exporters have names of their own (`with_names`). Of the others nothing is
stored here: their sums by protocol and application, their totals and the names of all exporters
together stay as exact as ever, and who asks for their names is told that the whole total can be any
name's.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.plugins.rollups.accumulator import Accumulator
from appliance.plugins.rollups.bins import Size
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS, Dimension
from appliance.plugins.rollups.grouping import Groups, IntArray
from appliance.plugins.rollups.many_tops import ManyTopN
from appliance.plugins.rollups.stored_tops import BinKey, read_tops, write_rows, write_tops
from appliance.plugins.rollups.tops import (
    TopN,
    merge_tops,
    name_of,
    places_by_value,
    top_n_from_groups,
    top_n_from_rows,
)
from appliance.sql.database import SqlDatabase

_NOTHING = np.zeros(3, np.int64)


def with_names(totals: Mapping[BinKey, IntArray], most: int) -> set[int]:
    """Return the exporters that have names of their own.

    Half of the places are for those that have been known longest, whom a flood of inventions does
    not push out; the others are for the largest by octets.

    Parameters
    ----------
    totals
        Of the hour; numbers of exporters ascend in the order in which they were first heard.
    """
    exporters = sorted({exporter for exporter, *_ in totals} - {ALL_EXPORTERS})
    if len(exporters) <= most:
        return set(exporters)
    known, others = exporters[: most // 2], exporters[most // 2 :]
    octets = dict.fromkeys(others, 0)
    for (exporter, *_), sums in totals.items():
        if exporter in octets:
            octets[exporter] += int(sums[0])
    return {*known, *heapq.nlargest(most - len(known), others, key=octets.__getitem__)}


@dataclass(frozen=True, slots=True)
class HourTops:
    """Names of an hour; cells are exporter * 2 + direction.

    Attributes
    ----------
    groups
        By cell and two columns, as `name_of` takes them.
    known
        What was added to the cells, and what their names can have lost.
    most
        So many names of a cell are kept, by each measure.
    """

    dimension: Dimension
    start: int
    groups: Groups | None
    known: Accumulator
    most: int

    def store(
        self, database: SqlDatabase, totals: Mapping[BinKey, IntArray], cells: Set[int]
    ) -> None:
        """Store the largest of some cells; an exporter without total was forgotten."""
        parts = [
            (cell, places)
            for cell, places in (places_by_value(self.groups.columns[0]) if self.groups else ())
            if cell in cells and self._bin(cell) in totals
        ]
        seen = np.array([self.known.seen[cell] for cell, _ in parts]).reshape(-1, 3)
        total = np.array([totals[self._bin(cell)] for cell, _ in parts]).reshape(-1, 3)
        is_whole = (seen == total).all(axis=1).tolist()
        self._store_whole(
            database, [part for part, whole in zip(parts, is_whole, strict=True) if whole]
        )
        odd = [part for part, whole in zip(parts, is_whole, strict=True) if not whole]
        tops = {
            self._bin(cell): self._odd_tops(database, cell, places, totals[self._bin(cell)])
            for cell, places in odd
        }
        write_tops(database, self.dimension, Size.HOUR, tops)

    def _store_whole(
        self, database: SqlDatabase, parts: Sequence[tuple[int, NDArray[np.intp]]]
    ) -> None:
        """Store cells of which everything that counts was added."""
        if self.groups is None or not parts:
            return
        names = self.groups.where(np.concatenate([places for _, places in parts]))
        place = np.repeat(np.arange(len(parts)), [len(places) for _, places in parts])
        error_bound = np.array([self.known.error_bound.get(cell, _NOTHING) for cell, _ in parts])
        total = np.array([self.known.seen[cell] for cell, _ in parts])
        many = ManyTopN(
            [self._bin(cell) for cell, _ in parts], place, names.sums, error_bound, total
        )

        def names_at(places: NDArray[np.intp]) -> list[str]:
            first, second = (column[places].tolist() for column in names.columns[1:])
            return [name_of(self.dimension, *pair) for pair in zip(first, second, strict=True)]

        rows = many.rows(self.most, names_at)
        write_rows(database, self.dimension, Size.HOUR, many.bins, rows)

    def _odd_tops(
        self, database: SqlDatabase, cell: int, places: NDArray[np.intp], total: IntArray
    ) -> TopN:
        """Return the largest of a cell to which more or less was added than counts."""
        seen = self.known.seen[cell]
        if self.groups is None or (seen > total).any():
            # Forgotten and heard again: which of these names came after that is not known.
            return merge_tops([top_n_from_rows(())], self.most, total)
        names = Groups(self.groups.columns[1:], self.groups.sums).where(places)
        error_bound = self.known.error_bound_of(cell, total)
        tops = top_n_from_groups(self.dimension, names, self.most, error_bound, total)
        exporter, direction, start = self._bin(cell)
        place = (exporter, direction)
        stored = read_tops(database, self.dimension, Size.HOUR, place, start, start + 1).get(start)
        if stored is None or (stored.error_bound >= tops.error_bound).any():
            return tops
        # The stored hour knows more than the log has left, though not what came since.
        return merge_tops([stored], len(stored.names) or 1, total)

    def _bin(self, cell: int) -> BinKey:
        return (cell // 2, cell % 2, self.start)
