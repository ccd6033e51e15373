"""Tables made before our tables had a prefix: renamed with all that is in them.

Another application may have tables of such names in the same database. Ours are those that our
`schema_version` tells of, with the columns that ours had; all others stay as they are.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from appliance.errors import StorageError
from appliance.sql import SQLITE, table_names
from appliance.sql.database import SqlDatabase
from appliance.sql.lean_peewee import peewee

_OLD_VERSION = "schema_version"
_VERSION_COLUMNS = {"what", "version"}
_NO_PRIVILEGE = (1044, 1142, 1227)


class OldTable(NamedTuple):
    """A table as it was without prefix; `later` has the columns that came with a later version."""

    old_name: str
    name: str
    columns: str
    later: str = ""

    def is_ours(self, columns: set[str]) -> bool:
        """Tell whether a table of the old name with these columns is this one."""
        first = set(self.columns.split())
        return first <= columns <= first | set(self.later.split())


OLD_TABLES: Mapping[str, tuple[OldTable, ...]] = {
    "flow": (
        OldTable(
            "rollup",
            table_names.ROLLUP,
            "dimension size exporter direction bin_start flags name octets packets flows",
        ),
        OldTable(
            "work",
            table_names.WORK,
            "size bin_start first_segment first_row last_segment last_row done",
        ),
        OldTable("progress", table_names.ROLLUP_PROGRESS, "id content"),
        OldTable("application", table_names.APPLICATION, "exporter application_id name"),
        OldTable("known_exporter", table_names.KNOWN_EXPORTER, "id address"),
        OldTable("event", table_names.EVENT, "happened content"),
    ),
    "appliance": (
        OldTable("exporter", table_names.EXPORTER, "id address name created updated", "info"),
        OldTable(
            "forgotten_exporter",
            table_names.FORGOTTEN_EXPORTER,
            "id address forgotten pending",
        ),
        OldTable(
            "account",
            table_names.ACCOUNT,
            "id username password_hash stamp firstname lastname email created updated",
        ),
        OldTable("role", table_names.ROLE, "name"),
        OldTable("account_role", table_names.ACCOUNT_ROLE, "id account role"),
        OldTable("api_token", table_names.API_TOKEN, "id name role digest created expires owner"),
        OldTable(
            "sign_in_attempts", table_names.SIGN_IN_ATTEMPTS, "name failures latest blocked_until"
        ),
        OldTable("sign_in_client", table_names.SIGN_IN_CLIENT, "account client latest"),
        OldTable(
            "audit", table_names.AUDIT, "id happened who address action detail status", "room"
        ),
    ),
}
_OLD_NAMES = {table.name: table.old_name for tables in OLD_TABLES.values() for table in tables}


def add_prefix(database: SqlDatabase) -> None:
    """Rename the tables of a database that has them without prefix.

    Call it in a transaction, while nobody else does. On SQLite all are renamed or none. MySQL
    commits the one statement that renames them; should its server die amid that, the next call
    renames the others.

    Raises
    ------
    StorageError
        The user may not rename tables; the text has the statement for somebody who may.
    """
    columns = _columns_by_table(database)
    versions = _unprefixed_versions(database, columns)
    if not versions:
        return
    tables = [table for what in versions for table in OLD_TABLES[what]]
    ours = [table for table in tables if table.is_ours(columns.get(table.old_name, set()))]
    for what in versions:
        if any(t.old_name in columns and t not in ours for t in OLD_TABLES[what]):
            # Another application's table had the name first: all migrations run again, to make it.
            database.execute(f"UPDATE {_OLD_VERSION} SET version = 0 WHERE what = ?", (what,))
    renames = [(table.old_name, table.name) for table in ours]
    # The versions go last: while they have the old name, there may be more to rename.
    _rename(database, [*renames, (_OLD_VERSION, table_names.SCHEMA_VERSION)])


def unprefixed_version(database: SqlDatabase, what: str) -> int:
    """Return the version of a database whose tables have no prefix; 0 for any other."""
    return _unprefixed_versions(database, _columns_by_table(database)).get(what, 0)


def name_in_file(connection: sqlite3.Connection, name: str) -> str:
    """Return the name that one of our tables has in a SQLite file of any version."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return name if connection.execute(query, (name,)).fetchone() else _OLD_NAMES.get(name, name)


def _rename(database: SqlDatabase, renames: Sequence[tuple[str, str]]) -> None:
    if database.kind == SQLITE:
        for old, new in renames:
            database.execute(f"ALTER TABLE {old} RENAME TO {new}")
        return
    statement = "RENAME TABLE " + ", ".join(f"{old} TO {new}" for old, new in renames)
    try:
        database.execute(statement)
    except peewee.PeeweeException as error:
        if error.args[0] not in _NO_PRIVILEGE:
            raise
        raise StorageError(
            f"database {database.name}: our tables get the prefix {table_names.PREFIX}; the user"
            " needs ALTER, DROP, CREATE and INSERT for that, or let an administrator run:"
            f" {statement}"
        ) from error


def _unprefixed_versions(database: SqlDatabase, columns: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the version of each schema that is there without prefix."""
    if table_names.SCHEMA_VERSION in columns or columns.get(_OLD_VERSION) != _VERSION_COLUMNS:
        return {}
    rows = database.rows(f"SELECT what, version FROM {_OLD_VERSION}")
    if any(what not in OLD_TABLES for what, _ in rows):
        return {}
    return {str(what): int(version) for what, version in rows}


def _columns_by_table(database: SqlDatabase) -> dict[str, set[str]]:
    """Return the columns of the tables that may be old ones of ours, and of the new versions."""
    old = [table.old_name for tables in OLD_TABLES.values() for table in tables]
    names = [*old, _OLD_VERSION, table_names.SCHEMA_VERSION]
    query = (
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name"
    )
    if database.kind == SQLITE:
        query = (
            "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c"
            " WHERE t.type = 'table' AND t.name"
        )
    columns: defaultdict[str, set[str]] = defaultdict(set)
    for table, column in database.rows(f"{query} IN ({', '.join('?' * len(names))})", names):
        columns[table].add(column)
    return dict(columns)
