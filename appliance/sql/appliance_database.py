"""The appliance database: opened with its tables at the newest version, readable for us only.

A SQLite file with data is copied before a migration changes it, to
`appliance.sqlite.before-VERSION`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from appliance.contracts import ADMINISTRATOR
from appliance.errors import LostAccountsError
from appliance.sql.addresses import database_address
from appliance.sql.appliance_tables import APPLIANCE_MIGRATIONS
from appliance.sql.database import SqlDatabase
from appliance.sql.migrations import migrate, version_in_file
from appliance.sql.table_names import ACCOUNT_ROLE

WHAT = "appliance"
_OWNER_ONLY = 0o600
_CONTENT = "accounts and exporters"
_REMEDY = (
    "stop the appliance and restore it from a backup (appliance restore), or move it away to begin"
    " with a new administrator"
)


def appliance_database(url: str, folder: Path) -> SqlDatabase:
    """Return the database of accounts and exporters; nothing is opened before it is used."""
    return _at(url, folder, _prepare)


def accounts_database(url: str, folder: Path) -> SqlDatabase:
    """Return the appliance database for its accounts.

    Where the file is gone or another one while it is in use, nothing is done with accounts before
    there is an administrator again: an empty database would refuse everyone without a word.
    """
    opened: list[bool] = []

    def prepare(database: SqlDatabase) -> None:
        _prepare(database)
        query = f"SELECT 1 FROM {ACCOUNT_ROLE} WHERE role = ? LIMIT 1"
        if opened and not database.rows(query, (ADMINISTRATOR,)):
            raise LostAccountsError(database.name)
        opened.append(True)

    return _at(url, folder, prepare)


def _at(url: str, folder: Path, prepare: Callable[[SqlDatabase], None]) -> SqlDatabase:
    address = database_address(url, folder)
    return SqlDatabase(address, prepare, private=True, content=_CONTENT, remedy=_REMEDY)


def _prepare(database: SqlDatabase) -> None:
    if database.path is not None:
        # It holds hashes of passwords; a file of an older version may be readable for others.
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.chmod(f"{database.path}{end}", _OWNER_ONLY)
        version = version_in_file(database, WHAT)
        if 0 < version < len(APPLIANCE_MIGRATIONS):
            _copy(database.path, Path(f"{database.path}.before-{len(APPLIANCE_MIGRATIONS)}"))
    migrate(database, APPLIANCE_MIGRATIONS, WHAT)


def _copy(path: Path, to: Path) -> None:
    """Copy a database that has a writer, as it was before that writer began."""
    beside = Path(f"{to}.part")
    beside.unlink(missing_ok=True)
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ONLY))
    with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(beside)) as target,
    ):
        source.backup(target)
    os.replace(beside, to)
