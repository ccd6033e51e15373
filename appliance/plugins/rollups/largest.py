"""The largest sources, destinations and ports of a range, and how wrong the figures can be.

A range of all exporters is made of months, days and hours that are final, and of minutes. That of
a single exporter has no minutes: it consists of whole hours, of which those that are not final (the
running one, and the last for a moment) are there as the loader wrote them last; what it has of an
hour that is not whole is asked of the flow log (`log_names`). Only rows that are among the largest
by the measure asked for are read, and with them, as a row without a name, the largest value cut
off. Flows that are counted but not yet written by name are said beside.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import MEASURES, KeyedMeasure, Measure, MeasureName, Selection, TopAnswer
from appliance.plugins.rollups.bin_cache import (
    COLUMNS,
    NO_NAMES,
    Added,
    Bin,
    BinCache,
    Names,
    add_bins,
    bins_of,
)
from appliance.plugins.rollups.bins import Size, Span, bin_ceiling, bin_end, bin_start, spans
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS, Dimension
from appliance.plugins.rollups.grouping import IntArray, add_sums, saturate
from appliance.plugins.rollups.log_names import LogNames, LogQuestions
from appliance.plugins.rollups.progress import Progress, read_progress
from appliance.plugins.rollups.questions import (
    SUMS,
    ExactQuestions,
    Range,
    answer,
    bounds,
    oldest_starts,
)
from appliance.plugins.rollups.tops import BY
from appliance.plugins.rollups.work import pending_work
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import KNOWN_EXPORTER

NAMED_SIZES = (Size.MINUTE, Size.HOUR, Size.DAY, Size.MONTH)
_WRITTEN = "exporter = ? AND flags < 16"
"""Names and the rest, without what says how much was cut off."""


@dataclass(frozen=True, slots=True)
class PartHours:
    """What of a range of one exporter is no whole hour.

    Attributes
    ----------
    whole
        The selection without these parts.
    spans
        Of minutes.
    names
        What the flow log has of each.
    missing
        What the flow log lacks of them, by measure.
    """

    whole: Selection
    spans: list[Span]
    names: list[LogNames]
    missing: IntArray


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

    def __init__(
        self,
        database: SqlDatabase,
        limits: StoreLimits,
        exact: ExactQuestions,
        log: LogQuestions,
    ) -> None:
        self.database, self.limits, self.exact, self.log = database, limits, exact, log
        self.cache = BinCache()

    def top(
        self,
        dimension: Dimension,
        selection: Selection,
        by: MeasureName,
        limit: int | None,
        now: float,
    ) -> TopAnswer:
        """Return the largest names; four queries, six when an hour is not final, and one more
        where one exporter has bins without names.

        Raises
        ------
        QueryError
            The range of one exporter is no whole hours and the flow log cannot be asked.
        """
        parts = self._part_hours(dimension, selection, by, now)
        with self.cache.lock, self.database.transaction():
            asked = self._range(parts, now)
            sums = self._add_stored(dimension, asked, by, parts.names)
            names = self.cache.names
            shown = _largest(sums.groups.sums, by, limit)
            numbers, values = (column[shown].tolist() for column in _columns(sums))
            rows = [KeyedMeasure(names[n], *row) for n, row in zip(numbers, values, strict=True)]
            missing = self._unwritten(dimension, asked)
        rows.sort(key=lambda row: (-getattr(row, by), -row.octets, -row.packets, row.key))
        error = error_bound(sums, shown, by, limit) + parts.missing
        pending = [sum(pair) for pair in zip(asked.unwritten, missing, strict=True)]
        return answer(rows, asked.total, Measure(*error.tolist()), Measure(*pending))

    def _part_hours(
        self, dimension: Dimension, selection: Selection, by: MeasureName, now: float
    ) -> PartHours:
        """Ask the flow log for what is no whole hour; outside of any transaction."""
        nothing = PartHours(selection, [], [], np.zeros(3, np.int64))
        ends = (selection.since, selection.until)
        if selection.exporter is None or not any((end or 0) % 3600 for end in ends):
            return nothing
        with self.database.transaction():
            progress = read_progress(self.database)
            whole, parts = split_hours(
                selection,
                progress,
                oldest_starts(self.limits, (Size.MINUTE,), now)[Size.MINUTE],
                now,
            )
            if not parts:
                return nothing
            asked = Range(parts, selection.exporter, _directions(selection))
            total = self.exact.totals(asked)
            addresses = self.database.rows(
                f"SELECT address FROM {KNOWN_EXPORTER} WHERE id = ?", (selection.exporter,)
            )
            if not addresses:
                return nothing  # It was forgotten meanwhile.
        names = [
            self.log.names(dimension, str(addresses[0][0]), asked.directions, span, by)
            for span in parts
        ]
        known = add_sums([part.total for part in names])
        return PartHours(whole, parts, names, np.maximum(saturate(total) - known, 0))

    def _range(self, hours: PartHours, now: float) -> LargestRange:
        selection = hours.whole
        progress = read_progress(self.database)
        changing = {(item.size, item.start) for item in pending_work(self.database)}
        sizes = NAMED_SIZES if selection.exporter is None else NAMED_SIZES[1:]
        since, until = bounds(selection, progress, now)
        parts = spans(
            since,
            min(until, progress.newest + 60),
            oldest_starts(self.limits, sizes, now),
            lambda size, start: (size, start) not in changing,
        )
        asked = Range(parts, selection.exporter or ALL_EXPORTERS, _directions(selection))
        unfinished = [
            Span(size, start, bin_end(size, start))
            for size, start in sorted(changing)
            if any(part.size is size and part.since <= start < part.until for part in parts)
        ]
        minutes = [part for part in parts if part.size is Size.MINUTE]
        total = self.exact.totals(replace(asked, spans=[*parts, *hours.spans]))
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
        written = [sum(row[place] for row in found) for place in range(3)]
        total = self.exact.totals(bins)
        return [max(0, a - b) for a, b in zip(total, written, strict=True)]

    def _add_stored(
        self,
        dimension: Dimension,
        asked: LargestRange,
        by: MeasureName,
        beside: Sequence[LogNames],
    ) -> Added:
        """Return the sums by number of a name, those of the flow log with them."""
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
            if stored.exporter != ALL_EXPORTERS:
                absent = {bin for bin in final if cache.get(bin) is None} - read.keys()
                read |= self._without_names(kind, missing, stored.directions, absent)
            cache.keep([bin for bin in bins if bin in final], read)
        everything = [cache.get(bin) or read.get(bin, NO_NAMES) for bin in bins]
        everything += [cache.number(part.names, part.sums, part.threshold) for part in beside]
        return add_bins(everything)

    def _without_names(
        self,
        kind: tuple[Dimension, int, int],
        spans: Sequence[Span],
        directions: tuple[int, ...],
        bins: Set[Bin],
    ) -> dict[Bin, Names]:
        """Return those of some bins that have flows but no names: all can be one name's.

        Such are those of exporters for whose names there was no room (see `hour_tops`).
        """
        if not bins:
            return {}
        asked = Range(list(spans), kind[-1], directions)
        select = "SELECT size, direction, bin_start, octets, packets, flows"
        statement = self.exact.statement(select, Dimension.TOTAL, asked)
        totals: dict[Bin, Names] = {}
        for size, direction, start, *sums in self.database.rows(*statement) if statement else []:
            bin = (*kind, int(direction), Size(int(size)), int(start))
            if bin in bins:
                threshold = np.array([int(value) for value in sums], np.int64)
                totals[bin] = NO_NAMES._replace(threshold=threshold)
        return totals


def split_hours(
    selection: Selection, progress: Progress, minutes_from: int, now: float
) -> tuple[Selection, list[Span]]:
    """Part a range into whole hours and the minutes before and after them.

    An hour whose missing part has no flows, because nothing is stored before or after the range, is
    a whole one.

    Parameters
    ----------
    minutes_from
        Since when sums of minutes are kept; before that, the range is widened to whole hours.
    """
    since, until = bounds(selection, progress, now)
    newest = progress.newest + 60
    since = bin_start(Size.MINUTE, since)
    until = bin_ceiling(Size.MINUTE, min(until, newest))
    if since >= until:
        return selection, []
    everything_before = since <= progress.oldest or since < minutes_from
    everything_after = until >= newest or until < minutes_from
    first = (bin_start if everything_before else bin_ceiling)(Size.HOUR, since)
    last = (bin_ceiling if everything_after else bin_start)(Size.HOUR, until)
    if first >= last:
        return replace(selection, since=first, until=first), [Span(Size.MINUTE, since, until)]
    pairs = ((since, first), (last, until))
    parts = [Span(Size.MINUTE, start, end) for start, end in pairs if start < end]
    return replace(selection, since=first, until=last), parts


def error_bound(
    sums: Added, shown: NDArray[np.intp], by: MeasureName, limit: int | None
) -> IntArray:
    """Return by how much shown figures can be too low, and by how much others can exceed the last.

    Returns
    -------
    ndarray, shape (3,)
        By measure; the second is of the measure that the rows are ordered by.
    """
    if not sums.threshold.any():
        return np.zeros(3, np.int64)
    place = MEASURES.index(by)
    values, threshold = sums.groups.sums[:, place], int(sums.threshold[place])
    near = np.zeros(len(values), bool)
    least = 0
    if limit is not None and len(shown) == limit:
        least = int(values[shown].min())
        # Only what may exceed the last row is looked at closely.
        near = values + threshold > least
        near[shown] = False
    hidden = np.flatnonzero(near)
    lacking = sums.lacking(np.concatenate([shown, hidden]))
    error: IntArray = lacking[: len(shown)].max(axis=0, initial=0)
    possible = values[hidden] + lacking[len(shown) :, place]
    error[place] = max(int(error[place]), threshold - least, int(possible.max(initial=0)) - least)
    return error if least else np.maximum(error, sums.threshold)


def _columns(sums: Added) -> tuple[NDArray[np.int32], IntArray]:
    return sums.groups.columns[0], sums.groups.sums


def _directions(selection: Selection) -> tuple[int, ...]:
    return (0, 1) if selection.direction is None else (int(selection.direction),)


def _largest(sums: IntArray, by: MeasureName, limit: int | None) -> NDArray[np.intp]:
    """Return the places of the largest, or of all."""
    place = MEASURES.index(by)
    chosen = np.arange(len(sums))
    if limit is not None and limit < len(chosen):
        octets, packets, _ = sums.T
        least = np.partition(sums[:, place], -limit)[-limit]
        chosen = np.flatnonzero(sums[:, place] >= least)
        order = np.lexsort((-packets[chosen], -octets[chosen], -sums[chosen, place]))
        chosen = chosen[order[:limit]]
    return chosen


def _unwritten(progress: Progress, minutes: list[Span]) -> list[int]:
    """Return what was counted of minutes since their names were written."""
    waiting = [
        sums
        for start, sums in progress.unwritten.items()
        if any(part.since <= start < part.until for part in minutes)
    ]
    return [sum(column) for column in zip([0, 0, 0], *waiting, strict=True)]
