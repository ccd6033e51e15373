"""Final bins of the largest names, kept in memory by whoever answers questions.

A bin that is final does not change; what would change one also changes the generation in the
progress, and then everything is read anew. Names are numbered, so that the sums of a range are made
from arrays. What is missing is read in one query, one row for each bin: the drivers take longer for
a row than for a kilobyte.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.plugins.rollups.bins import Size, Span, bin_end
from appliance.plugins.rollups.dimensions import Dimension
from appliance.plugins.rollups.grouping import Groups, IntArray, add_sums, group_rows

MOST_ROWS = 3_000_000
"""Of all kept bins, 28 octets each; beyond that it begins anew."""

Bin = tuple[Dimension, int, int, int, Size, int]
"""Dimension, flag of the measure, exporter, direction, size, start."""

COLUMNS = (
    "size, direction, bin_start, group_concat(name), group_concat(octets), group_concat(packets),"
    " group_concat(flows)"
)


class Names(NamedTuple):
    """The largest names of a bin: numbers, sums, and what was cut off."""

    numbers: NDArray[np.int32]
    sums: IntArray
    threshold: IntArray


NO_NAMES = Names(np.zeros(0, np.int32), np.zeros((0, 3), np.int64), np.zeros(3, np.int64))


class BinCache:
    """Bins by what they are; call everything with `lock` held."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._bins: dict[Bin, Names] = {}
        self._generation = -1
        self._rows = 0

    def begin(self, generation: int) -> None:
        """Forget everything when it is of another generation, or too much."""
        too_much = self._rows > MOST_ROWS or len(self.names) > MOST_ROWS
        if generation != self._generation or too_much:
            self.names, self._numbers, self._bins = [], {}, {}
            self._generation, self._rows = generation, 0

    def missing(self, bins: Sequence[Bin]) -> list[Span]:
        """Return the spans that hold the bins which are not here."""
        found: list[Span] = []
        places = {(bin[4], bin[5]) for bin in bins if bin not in self._bins}
        for size, start in sorted(places, key=lambda place: (place[1], place[0])):
            end = bin_end(size, start)
            if found and found[-1].size == size and found[-1].until == start:
                found[-1] = Span(size, found[-1].since, end)
            else:
                found.append(Span(size, start, end))
        return found

    def read(
        self, kind: tuple[Dimension, int, int], rows: Sequence[tuple[object, ...]]
    ) -> dict[Bin, Names]:
        """Number the names of rows that were read with `COLUMNS`."""
        found = {}
        for size, direction, start, *texts in rows:
            names, *sums = (_text(text) for text in texts)
            numbers = [self._number(name) for name in names.split(",")]
            columns = [np.fromstring(text, np.int64, sep=",") for text in sums]
            place = (*kind, int(str(direction)), Size(int(str(size))), int(str(start)))
            found[place] = self._bin(np.array(numbers, np.int32), np.column_stack(columns))
        return found

    def keep(self, bins: Sequence[Bin], read: dict[Bin, Names]) -> None:
        """Keep final bins; those that were asked for and are not there are empty."""
        for bin in bins:
            if bin not in self._bins:
                self._bins[bin] = read.get(bin, NO_NAMES)
                self._rows += len(self._bins[bin].numbers) + 1

    def drop(self, bins: Iterable[Bin]) -> None:
        """Forget bins that are not final any more."""
        for bin in bins:
            if (names := self._bins.pop(bin, None)) is not None:
                self._rows -= len(names.numbers) + 1

    def get(self, bin: Bin) -> Names | None:
        """Return a bin that is kept."""
        return self._bins.get(bin)

    def _bin(self, numbers: NDArray[np.int32], sums: IntArray) -> Names:
        """Part the row without a name, which says what was cut off, from the others."""
        nobody = self._numbers.get("", -1)
        named = numbers != nobody
        threshold = add_sums(sums[~named])
        return Names(numbers[named], sums[named], threshold)

    def number(self, names: Sequence[str], sums: IntArray, threshold: IntArray) -> Names:
        """Number the names of sums that come from elsewhere and are not kept."""
        return Names(np.array([self._number(name) for name in names], np.int32), sums, threshold)

    def _number(self, name: str) -> int:
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number


def bins_of(
    kind: tuple[Dimension, int, int], spans: Sequence[Span], directions: Sequence[int]
) -> Iterator[Bin]:
    """List the bins of some spans."""
    for span in spans:
        start = span.since
        while start < span.until:
            for direction in directions:
                yield (*kind, direction, span.size, start)
            start = bin_end(span.size, start)


@dataclass(frozen=True, slots=True)
class Added:
    """Bins added up.

    Attributes
    ----------
    groups
        Sums by number of a name.
    threshold
        int64, shape (3,): what a name that is in none of the bins can have.
    bins
        What was added.
    """

    groups: Groups
    threshold: IntArray
    bins: Sequence[Names]

    def lacking(self, places: NDArray[np.intp]) -> IntArray:
        """Return what some groups can have in the bins that cut them off.

        Returns
        -------
        ndarray of int64, shape (len(places), 3)
        """
        numbers = np.concatenate([NO_NAMES.numbers, *(names.numbers for names in self.bins)])
        bins = np.repeat(np.arange(len(self.bins)), [len(names.numbers) for names in self.bins])
        place_of = np.full(int(numbers.max(initial=0)) + 1, -1)
        place_of[self.groups.columns[0][places]] = np.arange(len(places))
        found = place_of[numbers]
        some = np.flatnonzero(found >= 0)
        thresholds = np.array([names.threshold for names in self.bins], np.int64).reshape(-1, 3)
        covered = np.zeros((len(places), 3), np.int64)
        np.add.at(covered, found[some], thresholds[bins[some]])
        return np.asarray(np.maximum(self.threshold - covered, 0), np.int64)


def add_bins(bins: Sequence[Names]) -> Added:
    """Add up bins."""
    numbers = np.concatenate([NO_NAMES.numbers, *(names.numbers for names in bins)])
    sums = np.concatenate([NO_NAMES.sums, *(names.sums for names in bins)])
    threshold = add_sums([NO_NAMES.threshold, *(names.threshold for names in bins)])
    return Added(group_rows([numbers], *sums.T), threshold, bins)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
