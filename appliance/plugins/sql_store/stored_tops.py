"""Reading and writing the largest names of bins in `rollup`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from appliance.plugins.sql_store.bins import Size
from appliance.plugins.sql_store.database import SqlDatabase
from appliance.plugins.sql_store.dimensions import Dimension
from appliance.plugins.sql_store.grouping import IntArray
from appliance.plugins.sql_store.schema import ROLLUP_KEY
from appliance.plugins.sql_store.table_names import KNOWN_EXPORTER, ROLLUP
from appliance.plugins.sql_store.tops import StoredRow, Tops, tops_from_rows

BinKey = tuple[int, int, int]
"""Exporter, direction and start of a bin."""

_BIN = (
    f"FROM {ROLLUP} WHERE dimension = ? AND size = ? AND exporter = ? AND direction = ?"
    " AND bin_start >= ? AND bin_start < ?"
)


def write_tops(
    database: SqlDatabase, dimension: Dimension, size: Size, bins: Mapping[BinKey, Tops]
) -> None:
    """Store the largest names of some bins in place of those that are there."""
    keys = [(int(dimension), int(size), *key) for key in bins]
    database.executemany(f"DELETE {_BIN}", [(*key, key[-1] + 1) for key in keys])
    marks = ", ".join("?" * (len(ROLLUP_KEY) + 3))
    rows = [
        (*key, *row) for key, tops in zip(keys, bins.values(), strict=True) for row in tops.rows()
    ]
    database.executemany(
        f"INSERT INTO {ROLLUP} ({', '.join(ROLLUP_KEY)}, octets, packets, flows) VALUES ({marks})",
        rows,
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
) -> dict[BinKey, IntArray]:
    """Return the exact totals by (exporter, direction, start of bin) of a short range."""
    rows = database.rows(
        f"SELECT exporter, direction, bin_start, octets, packets, flows FROM {ROLLUP}"
        " WHERE dimension = 0 AND size = ? AND exporter IN"
        f" (SELECT 0 UNION ALL SELECT id FROM {KNOWN_EXPORTER})"
        " AND direction IN (0, 1) AND bin_start >= ? AND bin_start < ?",
        (int(size), since, until),
    )
    return {
        (int(e), int(d), int(start)): np.array([int(v) for v in sums], np.int64)
        for e, d, start, *sums in rows
    }
