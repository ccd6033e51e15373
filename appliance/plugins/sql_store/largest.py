"""The largest sources, destinations and ports of a range, and how wrong the figures can be.

A range of all exporters is made of months, days and hours that are final, and of minutes. That of
a single exporter has no minutes: it consists of whole hours, and those that are not final (the
running one, and the last for a moment) are there as the loader wrote them last. Only rows that are
among the largest by the measure asked for are read, and with them, as a row without a name, the
largest value cut off. Flows that are counted but not yet written by name are in the error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appliance.plugins.sql_store.bin_cache import (
    COLUMNS,
    NO_NAMES,
    Bin,
    BinCache,
    Names,
    added,
    bins_of,
)
from appliance.plugins.sql_store.bins import Size, Span, bin_end, spans
from appliance.plugins.sql_store.configuration import StoreLimits
from appliance.plugins.sql_store.database import SqlDatabase
from appliance.plugins.sql_store.dimensions import ALL_EXPORTERS, Dimension
from appliance.plugins.sql_store.grouping import Groups
from appliance.plugins.sql_store.progress import Progress, read_progress
from appliance.plugins.sql_store.questions import (
    MEASURES,
    SUMS,
    ExactQuestions,
    Range,
    answer,
    bounds,
    kept_from,
)
from appliance.plugins.sql_store.tops import BY
from appliance.plugins.sql_store.work import pending_work
from appliance.stores import KeyedMeasure, Measure, MeasureName, Selection, TopAnswer

_ALL_SIZES = (Size.MINUTE, Size.HOUR, Size.DAY, Size.MONTH)
_WRITTEN = "exporter = ? AND flags < 16"
"""Names and the rest, without what says how much was cut off."""


@dataclass(frozen=True, slots=True)
class LargestRange:
    """Where the answer is.

    Attributes
    ----------
    stored
        In the database.
    unfinished
        Hours and larger bins that are not final.
    total
        Of all of it.
    unwritten
        What of the minutes no name has yet.
    generation
        Of the bins that are final.
    changing
        Bins that are not final.
    """

    stored: Range
    unfinished: list[Span]
    total: Measure
    unwritten: list[int]
    generation: int
    changing: frozenset[tuple[Size, int]]

    def final(self, size: Size, start: int) -> bool:
        """Tell whether a bin stays as it is."""
        return (size, start) not in self.changing


class LargestQuestions:
    """Answers about sources, destinations and ports."""

    def __init__(self, database: SqlDatabase, limits: StoreLimits, exact: ExactQuestions) -> None:
        self.database, self.limits, self.exact = database, limits, exact
        self.cache = BinCache()

    def top(
        self,
        dimension: Dimension,
        selection: Selection,
        by: MeasureName,
        limit: int | None,
        now: float,
    ) -> TopAnswer:
        """Return the largest names; four queries, six when an hour is not final."""
        with self.cache.lock, self.database.transaction():
            asked = self._range(selection, now)
            sums, cut = self._stored(dimension, asked, by)
            largest = self._largest(sums, by, limit)
            missing = self._unwritten(dimension, asked)
        error = [sum(parts) for parts in zip(cut, asked.unwritten, missing, strict=True)]
        rows = [KeyedMeasure(name, *values) for name, values in largest.items()]
        rows.sort(key=lambda row: (-getattr(row, by), -row.octets, -row.packets, row.key))
        return answer(rows, asked.total, Measure(*error))

    def _range(self, selection: Selection, now: float) -> LargestRange:
        progress = read_progress(self.database)
        changing = {(item.size, item.start) for item in pending_work(self.database)}
        sizes = _ALL_SIZES if selection.exporter is None else _ALL_SIZES[1:]
        since, until = bounds(selection, progress, now)
        parts = spans(
            since,
            min(until, progress.newest + 60),
            kept_from(self.limits, sizes, now),
            lambda size, start: (size, start) not in changing,
        )
        directions = (0, 1) if selection.direction is None else (int(selection.direction),)
        asked = Range(parts, selection.exporter or ALL_EXPORTERS, directions)
        unfinished = [
            Span(size, start, bin_end(size, start))
            for size, start in sorted(changing)
            if any(part.size is size and part.since <= start < part.until for part in parts)
        ]
        minutes = [part for part in parts if part.size is Size.MINUTE]
        total = self.exact.totals(asked)
        changing |= {(Size.MINUTE, start) for start in progress.open}
        # The next minute may begin before it is asked for again.
        changing |= {(Size.MINUTE, span.until - 60) for span in minutes}
        unwritten = _unwritten(progress, minutes)
        return LargestRange(
            asked, unfinished, total, unwritten, progress.generation, frozenset(changing)
        )

    def _unwritten(self, dimension: Dimension, asked: LargestRange) -> list[int]:
        """Return what came to bins that are not final since their names were written."""
        if not asked.unfinished:
            return [0, 0, 0]
        bins = Range(asked.unfinished, asked.stored.exporter, asked.stored.directions)
        found = self.exact.read(f"SELECT {SUMS}", dimension, bins, _WRITTEN)
        written = [sum(int(row[place] or 0) for row in found) for place in range(3)]
        total = self.exact.totals(bins)
        return [max(0, a - b) for a, b in zip(total, written, strict=True)]

    def _stored(
        self, dimension: Dimension, asked: LargestRange, by: MeasureName
    ) -> tuple[Groups, list[int]]:
        """Return the sums by number of a name, and what was cut off."""
        stored, cache = asked.stored, self.cache
        cache.begin(asked.generation)
        flag = BY[MEASURES.index(by)]
        kind = (dimension, flag, stored.exporter)
        bins = list(bins_of(kind, stored.spans, stored.directions))
        final = {bin for bin in bins if asked.final(bin[4], bin[5])}
        cache.drop(bin for bin in bins if bin not in final)
        missing = cache.missing(bins)
        read: dict[Bin, Names] = {}
        if missing:
            found = self.exact.statement(
                f"SELECT {COLUMNS}",
                dimension,
                Range(missing, stored.exporter, stored.directions),
                group="size, direction, bin_start",
                flags=flag,
            )
            read = cache.read(kind, self.database.rows(*found) if found else [])
            cache.keep([bin for bin in bins if bin in final], read)
        everything = (cache.get(bin) or read.get(bin, NO_NAMES) for bin in bins)
        sums, cut = added(list(everything))
        return sums, [int(value) for value in cut]

    def _largest(self, sums: Groups, by: MeasureName, limit: int | None) -> dict[str, list[int]]:
        """Name the largest, or all."""
        place = MEASURES.index(by)
        chosen = np.arange(len(sums.sums))
        if limit is not None and limit < len(chosen):
            octets, packets, _ = sums.sums.T
            least = np.partition(sums.sums[:, place], -limit)[-limit]
            chosen = np.flatnonzero(sums.sums[:, place] >= least)
            order = np.lexsort((-packets[chosen], -octets[chosen], -sums.sums[chosen, place]))
            chosen = chosen[order[:limit]]
        numbers, values = sums.columns[0][chosen].tolist(), sums.sums[chosen].tolist()
        names = (self.cache.names[number] for number in numbers)
        return dict(zip(names, values, strict=True))


def _unwritten(progress: Progress, minutes: list[Span]) -> list[int]:
    """Return what was counted of minutes since their names were written."""
    waiting = [
        sums
        for start, sums in progress.unwritten.items()
        if any(part.since <= start < part.until for part in minutes)
    ]
    return [sum(column) for column in zip([0, 0, 0], *waiting, strict=True)]
