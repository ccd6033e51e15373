"""Brings the tables of a database to their newest version by an ordered list of migrations.

A migration never changes once released: a new database runs through all of them, an older one
through what it lacks. `appliance_schema_version` holds how far a database is. Tables without prefix
are renamed first (see `prefixing`). On SQLite a migration is done whole or not at all; MySQL
commits each table that it changes, so every statement there is one that may run twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from appliance.errors import StorageError
from appliance.sql import MYSQL
from appliance.sql.database import SqlDatabase
from appliance.sql.lean_peewee import peewee
from appliance.sql.prefixing import add_prefix, unprefixed_version
from appliance.sql.table_names import SCHEMA_VERSION

Migration = tuple[str, ...]
"""Statements in the words of SQLite; see `_for_mysql`."""

_DUPLICATE_COLUMN = 1060
_LOCK, _LOCK_SECONDS = "appliance_migration", 30


def migrate(database: SqlDatabase, migrations: Sequence[Migration], what: str) -> None:
    """Bring a database to the newest version; call it inside a transaction.

    Parameters
    ----------
    what
        Which of the schemas, "flow" or "appliance": both may share one database.

    Raises
    ------
    StorageError
        The database is of a newer program.
    """
    with _migration_lock(database):
        add_prefix(database)
        database.execute(
            _spell(
                database,
                f"CREATE TABLE IF NOT EXISTS {SCHEMA_VERSION}"
                " (what VARCHAR(20) NOT NULL PRIMARY KEY, version INTEGER NOT NULL)",
            )
        )
        version = schema_version(database, what)
        if version > len(migrations):
            raise StorageError(
                f"database {database.name} is of version {version}, this program knows up to"
                f" {len(migrations)}: install the newer one again"
            )
        for number, statements in enumerate(migrations[version:], version + 1):
            for statement in statements:
                _run(database, statement)
            database.execute(f"REPLACE INTO {SCHEMA_VERSION} VALUES (?, ?)", (what, number))


def schema_version(database: SqlDatabase, what: str) -> int:
    """Return how many migrations a database has had."""
    found = database.rows(f"SELECT version FROM {SCHEMA_VERSION} WHERE what = ?", (what,))
    return int(found[0][0]) if found else 0


def version_in_file(database: SqlDatabase, what: str) -> int:
    """Return how many migrations a SQLite database has had, which may have no table yet."""
    query = "SELECT 1 FROM sqlite_master WHERE name = ?"
    if database.rows(query, (SCHEMA_VERSION,)):
        return schema_version(database, what)
    return unprefixed_version(database, what)


@contextmanager
def _migration_lock(database: SqlDatabase) -> Iterator[None]:
    """Keep collector and API from migrating at once; a writing transaction of SQLite is alone."""
    if database.kind != MYSQL:
        yield
        return
    if database.rows("SELECT GET_LOCK(?, ?)", (_LOCK, _LOCK_SECONDS)) != [(1,)]:
        raise StorageError(f"database {database.name}: another process is still upgrading it")
    try:
        yield
    finally:
        # The server drops it with the connection, too.
        with suppress(peewee.PeeweeException):
            database.rows("SELECT RELEASE_LOCK(?)", (_LOCK,))


def _run(database: SqlDatabase, statement: str) -> None:
    try:
        database.execute(_spell(database, statement))
    except peewee.OperationalError as error:
        # An interrupted migration of MySQL has added the column, or all run again (`add_prefix`).
        if error.args[0] != _DUPLICATE_COLUMN and "duplicate column" not in str(error):
            raise


def _spell(database: SqlDatabase, statement: str) -> str:
    return _for_mysql(statement) if database.kind == MYSQL else statement


def _for_mysql(statement: str) -> str:
    statement = statement.replace(" WITHOUT ROWID", "").replace("AUTOINCREMENT", "AUTO_INCREMENT")
    if statement.startswith("CREATE TABLE"):
        return f"{statement} ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    return statement
