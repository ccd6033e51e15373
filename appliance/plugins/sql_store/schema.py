"""The tables of both databases, as an ordered list of migrations each.

A migration never changes once released: a new database runs through all of them, an older one
through what it lacks. The table `schema` holds how far a database is. On SQLite a migration is done
whole or not at all; MySQL commits each table that it changes, so every statement there is one that
may run twice.

Flow database
-------------
rollup
    Sums by (dimension, size, exporter, direction, bin_start, flags, name); `exporter` 0 is all
    exporters together. In total, protocol and application, exact, `flags` is 0. In source,
    destination and port, `flags` says by which measures a row is among the largest, or that it is
    not about one name: see `tops`.
work
    Bins whose largest sources, destinations and ports are not final, and where in the flow log
    their records are.
progress
    One row of JSON: how far the log is stored, with the minutes that are still open.
application
    Names that exporters gave their applications.
known_exporter
    A copy of identifier and address of every exporter, should the appliance database be lost.
event
    What happened to this database: salvaged, rebuilt.

Appliance database
------------------
exporter
    Identifier, address, name, info, and when they were made and changed.
forgotten_exporter
    Exporters that were forgotten while something may be stored of them (`pending`), and the one
    with the highest identifier, as none is used again.
account, role, account_role, api_token, sign_in_attempts, sign_in_client, audit
    Users and what belongs to them; see `account_models`. An identifier of a user is never used
    again, so nothing of a deleted one can come back with a new one.
"""

from __future__ import annotations

from collections.abc import Sequence

import peewee

from appliance.errors import StorageError
from appliance.plugins.sql_store.database import SqlDatabase
from appliance.plugins.sql_store.places import MYSQL

Migration = tuple[str, ...]
"""Statements in the words of SQLite; see `_for_mysql`."""

ROLLUP_KEY = ("dimension", "size", "exporter", "direction", "bin_start", "flags", "name")
NAME_CHARACTERS = 128
_DUPLICATE_COLUMN = 1060

FLOW_MIGRATIONS: tuple[Migration, ...] = (
    (
        """CREATE TABLE IF NOT EXISTS rollup (
            dimension TINYINT NOT NULL, size TINYINT NOT NULL, exporter INTEGER NOT NULL,
            direction TINYINT NOT NULL, bin_start BIGINT NOT NULL, flags TINYINT NOT NULL,
            name VARCHAR(128) NOT NULL, octets BIGINT NOT NULL, packets BIGINT NOT NULL,
            flows BIGINT NOT NULL,
            PRIMARY KEY (dimension, size, exporter, direction, bin_start, flags, name)
        ) WITHOUT ROWID""",
        """CREATE TABLE IF NOT EXISTS work (
            size TINYINT NOT NULL, bin_start BIGINT NOT NULL, first_segment BIGINT NOT NULL,
            first_row BIGINT NOT NULL, last_segment BIGINT NOT NULL, last_row BIGINT NOT NULL,
            done TINYINT NOT NULL,
            PRIMARY KEY (size, bin_start)
        ) WITHOUT ROWID""",
        """CREATE TABLE IF NOT EXISTS progress (
            id INTEGER NOT NULL PRIMARY KEY, content MEDIUMTEXT NOT NULL
        )""",
        """CREATE TABLE IF NOT EXISTS application (
            exporter VARCHAR(45) NOT NULL, application_id VARCHAR(20) NOT NULL,
            name VARCHAR(128) NOT NULL, PRIMARY KEY (exporter, application_id)
        ) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE IF NOT EXISTS known_exporter (
            id INTEGER NOT NULL PRIMARY KEY, address VARCHAR(45) NOT NULL UNIQUE
        )""",
        """CREATE TABLE IF NOT EXISTS event (
            happened BIGINT NOT NULL, content VARCHAR(500) NOT NULL
        )""",
    ),
)

