"""Reading and writing the largest names of bins in `rollup`."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from appliance.plugins.sql_store.bins import Size
from appliance.plugins.sql_store.database import SqlDatabase
from appliance.plugins.sql_store.dimensions import Dimension
from appliance.plugins.sql_store.grouping import IntArray
from appliance.plugins.sql_store.schema import ROLLUP_KEY
from appliance.plugins.sql_store.tops import StoredRow, Tops, tops_from_rows

_BIN = (
    "FROM rollup WHERE dimension = ? AND size = ? AND exporter = ? AND direction = ?"
    " AND bin_start >= ? AND bin_start < ?"
)


def write_tops(
    database: SqlDatabase,
    dimension: Dimension,
    size: Size,
    cell: tuple[int, int, int],
    tops: Tops,
) -> None:
    """Store the largest names of one bin in place of those that are there.

    Parameters
    ----------
    cell
        Exporter, direction and start of the bin.
    """
    exporter, direction, start = cell
    key = (int(dimension), int(size), exporter, direction, start)
    database.execute(f"DELETE {_BIN}", (*key, start + 1))
    marks = ", ".join("?" * (len(ROLLUP_KEY) + 3))
    database.executemany(
        f"INSERT INTO rollup ({', '.join(ROLLUP_KEY)}, octets, packets, flows)"  # noqa: S608
        f" VALUES ({marks})",
        [(*key, *row) for row in tops.rows()],
    )


def read_tops(
    database: SqlDatabase,
    dimension: Dimension,
    size: Size,
    place: tuple[int, int],
    since: int,
    until: int,
) -> dict[int, Tops]:
    """Return the stored bins of a range, by start.

    Parameters
    ----------
    place
        Exporter and direction.
    """
    rows = database.rows(
        f"SELECT bin_start, flags, name, octets, packets, flows {_BIN}",
        (int(dimension), int(size), *place, since, until),
    )
    by_bin: defaultdict[int, list[StoredRow]] = defaultdict(list)
    for start, *row in rows:
        by_bin[int(start)].append((int(row[0]), str(row[1]), *map(int, row[2:])))  # type: ignore[arg-type]
    return {start: tops_from_rows(found) for start, found in by_bin.items()}


def read_totals(
    database: SqlDatabase, size: Size, since: int, until: int
) -> dict[tuple[int, int, int], IntArray]:
    """Return the exact totals by (exporter, direction, start of bin) of a short range."""
    rows = database.rows(
        "SELECT exporter, direction, bin_start, octets, packets, flows FROM rollup"
        " WHERE dimension = 0 AND size = ? AND bin_start >= ? AND bin_start < ?",
        (int(size), since, until),
    )
    return {
        (int(e), int(d), int(start)): np.array([int(v) for v in sums], np.int64)
        for e, d, start, *sums in rows
    }
