"""Adding rows to a table in which some of them are already, with a few statements for all.

The rows wait in a temporary table with an index on what tells rows apart. It is looked up once for
each row of the table, or the table's own unique index once for each that waits, so the work never
grows with the product of the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence

from appliance.plugins.pmacct.tables.plan import STAMPS
from appliance.plugins.pmacct.tables.sql_tables import quote
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import PURGED_ROWS

COUNTERS = ("packets", "bytes", "flows")

_FOUND = "appliance_found"
_LARGEST_KEY, _PREFIX, _MOST_KEYS = 3000, 64, 16
"""What InnoDB takes for an index, in octets; of long texts only the beginning is in it."""

_TEXT = re.compile(r"(?:var)?(?:char|binary)\((\d+)\)")


def make_waiting(
    database: SqlDatabase, table: str, columns: Iterable[str], keys: Sequence[str]
) -> None:
    """Make the empty temporary table, with the types of the real one and an index on the keys."""
    mysql = database.path is None
    names = ", ".join(quote(name, mysql) for name in columns)
    # In MySQL an index that is added later would end the transaction.
    index = f"(INDEX ({_index_parts(database, table, keys)}))" if mysql and keys else ""
    database.execute(
        f"CREATE TEMPORARY TABLE {quote(PURGED_ROWS, mysql)} {index} AS"
        f" SELECT {names}, 0 AS {_FOUND} FROM {quote(table, mysql)} LIMIT 0"
    )
    if not mysql and keys:
        chosen = ", ".join(quote(key, mysql) for key in keys)
        database.execute(f"CREATE INDEX temp.{PURGED_ROWS}_keys ON {PURGED_ROWS} ({chosen})")


def drop_waiting(database: SqlDatabase) -> None:
    """Drop it; no statement here ends the transaction."""
    mysql = database.path is None
    kind = "TEMPORARY TABLE" if mysql else "TABLE"
    database.execute(f"DROP {kind} IF EXISTS {quote(PURGED_ROWS, mysql)}")


def merge_waiting(
    database: SqlDatabase,
    table: str,
    columns: Sequence[str],
    keys: Sequence[str],
    flags: Collection[str],
) -> int:
    """Add what waits to the rows that are there, insert the rest; return how many that were.

    Parameters
    ----------
    columns
        Of the rows that wait.
    keys
        Those that tell rows apart.
    flags
        Those that are joined bit by bit.
    """
    mysql = database.path is None
    into, waiting = quote(table, mysql), quote(PURGED_ROWS, mysql)
    equal = " AND ".join(f"t.{k} = p.{k}" for k in (quote(key, mysql) for key in keys)) or "1 = 1"
    if mysql:
        changes = set_clause(columns, flags, "p.{0}".format, mysql, left="t.{0}")
        first, second = f"{into} t", f"{waiting} p"
        if _has_unique_index(database, table, keys):
            first, second = second, first
        # The server knows nothing of a table just loaded, so the order is told.
        database.execute(
            f"UPDATE {first} STRAIGHT_JOIN {second} ON {equal} SET {changes}, p.{_FOUND} = 1"
        )
    else:
        changes = set_clause(columns, flags, "p.{0}".format, mysql)
        database.execute(f"UPDATE {into} AS t SET {changes} FROM {waiting} AS p WHERE {equal}")
        database.execute(f"UPDATE {waiting} AS p SET {_FOUND} = 1 FROM {into} AS t WHERE {equal}")
    names = ", ".join(quote(name, mysql) for name in columns)
    inserted = database.execute(
        f"INSERT INTO {into} ({names}) SELECT {names} FROM {waiting}"
        f" WHERE COALESCE({_FOUND}, 0) = 0"
    )
    return int(inserted.rowcount)


def set_clause(
    columns: Iterable[str],
    flags: Collection[str],
    new: Callable[[str], str],
    mysql: bool,
    *,
    left: str = "{0}",
    old: str = "t.{0}",
) -> str:
    """Return the SET of an UPDATE: counters are added to, flags joined, the stamp is new.

    Parameters
    ----------
    new
        Returns how the new value of a column is written.
    left, old
        How the changed column and its old value are written; take the column.
    """
    found = []
    for name in columns:
        if name not in (*COUNTERS, STAMPS[1], *flags):
            continue
        column = quote(name, mysql)
        value = new(column)
        if name != STAMPS[1]:
            value = f"{old.format(column)} {'|' if name in flags else '+'} {value}"
        found.append(f"{left.format(column)} = {value}")
    return ", ".join(found)


def _index_parts(database: SqlDatabase, table: str, keys: Sequence[str]) -> str:
    """Return as many of the keys as MySQL takes into an index."""
    rows = database.rows(f"SHOW COLUMNS FROM {quote(table, True)}")
    types = {str(row[0]).lower(): str(row[1]).lower() for row in rows}
    parts: list[str] = []
    octets = 0
    for key in keys[:_MOST_KEYS]:
        kind = types.get(key.lower(), "")
        text = _TEXT.match(kind)
        size = 4 * int(text[1]) if text else 8
        long = size > 4 * _PREFIX or "text" in kind or "blob" in kind
        octets += 4 * _PREFIX if long else size
        if octets > _LARGEST_KEY:
            break
        parts.append(f"{quote(key, True)}({_PREFIX})" if long else quote(key, True))
    return ", ".join(parts)


def _has_unique_index(database: SqlDatabase, table: str, keys: Collection[str]) -> bool:
    """Tell whether a table of MySQL finds a row by these columns at once."""
    indexes: dict[str, set[str]] = {}
    for row in database.rows(f"SHOW INDEX FROM {quote(table, True)} WHERE Non_unique = 0"):
        indexes.setdefault(str(row[2]), set()).add(str(row[4]))
    return any(columns <= set(keys) for columns in indexes.values())