APPLIANCE_MIGRATIONS: tuple[Migration, ...] = (
    (
        """CREATE TABLE IF NOT EXISTS exporter (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, address VARCHAR(45) NOT NULL UNIQUE,
            name VARCHAR(255) NOT NULL, created DOUBLE NOT NULL, updated DOUBLE NOT NULL
        )""",
    ),
    ("ALTER TABLE exporter ADD COLUMN info VARCHAR(1000) NOT NULL DEFAULT ''",),
    (
        """CREATE TABLE IF NOT EXISTS account (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, username VARCHAR(100) NOT NULL UNIQUE,
            password_hash VARCHAR(100) NOT NULL, stamp VARCHAR(32) NOT NULL,
            firstname VARCHAR(45), lastname VARCHAR(45), email VARCHAR(100),
            created DOUBLE NOT NULL, updated DOUBLE NOT NULL
        )""",
        "CREATE TABLE IF NOT EXISTS role (name VARCHAR(45) NOT NULL PRIMARY KEY)",
        "REPLACE INTO role (name) VALUES ('Administrator'), ('User')",
        """CREATE TABLE IF NOT EXISTS account_role (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL,
            role VARCHAR(45) NOT NULL, UNIQUE (account, role)
        )""",
        """CREATE TABLE IF NOT EXISTS api_token (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name VARCHAR(100) NOT NULL UNIQUE,
            role VARCHAR(45) NOT NULL, digest VARCHAR(64) NOT NULL UNIQUE,
            created DOUBLE NOT NULL, expires DOUBLE, owner INTEGER
        )""",
        """CREATE TABLE IF NOT EXISTS sign_in_attempts (
            name VARCHAR(80) NOT NULL PRIMARY KEY, failures INTEGER NOT NULL,
            latest DOUBLE NOT NULL, blocked_until DOUBLE NOT NULL
        )""",
        """CREATE TABLE IF NOT EXISTS audit (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, happened DOUBLE NOT NULL,
            who VARCHAR(100) NOT NULL, address VARCHAR(45) NOT NULL, action VARCHAR(200) NOT NULL,
            detail VARCHAR(500) NOT NULL, status INTEGER
        )""",
    ),
    (
        """CREATE TABLE IF NOT EXISTS sign_in_client (
            account INTEGER NOT NULL, client VARCHAR(45) NOT NULL, latest DOUBLE NOT NULL,
            PRIMARY KEY (account, client)
        ) WITHOUT ROWID""",
    ),
    (
        "ALTER TABLE audit ADD COLUMN room VARCHAR(14) NOT NULL DEFAULT 'administrators'",
        "UPDATE audit SET room = 'strangers' WHERE status BETWEEN 400 AND 499",
    ),
    (
        """CREATE TABLE IF NOT EXISTS forgotten_exporter (
            id INTEGER NOT NULL PRIMARY KEY, address VARCHAR(45) NOT NULL,
            forgotten DOUBLE NOT NULL, pending TINYINT NOT NULL
        )""",
    ),
)


def migrate(database: SqlDatabase, migrations: Sequence[Migration], what: str) -> None:
    """Bring a database to the newest version; call it inside a transaction.

    Parameters
    ----------
    what
        Which of the schemas, "flow" or "appliance": both may share one database of MySQL.

    Raises
    ------
    StorageError
        The database is of a newer program.
    """
    database.execute(
        _spelled(
            database,
            "CREATE TABLE IF NOT EXISTS schema_version"
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
        # Two processes may do this at once on MySQL.
        database.execute("REPLACE INTO schema_version VALUES (?, ?)", (what, number))


def has_version(database: SqlDatabase) -> bool:
    """Tell whether a SQLite database has had any migration."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'schema_version'"
    return bool(database.rows(query))


def schema_version(database: SqlDatabase, what: str) -> int:
    """Return how many migrations a database has had."""
    found = database.rows("SELECT version FROM schema_version WHERE what = ?", (what,))
    return int(found[0][0]) if found else 0


def _run(database: SqlDatabase, statement: str) -> None:
    try:
        database.execute(_spelled(database, statement))
    except peewee.OperationalError as error:
        # On MySQL an interrupted migration has added the column already.
        if error.args[0] != _DUPLICATE_COLUMN:
            raise


def _spelled(database: SqlDatabase, statement: str) -> str:
    return _for_mysql(statement) if database.kind == MYSQL else statement


def _for_mysql(statement: str) -> str:
    statement = statement.replace(" WITHOUT ROWID", "").replace("AUTOINCREMENT", "AUTO_INCREMENT")
    if statement.startswith("CREATE TABLE"):
        return f"{statement} ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    return statement
