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

from appliance.flowlog import FlowLogReader
from appliance.flows import address_halves
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
    SUMS,
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
Sums = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class LargestRange:
    """Where the answer is.

    Attributes
    ----------
    stored
        In the database.
    unfinished
        Hours that are to be read from the log.
    total
        Of all of it.
    unwritten
        What of it no name has yet.
    """

    stored: Range
    unfinished: list[WorkItem]
    total: Measure
    unwritten: list[int]


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

    def top(
        self,
        dimension: Dimension,
        selection: Selection,
        by: MeasureName,
        limit: int | None,
        now: float,
    ) -> TopAnswer:
        """Return the largest names; four queries, five when the log is read too."""
        with self.database.transaction():
            asked = self._range(selection, now)
            partly = bool(asked.unfinished)
            sums = self._stored(dimension, asked.stored, by, None if partly else limit)
            address = self._address(asked.stored.exporter) if partly else None
        cut = sums.pop("", [0, 0, 0])
        error = [a + b for a, b in zip(cut, asked.unwritten, strict=True)]
        if address is not None:
            found, unread = self._logged(dimension, asked, address)
            for name, values in found.items():
                before = sums.get(name, [0, 0, 0])
                sums[name] = [a + b for a, b in zip(before, values, strict=True)]
            error = [a + b for a, b in zip(error, unread, strict=True)]
        rows = [KeyedMeasure(name, *values) for name, values in sums.items()]
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
        return LargestRange(asked, unfinished, self.exact.totals(asked), unwritten)

    def _stored(
        self, dimension: Dimension, asked: Range, by: MeasureName, limit: int | None
    ) -> Sums:
        flag = BY[MEASURES.index(by)]
        inner = self.exact.statement(
            "SELECT name, octets, packets, flows", dimension, asked, flags=flag
        )
        if inner is None:
            return {}
        sql, parameters = inner
        sql = (
            f"SELECT name, {SUMS} FROM ({sql}) AS found GROUP BY name"  # noqa: S608
            f" ORDER BY name = '' DESC, SUM({by}) DESC, SUM(octets) DESC, SUM(packets) DESC, name"
        )
        if limit is not None:
            sql += f" LIMIT {int(limit) + 1}"
        rows = self.database.rows(sql, parameters)
        return {str(name): [int(value) for value in values] for name, *values in rows}

    def _address(self, exporter: int) -> tuple[int, int] | None:
        rows = self.database.rows("SELECT address FROM known_exporter WHERE id = ?", (exporter,))
        return address_halves(str(rows[0][0])) if rows else None

    def _logged(
        self, dimension: Dimension, asked: LargestRange, address: tuple[int, int]
    ) -> tuple[Sums, list[int]]:
        """Sum up unfinished hours; return the sums and what of the totals was not read."""
        groups: list[Groups] = []
        reader, end = FlowLogReader(self.log), time.monotonic() + LOG_SECONDS
        left = LOG_ROWS
        for item in asked.unfinished:
            cursor = item.first
            while cursor < item.last and left > 0 and time.monotonic() < end:
                most = min(left, _PIECE_ROWS)
                rows, cursor = read_piece(reader, cursor, most, FLOW_COLUMNS, item.last)
                left -= sum(piece.n_rows for piece in rows)
                flows = self.classifier.flows(rows, address)
                inside = (flows.minutes >= item.start) & (flows.minutes < item.end)
                inside &= np.isin(flows.direction, asked.stored.directions)
                groups.append(_by_name(dimension, flows.where(np.flatnonzero(inside))))
        whole = joined(groups) if groups else None
        total = self._unfinished_total(asked)
        if whole is None:
            return {}, total
        names = zip(*(column.tolist() for column in whole.columns), strict=True)
        texts = [name_of(dimension, *pair) for pair in names]
        unread = np.maximum(np.array(total) - whole.sums.sum(axis=0), 0)
        return dict(zip(texts, whole.sums.tolist(), strict=True)), unread.tolist()

    def _unfinished_total(self, asked: LargestRange) -> list[int]:
        parts = [Span(Size.HOUR, item.start, item.end) for item in asked.unfinished]
        only = Range(parts, asked.stored.exporter, asked.stored.directions)
        with self.database.transaction():
            return list(self.exact.totals(only))


def _by_name(dimension: Dimension, flows: Flows) -> Groups:
    names = {
        Dimension.SOURCE: flows.source,
        Dimension.DESTINATION: flows.destination,
        Dimension.PORT: (flows.protocol.astype(np.uint64), flows.port.astype(np.uint64)),
    }
    return grouped(list(names[dimension]), flows.octets, flows.packets)
