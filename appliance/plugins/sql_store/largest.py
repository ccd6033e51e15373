"""The largest sources, destinations and ports of a range, and how wrong the figures can be.

A range of all exporters is made of months, days and hours that are final, and of minutes. That of
a single exporter has no minutes: it consists of whole hours, and those that are not final (the
running one, and the last for a moment) are summed up from the flow log itself, up to `LOG_ROWS`
records and `LOG_SECONDS`; what was not read then stands in the error. Only rows that are among the
largest by the measure asked for are read, and with them, as a row without a name, the largest value
cut off. Flows of the running minute that are counted but not yet written by name are in the error.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from appliance.flowlog import Cursor, FlowLogReader
from appliance.flows import address_halves
from appliance.plugins.sql_store.bin_cache import (
    COLUMNS,
    NO_NAMES,
    Bin,
    BinCache,
    Names,
    added,
    bins_of,
)
from appliance.plugins.sql_store.bins import Size, Span, spans
from appliance.plugins.sql_store.classify import FLOW_COLUMNS, Classifier, Flows
from appliance.plugins.sql_store.configuration import StoreLimits
from appliance.plugins.sql_store.database import SqlDatabase
from appliance.plugins.sql_store.dimensions import ALL_EXPORTERS, Dimension
from appliance.plugins.sql_store.grouping import Groups, grouped, joined
from appliance.plugins.sql_store.log_pieces import read_piece
from appliance.plugins.sql_store.progress import read_progress
from appliance.plugins.sql_store.questions import (
    MEASURES,
    ExactQuestions,
    Range,
    answer,
    bounds,
    kept_from,
)
from appliance.plugins.sql_store.tops import BY, name_of
from appliance.plugins.sql_store.work import WorkItem, pending_work
from appliance.stores import KeyedMeasure, Measure, MeasureName, Selection, TopAnswer

LOG_ROWS = 5_000_000
LOG_SECONDS = 4.0
_PIECE_ROWS = 500_000

_ALL_SIZES = (Size.MINUTE, Size.HOUR, Size.DAY, Size.MONTH)
MOST_HOURS = 64
"""So many unfinished hours of single exporters are kept, by dimension."""

Hour = tuple[Dimension, int, tuple[int, ...], int]
_NO_GROUPS = Groups([np.zeros(0, np.uint64)] * 2, np.zeros((0, 3), np.int64))
Sums = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class LargestRange:
    """Where the answer is.

    Attributes
    ----------
    stored
        In the database.
    unfinished, unfinished_total
        Hours that are to be read from the log, and what they have together.
    total
        Of all of it.
    unwritten
        What of it no name has yet.
    generation
        Of the bins that are final.
    changing
        Bins that are not final.
    """

    stored: Range
    unfinished: list[WorkItem]
    unfinished_total: Measure
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
        log: Path,
        classifier: Classifier,
    ) -> None:
        self.database, self.limits, self.exact = database, limits, exact
        self.log, self.classifier = log, classifier
        self.cache = BinCache()
        self._hours: dict[Hour, tuple[int, Cursor, Cursor, Groups]] = {}

    def top(
        self,
        dimension: Dimension,
        selection: Selection,
        by: MeasureName,
        limit: int | None,
        now: float,
    ) -> TopAnswer:
        """Return the largest names; at most four queries, five when the log is read too."""
        with self.cache.lock, self.database.transaction():
            asked = self._range(selection, now)
            sums, cut = self._stored(dimension, asked, by)
            partly = bool(asked.unfinished)
            largest = self._largest(sums, by, None if partly else limit)
            address = self._address(asked.stored.exporter) if partly else None
        error = [a + b for a, b in zip(cut, asked.unwritten, strict=True)]
        if address is not None:
            found, unread = self._logged(dimension, asked, address)
            for name, values in found.items():
                before = largest.get(name, [0, 0, 0])
                largest[name] = [a + b for a, b in zip(before, values, strict=True)]
            error = [a + b for a, b in zip(error, unread, strict=True)]
        rows = [KeyedMeasure(name, *values) for name, values in largest.items()]
        rows.sort(key=lambda row: (-getattr(row, by), -row.octets, -row.packets, row.key))
        return answer(rows[:limit], asked.total, Measure(*error))

    def _range(self, selection: Selection, now: float) -> LargestRange:
        progress = read_progress(self.database)
        items = {(item.size, item.start): item for item in pending_work(self.database)}
        single = selection.exporter is not None
        sizes = _ALL_SIZES[1:] if single else _ALL_SIZES
        since, until = bounds(selection, progress, now)
        parts = spans(
            since,
            min(until, progress.newest + 60),
            kept_from(self.limits, sizes, now),
            lambda size, start: (size, start) not in items,
        )
        directions = (0, 1) if selection.direction is None else (int(selection.direction),)
        asked = Range(parts, selection.exporter or ALL_EXPORTERS, directions)
        unfinished = [
            item
            for item in items.values()
            if single
            and any(
                p.size is item.size is Size.HOUR and p.since <= item.start < p.until for p in parts
            )
        ]
        minutes = [part for part in parts if part.size is Size.MINUTE]
        waiting = [
            sums
            for start, sums in progress.unwritten.items()
            if any(part.since <= start < part.until for part in minutes)
        ]
        unwritten = [sum(column) for column in zip([0, 0, 0], *waiting, strict=True)]
        total = self.exact.totals(asked)
        hours = [Span(Size.HOUR, item.start, item.end) for item in unfinished]
        unread = self.exact.totals(Range(hours, asked.exporter, directions))
        changing = {(Size.MINUTE, start) for start in progress.open} | items.keys()
        # The next minute may begin before it is asked for again.
        changing |= {(Size.MINUTE, span.until - 60) for span in minutes}
        return LargestRange(
            asked, unfinished, unread, total, unwritten, progress.generation, frozenset(changing)
        )

    def _stored(
        self, dimension: Dimension, asked: LargestRange, by: MeasureName
    ) -> tuple[Groups, list[int]]:
        """Return the sums by number of a name, and what was cut off."""
        stored, cache = asked.stored, self.cache
        cache.begin(asked.generation)
        flag = BY[MEASURES.index(by)]
        kind = (dimension, flag, stored.exporter)
        bins = list(bins_of(kind, stored.spans, stored.directions))
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
            cache.keep([bin for bin in bins if asked.final(bin[4], bin[5])], read)
        everything = (cache.get(bin) or read.get(bin, NO_NAMES) for bin in bins)
        sums, cut = added(list(everything))
        return sums, [int(value) for value in cut]

    def _largest(self, sums: Groups, by: MeasureName, limit: int | None) -> Sums:
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

    def _address(self, exporter: int) -> tuple[int, int] | None:
        rows = self.database.rows("SELECT address FROM known_exporter WHERE id = ?", (exporter,))
        return address_halves(str(rows[0][0])) if rows else None

    def _logged(
        self, dimension: Dimension, asked: LargestRange, address: tuple[int, int]
    ) -> tuple[Sums, list[int]]:
        """Sum up unfinished hours; return the sums and what of the totals was not read.

        What is found is kept, so that the next question reads only what came since.
        """
        end, left = time.monotonic() + LOG_SECONDS, LOG_ROWS
        groups: list[Groups] = []
        for item in asked.unfinished:
            key = (dimension, asked.stored.exporter, asked.stored.directions, item.start)
            before = self._hours.get(key)
            if before is None or before[:2] != (asked.generation, item.first):
                before = (asked.generation, item.first, item.first, _NO_GROUPS)
            cursor, found = before[2:]
            while cursor < item.last and left > 0 and time.monotonic() < end:
                most = min(left, _PIECE_ROWS)
                rows, cursor = read_piece(
                    FlowLogReader(self.log), cursor, most, FLOW_COLUMNS, item.last
                )
                left -= sum(piece.n_rows for piece in rows)
                flows = self.classifier.flows(rows, address)
                inside = (flows.minutes >= item.start) & (flows.minutes < item.end)
                inside &= np.isin(flows.direction, asked.stored.directions)
                found = joined([found, _by_name(dimension, flows.where(np.flatnonzero(inside)))])
            self._remember(key, (asked.generation, item.first, cursor, found))
            groups.append(found)
        whole = joined(groups)
        names = zip(*(column.tolist() for column in whole.columns), strict=True)
        texts = [name_of(dimension, *pair) for pair in names]
        unread = np.maximum(np.array(asked.unfinished_total) - whole.sums.sum(axis=0), 0)
        return dict(zip(texts, whole.sums.tolist(), strict=True)), unread.tolist()

    def _remember(self, key: Hour, found: tuple[int, Cursor, Cursor, Groups]) -> None:
        with self.cache.lock:
            self._hours.pop(key, None)
            self._hours[key] = found
            while len(self._hours) > MOST_HOURS:
                del self._hours[next(iter(self._hours))]


def _by_name(dimension: Dimension, flows: Flows) -> Groups:
    names = {
        Dimension.SOURCE: flows.source,
        Dimension.DESTINATION: flows.destination,
        Dimension.PORT: (flows.protocol.astype(np.uint64), flows.port.astype(np.uint64)),
    }
    return grouped(list(names[dimension]), flows.octets, flows.packets)
