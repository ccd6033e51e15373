"""Bringing the flow database back from the flow log: by hand, or after it was damaged.

The log reaches back less far than the sums. The first whole hour of which the log has everything
is the floor: bins from there on are dropped and filled again, bins before it stay, and the day and
the month that it lies in are put together from both. A damaged SQLite file is salvaged first (see
`salvage`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from pathlib import Path

from appliance.flowlog import Cursor, FlowLogReader
from appliance.plugins.rollups.bins import Size, Span, bin_start
from appliance.plugins.rollups.classify import Classifier, flow_columns
from appliance.plugins.rollups.dimensions import CAPPED, EXACT
from appliance.plugins.rollups.flow_tables import ROLLUP_KEY
from appliance.plugins.rollups.forgetting import number_list
from appliance.plugins.rollups.plugin_sums import extend_plugin_sums, plugin_dimensions
from appliance.plugins.rollups.progress import Progress, read_progress, write_progress
from appliance.plugins.rollups.questions import SATURATED_SUMS
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import (
    EVENT,
    ROLLUP,
    WORK,
)

log = logging.getLogger(__name__)

_SEARCHED_ROWS = 100_000
_KEY = ", ".join(ROLLUP_KEY)


def begin_rebuild(database: SqlDatabase, folder: Path, classifier: Classifier, now: float) -> str:
    """Drop what the flow log can bring back, so that the loader fills it again.

    Returns
    -------
    str
        What was done, for people.

    Raises
    ------
    StorageError
        The database or the log is away; nothing has changed.
    """
    first = _first_minute(folder, classifier)
    with database.transaction(write=True):
        before = read_progress(database, for_update=True)
        floor = _floor(database, first) if first is not None else 0
        if first is None:
            return "the flow log is empty: nothing to rebuild from"
        _drop(database, floor)
        until = max(before.flows, before.until) if before.oldest else Cursor()
        if not before.oldest and floor > bin_start(Size.HOUR, first):
            until = Cursor(last_segment(folder) + 1, 0)
        stored = database.rows(
            f"SELECT min(bin_start) FROM {ROLLUP} WHERE dimension = 0 AND size = ? AND exporter = 0"
            " AND direction IN (0, 1)",
            (int(Size.HOUR),),
        )[0][0]
        after = Progress(
            oldest=int(stored or 0),
            newest=max(0, min(before.newest, floor - 60)) if stored else 0,
            floor=floor,
            until=until,
            # Also of a database that begins anew nobody may have seen it yet.
            generation=max(before.generation, int(now)) + 1,
            counters=before.counters,
            highest_exporter=before.highest_exporter,
        )
        write_progress(database, after)
        extend_plugin_sums(database, floor)
        text = f"sums from {_utc(floor)} on are filled again from the flow log"
        note(database, now, text)
    return text


def note(database: SqlDatabase, now: float, text: str) -> None:
    """Keep what happened to the database, for `health`."""
    database.execute(f"INSERT INTO {EVENT} VALUES (?, ?)", (int(now), text[:500]))


def _first_minute(folder: Path, classifier: Classifier) -> int | None:
    """Return the minute of the first flow of the log."""
    if not (folder / "flows").is_dir():
        return None
    reader, cursor = FlowLogReader(folder), Cursor()
    while True:
        rows, after = reader.follow_rows(cursor, _SEARCHED_ROWS, False, flow_columns())
        if after == cursor:
            return None
        flows = classifier.flows(rows)
        if flows.n:
            return int(flows.minutes[0])
        cursor = after


def _floor(database: SqlDatabase, first: int) -> int:
    """Return from when on the log has everything that the database should have."""
    hour = bin_start(Size.HOUR, first)
    found = database.rows(
        f"SELECT count(*) FROM {ROLLUP} WHERE dimension = 0 AND size = ? AND exporter = 0"
        " AND direction IN (0, 1) AND bin_start >= ? AND bin_start < ?",
        (int(Size.QUARTER), hour, hour + 3600),
    )[0][0]
    return hour + 3600 if found else hour


def _drop(database: SqlDatabase, floor: int) -> None:
    database.execute(f"DELETE FROM {ROLLUP} WHERE bin_start >= ?", (floor,))
    database.execute(f"DELETE FROM {WORK} WHERE bin_start >= ?", (floor,))
    for size in (Size.DAY, Size.MONTH):
        start = bin_start(size, floor)
        if start == floor:
            continue
        database.execute(
            f"DELETE FROM {ROLLUP} WHERE size = ? AND bin_start = ?", (int(size), start)
        )
        _sum_up(database, size, Span(Size.QUARTER, start, floor), EXACT)
        capped = [*CAPPED, *plugin_dimensions(database)]
        _sum_up(database, size, Span(Size.HOUR, start, floor), capped)
        database.execute(
            f"REPLACE INTO {WORK} (size, bin_start, first_segment, first_row, last_segment,"
            " last_row, done) VALUES (?, ?, 0, 0, 0, 0, 0)",
            (int(size), start),
        )


def _sum_up(database: SqlDatabase, size: Size, parts: Span, dimensions: Iterable[int]) -> None:
    """Make the bin of a size that begins where these smaller ones begin."""
    database.execute(
        f"INSERT INTO {ROLLUP} ({_KEY}, octets, packets, flows)"
        f" SELECT dimension, ?, exporter, direction, ?, 0, name, {SATURATED_SUMS}"
        f" FROM {ROLLUP} WHERE size = ? AND dimension IN ({number_list(dimensions)})"
        " AND bin_start >= ? AND bin_start < ? GROUP BY dimension, exporter, direction, name",
        (int(size), parts.since, int(parts.size), parts.since, parts.until),
    )


def last_segment(folder: Path) -> int:
    """Return the number of the newest segment of a flow log."""
    cursor, reader = Cursor(), FlowLogReader(folder)
    while True:
        _, after = reader.follow_rows(cursor, 10**6, False, ["record_kind"])
        if after == cursor:
            return cursor.segment
        cursor = after


def _utc(moment: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))
