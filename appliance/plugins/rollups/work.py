"""Hours, days and months whose largest names are still to be made, and the making of them.

Storing a piece of the log marks the bins that it touches; for an hour, also where in the log its
flows begin and end. When an hour is over, the largest of all exporters and of each one are stored
(see `hours`). Days are made of the stored hours, months of the days. A flow that comes later marks
its bins again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from appliance.flowlog import Cursor
from appliance.plugins.rollups.bins import Size, bin_end, bin_start
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import (
    ALL_EXPORTERS,
    DIRECTIONS,
    LARGEST_ONLY,
    Dimension,
)
from appliance.plugins.rollups.many_tops import merge_rows
from appliance.plugins.rollups.stored_tops import count_rows, read_rows, read_totals, write_rows
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import ROLLUP, WORK

_COLUMNS = "size, bin_start, first_segment, first_row, last_segment, last_row"
SMALLER = {Size.DAY: Size.HOUR, Size.MONTH: Size.DAY}
GRACE_SECONDS = 20
"""So long after its end a bin waits for flows that were received before it."""

QUIET_SECONDS = 180
"""So long after its end a bin is made although no later flow has come."""

MOST_ROWS = 200_000
"""A day or month is made of so many rows at a time, unless one exporter has more: 40 MB."""

MOST_EXPORTERS = 1000


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
        f"INSERT INTO {WORK} ({_COLUMNS}, done)"
        f" VALUES (?, ?, ?, ?, ?, ?, 0) {conflict} last_segment = {given.format('last_segment')},"
        f" last_row = {given.format('last_row')}, done = 0",
        [(*bin, *first, *last) for bin in sorted(starts)],
    )


def pending_work(database: SqlDatabase) -> list[WorkItem]:
    """Return the bins that are not made, small ones first, then by time."""
    rows = database.rows(f"SELECT {_COLUMNS} FROM {WORK} WHERE done = 0 ORDER BY size, bin_start")
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
        f"SELECT 1 FROM {ROLLUP} WHERE dimension = ? AND size = ? AND exporter = 0"
        " AND direction IN (0, 1) AND bin_start = ? LIMIT 1",
        (int(Dimension.PORT), int(item.size), item.start),
    )
    return bool(rows)


def finish(database: SqlDatabase, item: WorkItem) -> None:
    """Note that a bin is made."""
    database.execute(
        f"UPDATE {WORK} SET done = 1 WHERE size = ? AND bin_start = ?", (int(item.size), item.start)
    )


def make_from_smaller(database: SqlDatabase, item: WorkItem, limits: StoreLimits) -> None:
    """Make a day of its hours or a month of its days, in a transaction of the caller's.

    Exporters that have no names in any of these have none in it (see `hour_tops`).
    """
    totals = read_totals(database, item.size, item.start, item.end)
    smaller, span = SMALLER[item.size], (item.start, item.end)
    for dimension, direction in itertools.product(LARGEST_ONLY, DIRECTIONS):
        counts = count_rows(database, dimension, smaller, direction, span)
        exporters = {number for number, way, _ in totals if way == direction}
        named = [number for number in exporters if number in counts or number == ALL_EXPORTERS]
        unnamed = [(number, direction, item.start) for number in exporters.difference(named)]
        write_rows(database, dimension, item.size, unnamed, [])
        for part in _parts(named, counts):
            bins = {key: totals[key] for key in ((e, direction, item.start) for e in part)}
            stored = read_rows(database, dimension, smaller, (part, direction), span)
            most = limits.top if part == [ALL_EXPORTERS] else limits.top_per_exporter
            rows = merge_rows(stored, bins, most)
            write_rows(database, dimension, item.size, bins, rows)
    finish(database, item)


def _parts(exporters: Iterable[int], counts: Mapping[int, int]) -> Iterator[list[int]]:
    """Yield exporters that are made together, as many as have `MOST_ROWS`; all of them alone."""
    part: list[int] = []
    n_rows = 0
    for exporter in exporters:
        if exporter == ALL_EXPORTERS:
            yield [ALL_EXPORTERS]
            continue
        n_rows += counts.get(exporter, 0)
        if part and (n_rows > MOST_ROWS or len(part) == MOST_EXPORTERS):
            yield part
            part, n_rows = [], counts.get(exporter, 0)
        part.append(exporter)
    if part:
        yield part
