"""The tables of both databases, as an ordered list of migrations each.

A migration never changes once released: a new database runs through all of them, an older one
through what it lacks. `appliance_schema_version` holds how far a database is. Tables without prefix
are renamed first (see `prefixing`). On SQLite a migration is done whole or not at all; MySQL
commits each table that it changes, so every statement there is one that may run twice.

Flow database
-------------
appliance_rollup
    Sums by (dimension, size, exporter, direction, bin_start, flags, name); `exporter` 0 is all
    exporters together. In total, protocol and application, exact, `flags` is 0. In source,
    destination and port, `flags` says by which measures a row is among the largest, or that it is
    not about one name: see `tops`.
appliance_work
    Bins whose largest sources, destinations and ports are not final, and where in the flow log
    their records are.
appliance_rollup_progress
    One row of JSON: how far the log is stored, with the minutes that are still open.
appliance_application
    Names that exporters gave their applications.
appliance_known_exporter
    A copy of identifier and address of every exporter, should the appliance database be lost.
appliance_event
    What happened to this database: salvaged, rebuilt.

Appliance database
------------------
appliance_exporter
    Identifier, address, name, info, and when they were made and changed.
appliance_forgotten_exporter
    Exporters that were forgotten while something may be stored of them (`pending`), and the one
    with the highest identifier, as none is used again.
appliance_account, _role, _account_role, _api_token, _sign_in_attempts, _sign_in_client, _audit
    Users and what belongs to them; see `account_models`. An identifier of a user is never used
    again, so nothing of a deleted one can come back with a new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import peewee

from appliance.errors import StorageError
from appliance.sql import MYSQL
from appliance.sql.database import SqlDatabase
from appliance.sql.prefixing import add_prefix, unprefixed_version
from appliance.sql.table_names import (
    ACCOUNT,
    ACCOUNT_ROLE,
    API_TOKEN,
    APPLICATION,
    AUDIT,
    EVENT,
    EXPORTER,
    FORGOTTEN_EXPORTER,
    KNOWN_EXPORTER,
    ROLE,
    ROLLUP,
    ROLLUP_PROGRESS,
    SCHEMA_VERSION,
    SIGN_IN_ATTEMPTS,
    SIGN_IN_CLIENT,
    WORK,
)

Migration = tuple[str, ...]
"""Statements in the words of SQLite; see `_for_mysql`."""

ROLLUP_KEY = ("dimension", "size", "exporter", "direction", "bin_start", "flags", "name")
NAME_CHARACTERS = 128
_DUPLICATE_COLUMN = 1060
_LOCK, _LOCK_SECONDS = "appliance_migration", 30

FLOW_MIGRATIONS: tuple[Migration, ...] = (
    (
        f"""CREATE TABLE IF NOT EXISTS {ROLLUP} (
            dimension TINYINT NOT NULL, size TINYINT NOT NULL, exporter INTEGER NOT NULL,
            direction TINYINT NOT NULL, bin_start BIGINT NOT NULL, flags TINYINT NOT NULL,
            name VARCHAR(128) NOT NULL, octets BIGINT NOT NULL, packets BIGINT NOT NULL,
            flows BIGINT NOT NULL,
            PRIMARY KEY (dimension, size, exporter, direction, bin_start, flags, name)
        ) WITHOUT ROWID""",
        f"""CREATE TABLE IF NOT EXISTS {WORK} (
            size TINYINT NOT NULL, bin_start BIGINT NOT NULL, first_segment BIGINT NOT NULL,
            first_row BIGINT NOT NULL, last_segment BIGINT NOT NULL, last_row BIGINT NOT NULL,
            done TINYINT NOT NULL,
            PRIMARY KEY (size, bin_start)
        ) WITHOUT ROWID""",
        f"""CREATE TABLE IF NOT EXISTS {ROLLUP_PROGRESS} (
            id INTEGER NOT NULL PRIMARY KEY, content MEDIUMTEXT NOT NULL
        )""",
        f"""CREATE TABLE IF NOT EXISTS {APPLICATION} (
            exporter VARCHAR(45) NOT NULL, application_id VARCHAR(20) NOT NULL,
            name VARCHAR(128) NOT NULL, PRIMARY KEY (exporter, application_id)
        ) WITHOUT ROWID""",
    ),
    (
        f"""CREATE TABLE IF NOT EXISTS {KNOWN_EXPORTER} (
            id INTEGER NOT NULL PRIMARY KEY, address VARCHAR(45) NOT NULL UNIQUE
        )""",
        f"""CREATE TABLE IF NOT EXISTS {EVENT} (
            happened BIGINT NOT NULL, content VARCHAR(500) NOT NULL
        )""",
    ),
    (),  # The tables have their prefix: see `prefixing`.
)

APPLIANCE_MIGRATIONS: tuple[Migration, ...] = (
    (
        f"""CREATE TABLE IF NOT EXISTS {EXPORTER} (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, address VARCHAR(45) NOT NULL UNIQUE,
            name VARCHAR(255) NOT NULL, created DOUBLE NOT NULL, updated DOUBLE NOT NULL
        )""",
    ),
    (f"ALTER TABLE {EXPORTER} ADD COLUMN info VARCHAR(1000) NOT NULL DEFAULT ''",),
    (
        f"""CREATE TABLE IF NOT EXISTS {ACCOUNT} (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, username VARCHAR(100) NOT NULL UNIQUE,
            password_hash VARCHAR(100) NOT NULL, stamp VARCHAR(32) NOT NULL,
            firstname VARCHAR(45), lastname VARCHAR(45), email VARCHAR(100),
            created DOUBLE NOT NULL, updated DOUBLE NOT NULL
        )""",
        f"CREATE TABLE IF NOT EXISTS {ROLE} (name VARCHAR(45) NOT NULL PRIMARY KEY)",
        f"REPLACE INTO {ROLE} (name) VALUES ('Administrator'), ('User')",
        f"""CREATE TABLE IF NOT EXISTS {ACCOUNT_ROLE} (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL,
            role VARCHAR(45) NOT NULL, UNIQUE (account, role)
        )""",
        f"""CREATE TABLE IF NOT EXISTS {API_TOKEN} (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name VARCHAR(100) NOT NULL UNIQUE,
            role VARCHAR(45) NOT NULL, digest VARCHAR(64) NOT NULL UNIQUE,
            created DOUBLE NOT NULL, expires DOUBLE, owner INTEGER
        )""",
        f"""CREATE TABLE IF NOT EXISTS {SIGN_IN_ATTEMPTS} (
            name VARCHAR(80) NOT NULL PRIMARY KEY, failures INTEGER NOT NULL,
            latest DOUBLE NOT NULL, blocked_until DOUBLE NOT NULL
        )""",
        f"""CREATE TABLE IF NOT EXISTS {AUDIT} (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, happened DOUBLE NOT NULL,
            who VARCHAR(100) NOT NULL, address VARCHAR(45) NOT NULL, action VARCHAR(200) NOT NULL,
            detail VARCHAR(500) NOT NULL, status INTEGER
        )""",
    ),
    (
        f"""CREATE TABLE IF NOT EXISTS {SIGN_IN_CLIENT} (
            account INTEGER NOT NULL, client VARCHAR(45) NOT NULL, latest DOUBLE NOT NULL,
            PRIMARY KEY (account, client)
        ) WITHOUT ROWID""",
    ),
    (
        f"ALTER TABLE {AUDIT} ADD COLUMN room VARCHAR(14) NOT NULL DEFAULT 'administrators'",
        f"UPDATE {AUDIT} SET room = 'strangers' WHERE status BETWEEN 400 AND 499",
    ),
    (
        f"""CREATE TABLE IF NOT EXISTS {FORGOTTEN_EXPORTER} (
            id INTEGER NOT NULL PRIMARY KEY, address VARCHAR(45) NOT NULL,
            forgotten DOUBLE NOT NULL, pending TINYINT NOT NULL
        )""",
    ),
    (),  # The tables have their prefix: see `prefixing`.
)


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
            _spelled(
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
        database.execute(_spelled(database, statement))
    except peewee.OperationalError as error:
        # An interrupted migration of MySQL has added the column, or all run again (`add_prefix`).
        if error.args[0] != _DUPLICATE_COLUMN and "duplicate column" not in str(error):
            raise


def _spelled(database: SqlDatabase, statement: str) -> str:
    return _for_mysql(statement) if database.kind == MYSQL else statement


def _for_mysql(statement: str) -> str:
    statement = statement.replace(" WITHOUT ROWID", "").replace("AUTOINCREMENT", "AUTO_INCREMENT")
    if statement.startswith("CREATE TABLE"):
        return f"{statement} ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    return statement
