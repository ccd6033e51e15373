"""Hours, days and months whose largest names are still to be made, and the making of them.

Storing a piece of the log marks the bins that it touches; for an hour, also where in the log its
flows begin and end. When an hour is over it is read from the log once more, a piece at a time so
that new flows do not wait, and the largest of all exporters and of each one are stored. Days are
made of the stored hours, months of the days. A flow that comes later marks its bins again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from appliance.flowlog import Cursor, FlowLogReader
from appliance.plugins.sql_store.bins import Size, bin_end, bin_start
from appliance.plugins.sql_store.classify import FLOW_COLUMNS, Classifier, Flows
from appliance.plugins.sql_store.configuration import StoreLimits
from appliance.plugins.sql_store.database import SqlDatabase
from appliance.plugins.sql_store.dimensions import ALL_EXPORTERS, LARGEST_ONLY, Dimension
from appliance.plugins.sql_store.exporters import Exporters
from appliance.plugins.sql_store.grouping import Groups, IntArray, grouped, regrouped
from appliance.plugins.sql_store.log_pieces import read_piece
from appliance.plugins.sql_store.stored_tops import read_tops, read_totals, write_tops
from appliance.plugins.sql_store.tops import (
    Accumulator,
    Tops,
    cells,
    merged,
    tops_from_groups,
    tops_from_rows,
)

_COLUMNS = "size, bin_start, first_segment, first_row, last_segment, last_row"
SMALLER = {Size.DAY: Size.HOUR, Size.MONTH: Size.DAY}
GRACE_SECONDS = 20
"""So long after its end a bin waits for flows that were received before it."""

QUIET_SECONDS = 180
"""So long after its end a bin is made although no later flow has come."""

HOUR_NAMES = 6
"""In an hour, so many times the names of a minute are counted, for all exporters together."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A bin to be made."""

    size: Size
    start: int
    first: Cursor
    last: Cursor

    @property
    def end(self) -> int:
        """The end of the bin."""
        return bin_end(self.size, self.start)


def mark_work(database: SqlDatabase, minutes: Iterable[int], first: Cursor, last: Cursor) -> None:
    """Note which bins a piece of the log has flows of."""
    given, conflict = database.dialect.given, database.dialect.conflict.format("size, bin_start")
    starts = {
        (int(size), bin_start(size, minute))
        for minute in minutes
        for size in (Size.HOUR, Size.DAY, Size.MONTH)
    }
    database.executemany(
        f"INSERT INTO work ({_COLUMNS}, done)"  # noqa: S608
        f" VALUES (?, ?, ?, ?, ?, ?, 0) {conflict} last_segment = {given.format('last_segment')},"
        f" last_row = {given.format('last_row')}, done = 0",
        [(*bin, *first, *last) for bin in sorted(starts)],
    )


def pending_work(database: SqlDatabase) -> list[WorkItem]:
    """Return the bins that are not made, small ones first, then by time."""
    rows = database.rows(
        f"SELECT {_COLUMNS} FROM work"  # noqa: S608
        " WHERE done = 0 ORDER BY size, bin_start"
    )
    return [
        WorkItem(Size(int(s)), int(start), Cursor(int(a), int(b)), Cursor(int(c), int(d)))
        for s, start, a, b, c, d in rows
    ]


def ready(items: list[WorkItem], open_minutes: Iterable[int], now: float) -> WorkItem | None:
    """Return the first bin that can be made now."""
    still_open = set(open_minutes)
    for item in items:
        if now < item.end + GRACE_SECONDS:
            continue
        filling = any(item.start <= minute < item.end for minute in still_open)
        if filling and now < item.end + QUIET_SECONDS:
            continue
        smaller = SMALLER.get(item.size)
        if any(i.size == smaller and item.start <= i.start < item.end for i in items):
            continue
        return item
    return None


def was_made(database: SqlDatabase, item: WorkItem) -> bool:
    """Tell whether a bin was final before, so that somebody may have kept it."""
    rows = database.rows(
        "SELECT 1 FROM rollup WHERE dimension = ? AND size = ? AND exporter = 0"
        " AND direction IN (0, 1) AND bin_start = ? LIMIT 1",
        (int(Dimension.PORT), int(item.size), item.start),
    )
    return bool(rows)


def finish(database: SqlDatabase, item: WorkItem) -> None:
    """Note that a bin is made."""
    database.execute(
        "UPDATE work SET done = 1 WHERE size = ? AND bin_start = ?", (int(item.size), item.start)
    )


