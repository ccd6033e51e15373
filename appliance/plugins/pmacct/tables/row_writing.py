"""How the rows of a purge are spelled for a database: values, statements, a file to load.

Nothing here decides which rows are written, or counts them: that is `destination`.
"""

from __future__ import annotations

import itertools
import socket
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from appliance.plugins.pmacct.configuration.aggregates import Kind
from appliance.plugins.pmacct.tables.plan import STAMPS, TablePlan
from appliance.plugins.pmacct.tables.sql_tables import Target, quote
from appliance.sql.table_names import PURGED_ROWS

_ROWS_A_STATEMENT = 10

_OCTETS, _MOMENT = "INET6_ATON({})", "FROM_UNIXTIME({})"
# Second zero is that of a time which no record tells. MariaDB 11.8 makes NULL of it, which a table
# takes for 0000-00-00 or refuses; its other seconds are as in every server.
_MOMENT_OR_ZERO = "COALESCE(FROM_UNIXTIME(NULLIF({}, 0)), FROM_UNIXTIME(1) - INTERVAL 1 SECOND)"


def load_rows(connection: Any, plan: TablePlan, target: Target, table: str) -> int:
    """Load rows from a file that the MySQL server asks this client for; return how many it took.

    What is the same in all rows, such as the stamps of a bin, is told once: a third less work
    for the server.

    Parameters
    ----------
    connection
        One of `appliance.sql.mysql_server`.

    Raises
    ------
    pymysql.MySQLError
        The server does not take files from clients, or none of the rows.
    """
    conversions = _conversions(plan)
    same = _same_in_all_rows(target)
    columns = {name: column for name, column in target.columns.items() if name not in same}
    names = [f"@{name}" if name in conversions else quote(name, True) for name in columns]
    given = {name: f"@{name}" for name in columns if name in conversions}
    given |= {name: connection.escape(value) for name, value in same.items()}
    sets = [
        f"{quote(name, True)} = {conversions.get(name, '({})').format(value)}"
        for name, value in given.items()
    ]
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
        pa_csv.write_csv(pa.table(columns), file.name, options)
        path = file.name.replace("'", "''")
        ignored = "" if table == PURGED_ROWS else "IGNORE "
        sql = (
            f"LOAD DATA LOCAL INFILE '{path}' {ignored}INTO TABLE {quote(table, True)}"
            " CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'"
            f" ESCAPED BY '' LINES TERMINATED BY '\\n' ({', '.join(names)})"
        )
        sql += f" SET {', '.join(sets)}" if sets else ""
        return int(connection.load_file(file.name, sql))


def numeric_hosts(plan: TablePlan) -> set[str]:
    """Return the columns that hold addresses as octets."""
    if not plan.numeric_hosts:
        return set()
    return {c.name for c in plan.columns if c.kind in (Kind.ADDRESS, Kind.NET)}


def _conversions(plan: TablePlan) -> dict[str, str]:
    """Return what a MySQL server makes the values of some columns with, around their place."""
    found = dict.fromkeys(numeric_hosts(plan), _OCTETS)
    if plan.times.by_server:
        times = [column.name for column in plan.columns if column.kind is Kind.TIME]
        found |= dict.fromkeys(STAMPS, _MOMENT) | dict.fromkeys(times, _MOMENT_OR_ZERO)
    return found


def value_marks(plan: TablePlan, names: Iterable[str], mysql: bool) -> list[str]:
    """Return the place of each column's value in a statement."""
    conversions = _conversions(plan) if mysql else {}
    return [conversions.get(name, "{}").format("?") for name in names]


def _same_in_all_rows(target: Target) -> dict[str, Any]:
    """Return the values of columns that have one only; at least one column is left."""
    same = {
        name: column[0].as_py()
        for name, column in target.columns.items()
        if not column.null_count and pa.compute.all(pa.compute.equal(column, column[0])).as_py()
    }
    if len(same) == len(target.columns):
        del same[next(iter(same))]
    return same


def insert_by_tens(cursor: Any, sql: str, marks: str, rows: Iterator[tuple[Any, ...]]) -> None:
    """Insert rows, ten with each statement: a third less work than one by one."""
    flat = list(itertools.chain.from_iterable(rows))
    width = marks.count("?")
    step = width * _ROWS_A_STATEMENT
    whole = len(flat) // step * step
    many = ", ".join([marks] * _ROWS_A_STATEMENT)
    cursor.executemany(f"{sql} {many}", (flat[i : i + step] for i in range(0, whole, step)))
    rest = range(whole, len(flat), width)
    cursor.executemany(f"{sql} {marks}", (flat[i : i + width] for i in rest))


def row_tuples(target: Target, packed: set[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows; equal texts are one object, so that few are made."""
    columns = []
    for name, column in target.columns.items():
        if pa.types.is_string(column.type):
            encoded = column.dictionary_encode()
            texts = encoded.dictionary.to_pylist()
            distinct = [_octets(text) for text in texts] if name in packed else texts
            shared = np.array([*distinct, None], object)
            columns.append(shared[encoded.indices.to_numpy()].tolist())
        else:
            columns.append(column.to_numpy(zero_copy_only=False).tolist())
    return zip(*columns, strict=True)


def _octets(text: str) -> bytes:
    """Return the octets of an address, as INET6_ATON does."""
    if not text:
        return b""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
