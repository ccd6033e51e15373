"""Sums by name while a bin is open, of bounded size: what is let go stands in a bound.

Sums of pieces wait side by side until there are many, because adding them up hashes every name once
more. When too many names are left then, the smallest go; the largest sum that a name can have lost
by that is added to the error bound of its cell.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from appliance.plugins.rollups.cutting import Cut, cut, largest_by_cell
from appliance.plugins.rollups.grouping import (
    LARGEST_SUM,
    Groups,
    IntArray,
    join_groups,
    regroup,
)

TOO_MANY = 3
"""The smallest names go when there are so many times those to be kept: the largest by octets, by
packets and by flows can be so many."""

WAITING = 5
"""So many times the names to be kept wait before they are added up: 14 MB with the defaults."""

_NOTHING = np.zeros(3, np.int64)
ErrorBounds = dict[int, IntArray]


@dataclass
class Accumulator:
    """Sums by cell and name.

    Attributes
    ----------
    most
        So many names are kept by each measure when there are too many.
    error_bound
        By cell, what a name can have lost.
    seen
        By cell, the sums of all that was added.
    """

    most: int
    error_bound: ErrorBounds = field(default_factory=dict)
    seen: dict[int, IntArray] = field(default_factory=dict)
    _parts: list[Groups] = field(default_factory=list)
    _rows: int = 0
    _known: int = 0
    _summed: bool = False

    def add(self, groups: Groups, by_cell: Groups | None = None) -> None:
        """Add sums by (cell, name, name); a name may be there several times.

        Parameters
        ----------
        by_cell
            The same by cell only, when that is known.
        """
        by_cell = by_cell or regroup(groups, [0])
        for cell, sums in zip(by_cell.columns[0].tolist(), by_cell.sums, strict=True):
            self.seen[cell] = np.minimum(self.seen.get(cell, 0) + sums, LARGEST_SUM)
        if len(groups.sums):
            self._parts.append(groups)
            self._rows += len(groups.sums)
            self._summed = False
        if self._rows > self._known + WAITING * self.most:
            self.groups()

    def groups(self) -> Groups | None:
        """Return all sums, each name once; None without any."""
        if not self._parts or self._summed:
            return self._parts[0] if self._parts else None
        first = self._parts[0]
        every = range(len(first.columns))
        whole = join_groups(self._parts) if len(self._parts) > 1 else regroup(first, every)
        if len(whole.sums) > TOO_MANY * self.most:
            whole = self._cut(whole)
        self._parts, self._summed = [whole], True
        self._rows = self._known = len(whole.sums)
        return whole

    def error_bound_of(self, cell: int, total: IntArray | None = None) -> IntArray:
        """Return what a name of a cell can have beside its sum.

        Parameters
        ----------
        total
            Of the cell as it is known elsewhere: what was never added may be any name's.
        """
        error_bound = self.error_bound.get(cell, _NOTHING)
        if total is None:
            return error_bound
        missing = np.maximum(total - self.seen.get(cell, _NOTHING), 0)
        return np.asarray(error_bound + missing, np.int64)

    def _cut(self, whole: Groups) -> Groups:
        """Let the smallest names of the largest cells go."""
        parted = cut(whole, self.most)
        self._let_go(whole, parted)
        return whole.where(parted.kept)

    def _let_go(self, whole: Groups, parted: Cut) -> None:
        """Note what names can lose."""
        _add_largest(self.error_bound, parted.largest)


@dataclass
class ExporterAccumulator(Accumulator):
    """Sums by exporter * 2 + direction and name, from which those of all exporters follow.

    Attributes
    ----------
    error_bounds_together
        By direction, what a name can have lost of all exporters.
    """

    error_bounds_together: ErrorBounds = field(default_factory=dict)

    def together(self) -> tuple[Groups | None, Accumulator]:
        """Return the sums by direction over all exporters, and what is known of them."""
        groups = self.groups()
        known = Accumulator(self.most, error_bound=self.error_bounds_together)
        for cell, sums in self.seen.items():
            known.seen[cell % 2] = np.minimum(known.seen.get(cell % 2, 0) + sums, LARGEST_SUM)
        return by_direction(groups) if groups else None, known

    def _let_go(self, whole: Groups, parted: Cut) -> None:
        super()._let_go(whole, parted)
        together = by_direction(whole.where(parted.others))
        _add_largest(self.error_bounds_together, largest_by_cell(together))


def by_direction(groups: Groups) -> Groups:
    """Sum over exporters."""
    return regroup(without_exporter(groups), range(3))


def without_exporter(groups: Groups) -> Groups:
    """Put the direction in place of exporter * 2 + direction; names may then be there twice."""
    direction = (groups.columns[0] & 1).astype(np.uint8)
    return Groups([direction, *groups.columns[1:]], groups.sums)


def _add_largest(error_bound: ErrorBounds, largest: ErrorBounds) -> None:
    for cell, sums in largest.items():
        error_bound[cell] = np.minimum(error_bound.get(cell, _NOTHING) + sums, LARGEST_SUM)