@dataclass
class HourJob:
    """Reads one hour of the log; cells are exporter * 2 + direction."""

    item: WorkItem
    limits: StoreLimits
    position: Cursor = field(init=False)
    all: dict[Dimension, Accumulator] = field(default_factory=dict)
    each: dict[Dimension, Accumulator] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.position = self.item.first
        for dimension in LARGEST_ONLY:
            self.all[dimension] = Accumulator(2 * self.limits.group_names)
            self.each[dimension] = Accumulator(HOUR_NAMES * self.limits.group_names)

    @property
    def complete(self) -> bool:
        """Whether all of the hour is read."""
        return self.position >= self.item.last

    def read(
        self,
        reader: FlowLogReader,
        classifier: Classifier,
        exporters: Exporters,
        most: int,
        now: float,
    ) -> None:
        """Read a piece."""
        rows, self.position = read_piece(reader, self.position, most, FLOW_COLUMNS, self.item.last)
        flows = classifier.flows(rows) if rows else None
        if flows is None or not flows.n:
            return
        start, end = self.item.start, self.item.end
        inside = np.flatnonzero((flows.minutes >= start) & (flows.minutes < end))
        if len(inside) < flows.n:
            flows = flows.where(inside)
        ids = np.array(exporters.ids(flows.exporters, now) or [ALL_EXPORTERS], np.int64)
        self._add(flows, ids[flows.exporter] * 2 + flows.direction)

    def _add(self, flows: Flows, cell: IntArray) -> None:
        first = [flows.protocol.astype(np.uint64), flows.port.astype(np.uint64)]
        for dimension, names in (
            (Dimension.SOURCE, flows.source),
            (Dimension.DESTINATION, flows.destination),
            (Dimension.PORT, first),
        ):
            groups = grouped([cell, *names], flows.octets, flows.packets)
            direction = Groups([groups.columns[0] % 2, *groups.columns[1:]], groups.sums)
            self.all[dimension].add(regrouped(direction, range(3)))
            own = np.flatnonzero(groups.columns[0] // 2 != ALL_EXPORTERS)
            self.each[dimension].add(groups.where(own))

    def store(self, database: SqlDatabase) -> None:
        """Store the hour, in a transaction of the caller's."""
        start, end = self.item.start, self.item.end
        totals = read_totals(database, Size.HOUR, start, end)
        for dimension in LARGEST_ONLY:
            for accumulator, most in (
                (self.all[dimension], self.limits.top),
                (self.each[dimension], self.limits.top_per_exporter),
            ):
                groups = accumulator.groups()
                for cell, names in cells(groups) if groups else ():
                    total = totals.get((cell // 2, cell % 2, start), np.zeros(3, np.int64))
                    unseen = accumulator.unseen_of(cell, total)
                    tops = tops_from_groups(dimension, names, most, unseen, total)
                    place = (cell // 2, cell % 2, start)
                    if (accumulator.seen[cell] < total).any():
                        tops = _better(database, dimension, place, tops)
                    write_tops(database, dimension, Size.HOUR, place, tops)
        finish(database, self.item)


def make_from_smaller(database: SqlDatabase, item: WorkItem, limits: StoreLimits) -> None:
    """Make a day of its hours or a month of its days, in a transaction of the caller's."""
    totals = read_totals(database, item.size, item.start, item.end)
    for (exporter, direction, start), total in totals.items():
        most = limits.top if exporter == ALL_EXPORTERS else limits.top_per_exporter
        for dimension in LARGEST_ONLY:
            parts = read_tops(
                database,
                dimension,
                SMALLER[item.size],
                (exporter, direction),
                item.start,
                item.end,
            )
            tops = merged([*parts.values(), tops_from_rows(())], most, total)
            write_tops(database, dimension, item.size, (exporter, direction, start), tops)
    finish(database, item)


def _better(
    database: SqlDatabase, dimension: Dimension, place: tuple[int, int, int], tops: Tops
) -> Tops:
    """Return the stored hour where it knows more than the log has left, with what came since."""
    exporter, direction, start = place
    found = read_tops(database, dimension, Size.HOUR, (exporter, direction), start, start + 1)
    stored = found.get(start)
    if stored is None or (stored.unseen >= tops.unseen).any():
        return tops
    return merged([stored], len(stored.names) or 1, tops.total)
