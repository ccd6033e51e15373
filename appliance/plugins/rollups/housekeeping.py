"""What is done to the flow database now and then: old bins deleted, its health told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.errors import StorageError
from appliance.flowlog import Cursor, FlowLogReader
from appliance.flows import COLUMN, COLUMNS
from appliance.plugins.rollups.bins import Size, bin_start
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS, DIRECTIONS, Dimension
from appliance.plugins.rollups.forgetting import chunks, number_list
from appliance.plugins.rollups.plugin_sums import plugin_dimensions
from appliance.plugins.rollups.progress import read_progress
from appliance.plugins.rollups.work import pending_work
from appliance.sql import SQLITE
from appliance.sql.database import SqlDatabase
from appliance.sql.migrations import schema_version
from appliance.sql.table_names import EVENT, KNOWN_EXPORTER, ROLLUP, WORK

COUNTED_OCTETS = 64 * 1024 * 1024
"""In a larger database rows are not counted but estimated."""

ROW_OCTETS = 48
VACUUM_PAGES = 5_000
EVENTS_SHOWN = 20


def expire(database: SqlDatabase, limits: StoreLimits, now: float) -> int:
    """Delete bins past their time; return the number of rows."""
    deleted = 0
    with database.transaction():
        rows = database.rows(f"SELECT id FROM {KNOWN_EXPORTER}")
        of_plugins = plugin_dimensions(database)
    exporters = [ALL_EXPORTERS, *(int(row[0]) for row in rows)]
    for size in Size:
        oldest = int(now) - limits.retention_seconds(size)
        if oldest <= 0:
            continue
        with database.transaction(write=True):
            for dimension in (*Dimension, *of_plugins):
                for part in chunks(exporters):
                    deleted += database.execute(
                        f"DELETE FROM {ROLLUP} WHERE dimension = ? AND size = ?"
                        f" AND exporter IN ({number_list(part)})"
                        f" AND direction IN ({number_list(DIRECTIONS)}) AND bin_start < ?",
                        (int(dimension), int(size), bin_start(size, oldest)),
                    ).rowcount
            database.execute(
                f"DELETE FROM {WORK} WHERE size = ? AND bin_start < ?",
                (int(size), bin_start(size, oldest)),
            )
    if database.kind == SQLITE:
        database.vacuum(VACUUM_PAGES)
    return deleted


def health(database: SqlDatabase, log: Path, now: float) -> Mapping[str, Any]:
    """Return what an operator wants to know.

    Raises
    ------
    StorageError
        The database is away.
    """
    with database.transaction():
        progress = read_progress(database)
        pending = pending_work(database)
        events = database.rows(f"SELECT happened, content FROM {EVENT} ORDER BY happened DESC")
        octets = database.octets()
        version = schema_version(database, "flow")
        counted = octets <= COUNTED_OCTETS
        rows = database.rows(f"SELECT count(*) FROM {ROLLUP}")[0][0] if counted else 0
    return {
        "database": database.kind,
        "name": database.name,
        "schema_version": version,
        "octets": octets,
        "rows": int(rows) if counted else octets // ROW_OCTETS,
        "rows_are_estimated": not counted,
        "cursor": list(progress.flows),
        "lag_seconds": _lag_seconds(log, progress.flows, now),
        "oldest": progress.oldest,
        "newest": progress.newest,
        "refilling": progress.flows < progress.until,
        "bins_to_make": len(pending),
        "counters": dict(progress.counters),
        "names_gave_way": progress.names_gave_way,
        "events": [{"time": int(at), "text": str(text)} for at, text in events[:EVENTS_SHOWN]],
    }


def flow_log_columns() -> dict[str, dict[str, Any]]:
    """Describe the columns of the flow log under their names in SQL tables."""
    names = {column.sql_name: column for column in reversed(COLUMNS) if column.sql_name}
    return {str(column.sql_name): _column_json(column.name) for column in reversed(names.values())}


def _column_json(name: str) -> dict[str, Any]:
    column = COLUMN[name]
    kind, length = "int", None
    if name.endswith(("_hi", "_lo")):
        kind, length = "char", 45
    elif name.endswith("mac_address"):
        kind, length = "char", 17
    elif column.dtype.itemsize == 8:
        kind = "double" if column.dtype.kind == "f" else "bigint"
    return {"defaultValue": None, "type": kind, "maxLength": length, "nullable": True}


def _lag_seconds(log: Path, cursor: Cursor, now: float) -> float:
    """Return for how long the first record that is not stored has waited."""
    try:
        rows, _ = FlowLogReader(log).follow_rows(
            cursor, 1, columns=["collection_time_milliseconds"]
        )
    except (StorageError, FileNotFoundError):
        return 0.0
    if not rows:
        return 0.0
    waiting = rows[0].array("collection_time_milliseconds")[0].as_py() or 0
    return float(max(0.0, now - waiting / 1000))
