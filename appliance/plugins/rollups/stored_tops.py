"""Reading and writing the largest names of bins in `rollup`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from appliance.plugins.rollups.bins import Size
from appliance.plugins.rollups.dimensions import Dimension
from appliance.plugins.rollups.flow_tables import ROLLUP_KEY
from appliance.plugins.rollups.forgetting import chunks, number_list
from appliance.plugins.rollups.grouping import IntArray
from appliance.plugins.rollups.tops import StoredRow, TopN, top_n_from_rows
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import KNOWN_EXPORTER, ROLLUP

BinKey = tuple[int, int, int]
"""Exporter, direction and start of a bin."""

_KNOWN = f"exporter IN (SELECT 0 UNION ALL SELECT id FROM {KNOWN_EXPORTER})"

BinRow = tuple[int, int, int, int, str, int, int, int]
"""A bin, and one of its rows: flags, name, octets, packets, flows."""


def write_tops(
    database: SqlDatabase, dimension: Dimension, size: Size, bins: Mapping[BinKey, TopN]
) -> None:
    """Store the largest names of some bins in place of those that are there."""
    rows = [(*key, *row) for key, tops in bins.items() for row in tops.rows()]
    write_rows(database, dimension, size, bins, rows)


def write_rows(
    database: SqlDatabase,
    dimension: Dimension,
    size: Size,
    bins: Iterable[BinKey],
    rows: Sequence[BinRow],
) -> None:
    """Store the rows of some bins in place of those that are there."""
    by_time: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for exporter, direction, start in bins:
        by_time[direction, start].append(exporter)
    for place, exporters in by_time.items():
        for part in chunks(exporters):
            database.execute(
                f"DELETE FROM {ROLLUP} WHERE dimension = ? AND size = ?"
                f" AND exporter IN ({number_list(part)}) AND direction = ? AND bin_start = ?",
                (int(dimension), int(size), *place),
            )
    marks = ", ".join("?" * (len(ROLLUP_KEY) + 1))
    database.executemany(
        f"INSERT INTO {ROLLUP} ({', '.join(ROLLUP_KEY)}, octets, packets, flows)"
        f" VALUES ({int(dimension)}, {int(size)}, {marks})",
        rows,
    )


def count_rows(
    database: SqlDatabase, dimension: Dimension, size: Size, direction: int, span: tuple[int, int]
) -> dict[int, int]:
    """Return how many rows of a range each exporter has."""
    rows = database.rows(
        f"SELECT exporter, COUNT(*) FROM {ROLLUP} WHERE dimension = ? AND size = ? AND {_KNOWN}"
        " AND direction = ? AND bin_start >= ? AND bin_start < ? GROUP BY exporter",
        (int(dimension), int(size), direction, *span),
    )
    return {int(exporter): int(n) for exporter, n in rows}


def read_rows(
    database: SqlDatabase,
    dimension: Dimension,
    size: Size,
    place: tuple[Iterable[int], int],
    span: tuple[int, int],
) -> list[BinRow]:
    """Return what is stored of the largest names of some exporters.

    Parameters
    ----------
    place
        Exporters, and the direction.
    span
        Where a bin begins at least, and before which.
    """
    exporters, direction = place
    return [
        (int(e), int(d), int(start), int(flags), str(name), int(o), int(p), int(f))
        for e, d, start, flags, name, o, p, f in database.rows(
            "SELECT exporter, direction, bin_start, flags, name, octets, packets, flows"
            f" FROM {ROLLUP} WHERE dimension = ? AND size = ? AND exporter IN"
            f" ({number_list(exporters)}) AND direction = ? AND bin_start >= ? AND bin_start < ?",
            (int(dimension), int(size), direction, *span),
        )
    ]


def read_tops(
    database: SqlDatabase,
    dimension: Dimension,
    size: Size,
    place: tuple[int, int],
    since: int,
    until: int,
) -> dict[int, TopN]:
    """Return the stored bins of a range, by start.

    Parameters
    ----------
    place
        Exporter and direction.
    """
    exporter, direction = place
    by_bin: defaultdict[int, list[StoredRow]] = defaultdict(list)
    for row in read_rows(database, dimension, size, ([exporter], direction), (since, until)):
        by_bin[row[2]].append(row[3:])
    return {start: top_n_from_rows(found) for start, found in by_bin.items()}


def read_totals(
    database: SqlDatabase, size: Size, since: int, until: int
) -> dict[BinKey, IntArray]:
    """Return the exact totals by (exporter, direction, start of bin) of a short range."""
    rows = database.rows(
        f"SELECT exporter, direction, bin_start, octets, packets, flows FROM {ROLLUP}"
        f" WHERE dimension = 0 AND size = ? AND {_KNOWN}"
        " AND direction IN (0, 1) AND bin_start >= ? AND bin_start < ?",
        (int(size), since, until),
    )
    return {
        (int(e), int(d), int(start)): np.array([int(v) for v in sums], np.int64)
        for e, d, start, *sums in rows
    }
