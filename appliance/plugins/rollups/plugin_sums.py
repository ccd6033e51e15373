"""Sums by columns of plugins: which dimension each has, and from when on they are whole.

Plugins come and go, so the database numbers their columns itself. Sums of a column begin with the
first whole hour behind what was stored before, and end when a loader runs without the plugin: rows
of before stay, but nobody reads them. `appliance rebuild` begins them where it fills again.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from appliance.flows import Column, summed_columns
from appliance.plugins.rollups.bins import SECONDS, Size, bin_start
from appliance.plugins.rollups.dimensions import OF_PLUGINS, SummedColumns
from appliance.plugins.rollups.progress import Progress, read_progress
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import ROLLUP_COLUMN


def read_plugin_sums(database: SqlDatabase) -> list[SummedColumns]:
    """Return what is kept, as far as its plugins are loaded here; one query."""
    wanted = _wanted()
    return [
        SummedColumns(dimension, _names(wanted[name]), wanted[name][0].sums_kept, since)
        for name, (dimension, since) in _stored(database).items()
        if since is not None and name in wanted
    ]


def plugin_dimensions(database: SqlDatabase) -> list[int]:
    """Return the dimensions that have or had rows; one query."""
    return [dimension for dimension, _ in _stored(database).values()]


def update_plugin_sums(database: SqlDatabase) -> list[SummedColumns]:
    """Begin the sums of columns that are new, end those of columns that are gone, return the rest.

    To be called by the loader before it stores what it classified by the columns of now.
    """
    with database.transaction():
        is_changed = _kept(database) != _wanted().keys()
    if is_changed:
        with database.transaction(write=True):
            _end(database)
            _begin(database, read_progress(database, for_update=True))
    with database.transaction():
        return read_plugin_sums(database)


def extend_plugin_sums(database: SqlDatabase, floor: int) -> None:
    """Let sums begin where all is filled again from, in a transaction of the caller's."""
    database.execute(f"UPDATE {ROLLUP_COLUMN} SET since = ? WHERE since > ?", (floor, floor))


def _begin(database: SqlDatabase, progress: Progress) -> None:
    stored = _stored(database)
    free = max((dimension for dimension, _ in stored.values()), default=OF_PLUGINS.start - 1) + 1
    since = progress.floor
    if progress.newest:
        since = max(since, bin_start(Size.HOUR, progress.newest) + SECONDS[Size.HOUR])
    numbers = count(free)
    for name in sorted(_wanted().keys() - _kept(database)):
        dimension = stored[name][0] if name in stored else next(numbers)
        if dimension in OF_PLUGINS:
            database.execute(
                f"REPLACE INTO {ROLLUP_COLUMN} (name, dimension, since) VALUES (?, ?, ?)",
                (name, dimension, since),
            )


def _end(database: SqlDatabase) -> None:
    for name in _kept(database) - _wanted().keys():
        database.execute(f"UPDATE {ROLLUP_COLUMN} SET since = NULL WHERE name = ?", (name,))


def _wanted() -> Mapping[str, tuple[Column, ...]]:
    return {">".join(_names(columns)): columns for columns in summed_columns()}


def _names(columns: tuple[Column, ...]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


def _kept(database: SqlDatabase) -> set[str]:
    return {name for name, (_, since) in _stored(database).items() if since is not None}


def _stored(database: SqlDatabase) -> dict[str, tuple[int, int | None]]:
    rows = database.rows(f"SELECT name, dimension, since FROM {ROLLUP_COLUMN} ORDER BY dimension")
    return {str(name): (int(d), None if at is None else int(at)) for name, d, at in rows}
