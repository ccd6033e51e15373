"""One database: connection, transactions, and the errors of two drivers made into ours.

Where it is says a `DatabaseAddress`. Connections belong to their thread. One that failed is closed
and opened again with the next transaction, as is one whose file is gone (see `sqlite_files`).
SQL is written with `?` and understood by both; what differs stands in `Dialect`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from appliance.errors import StorageError
from appliance.ratelimit import RateLimited
from appliance.sql import MYSQL, SQLITE
from appliance.sql.addresses import DatabaseAddress
from appliance.sql.lean_peewee import peewee
from appliance.sql.sqlite_files import (
    NO_FILE,
    IntegrityWatch,
    OpenFiles,
    file_identity,
    file_problem,
    is_damage,
    lacks_wal,
    open_files,
)
from appliance.sql.table_names import PREFIX

log = RateLimited(logging.getLogger(__name__))

BUSY_SECONDS = 10.0
_AGAIN_SECONDS = 0.01
SILENT_SECONDS = 10.0
"""So long after a server did not answer only one thread at a time tries it; others fail at once."""

GROUP_CONCAT_OCTETS = 16 * 1024 * 1024

OWN_TABLES: Mapping[str, Any] = MappingProxyType(
    {
        "init_command": f"SET SESSION group_concat_max_len = {GROUP_CONCAT_OCTETS}",
        "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
    }
)
_PRAGMAS = (
    ("auto_vacuum", 2),  # incremental; counts only before the first table is made
    ("journal_mode", "wal"),
    ("synchronous", "normal"),
    ("cache_size", -32_000),
    ("temp_store", "memory"),
    ("journal_size_limit", 64 * 1024 * 1024),
)
_FAILURES = (peewee.PeeweeException, sqlite3.Error, OSError)


class DamagedDatabase(StorageError):  # noqa: N818 - the name says what the database is
    """The file is no whole SQLite database any more."""

    def __init__(self, database: SqlDatabase, problem: str) -> None:
        self.database, self.problem = database, problem
        self.sentence = database.damage_sentence
        super().__init__(f"database {database.name} is damaged ({problem}): {database.remedy}")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the two kinds of SQL spell differently.

    Attributes
    ----------
    conflict
        What follows an INSERT that changes the row that is there; takes the primary key.
    given
        The value that would have been inserted; takes a column.
    least
        The function for the smaller of two values.
    ignore
        INSERT that leaves a row that is there alone.
    """

    conflict: str
    given: str
    least: str
    ignore: str


DIALECTS = {
    SQLITE: Dialect("ON CONFLICT ({}) DO UPDATE SET", "excluded.{}", "min", "INSERT OR IGNORE"),
    MYSQL: Dialect("ON DUPLICATE KEY UPDATE", "VALUES({})", "least", "INSERT IGNORE"),
}


class SqlDatabase:
    """A database that is opened when it is first used.

    Parameters
    ----------
    address
        Where it is.
    prepare
        Called in a transaction of its own after each connection to another file than before, and
        before anything else is done with it: makes or upgrades the tables.
    private
        A SQLite file is made for its owner only.
    mysql
        More options of PyMySQL's connections; by default those of our own tables.
    content
        What a damaged file held, for people.
    remedy
        What is done about it, or is to be done.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        prepare: Callable[[SqlDatabase], None],
        *,
        private: bool = False,
        mysql: Mapping[str, Any] = OWN_TABLES,
        content: str = "tables",
        remedy: str = "restore it from a backup",
    ) -> None:
        self.kind, self.path = MYSQL if address.path is None else SQLITE, address.path
        self.dialect = DIALECTS[self.kind]
        self.connection = _mysql(address, mysql) if self.path is None else _sqlite(self.path)
        driver = () if self.path is not None else (self.connection.failure,)
        self._failures = (*_FAILURES, *driver)
        self.name = address.name
        self._private = private
        self.remedy = remedy
        self.damage_sentence = f"The database of {content} is damaged: {remedy}"
        self._integrity = IntegrityWatch(self.path) if self.path is not None else None
        self._prepare, self._preparing = prepare, threading.Lock()
        self._prepared: tuple[int, int] | None = None
        self._local = threading.local()
        self._silent_until, self._silence = 0.0, ""
        self._unpin: Callable[[], object] = lambda: None

    @contextmanager
    def transaction(self, write: bool = False) -> Iterator[None]:
        """Run the statements of the block as one; what it read is of one moment.

        Raises
        ------
        StorageError
            The database is away, locked or full; the next transaction connects anew.
        DamagedDatabase
            The file is damaged.
        """
        self._refuse_silent()
        self._refuse_damaged()
        try:
            self._connect()
            self._silent_until = 0.0
            with self._atomic(write):
                yield
        except self._failures as error:
            self.close()
            raise self._translate(error) from error

    def beside(self, path: Path) -> SqlDatabase:
        """Return the database of the same tables in another SQLite file."""
        return SqlDatabase(DatabaseAddress(path.name, path), self._prepare, private=self._private)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return list(self.execute(sql, parameters).fetchall())

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run one statement, with `?` for parameters; return its cursor."""
        return self.connection.execute_sql(self._spell(sql), tuple(parameters))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run one statement for many rows; return how many were touched."""
        if not rows:
            return 0
        cursor = self.connection.connection().cursor()
        cursor.executemany(self._spell(sql), rows)
        return max(0, int(cursor.rowcount))

    def vacuum(self, pages: int) -> None:
        """Give so many free pages of a SQLite file back to the file system."""
        try:
            self._connect()
            self.execute(f"PRAGMA incremental_vacuum({int(pages)})").fetchall()
        except self._failures as error:
            self.close()
            raise self._translate(error) from error

    def close(self) -> None:
        """Close the connection of this thread."""
        if self.connection.is_closed():
            return
        if self.path is not None and self._is_orphan():
            # SQLite would delete the write-ahead log of the file that has this name now.
            orphan = self.connection.connection()
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(orphan))
            self._local.orphan = orphan
            self.connection._state.reset()
            return
        with suppress(*self._failures):
            while self.connection.transaction_depth():
                self.connection.pop_transaction()
        with suppress(*self._failures):
            if self.path is not None and lacks_wal(self._local.files, self.path):
                self._save_wal()
        with suppress(*self._failures):
            self.connection.close()

    def take_orphan(self) -> sqlite3.Connection | None:
        """Return this thread's last connection to a file that is not there any more.

        It still reads what that file held. Do not close it.
        """
        orphan: sqlite3.Connection | None = getattr(self._local, "orphan", None)
        self._local.orphan = None
        return orphan

    def octets(self) -> int:
        """Return the size on disk; in MySQL, of our own tables."""
        if self.path is not None:
            names = (self.path, *(Path(f"{self.path}{end}") for end in ("-wal", "-shm")))
            return sum(path.stat().st_size for path in names if path.exists())
        query = (
            "SELECT sum(data_length + index_length) FROM information_schema.tables"
            " WHERE table_schema = ? AND left(table_name, ?) = ?"
        )
        return int(self.rows(query, (self.name, len(PREFIX), PREFIX))[0][0] or 0)

    def check(self) -> None:
        """Read through a SQLite file.

        Raises
        ------
        DamagedDatabase
            It is not whole; the text says where.
        """
        if self.path is None or not self.path.exists():
            return
        with self.transaction():
            pass  # The tables are made.
        try:
            problem = file_problem(self.path)
        except sqlite3.Error as error:
            raise self._translate(error) from error
        if problem:
            raise DamagedDatabase(self, problem)

    def _atomic(self, write: bool) -> Any:
        if self.kind == SQLITE:
            return self.connection.atomic("IMMEDIATE" if write else "DEFERRED")
        return self.connection.atomic()

    def _spell(self, sql: str) -> str:
        return sql.replace("?", "%s") if self.kind == MYSQL else sql

    def _connect(self) -> None:
        if not self.connection.is_closed() and not self._usable():
            self.close()
        if self.connection.is_closed():
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if self._private:
                    self.path.touch(0o600)
            self._local.files = OpenFiles(NO_FILE, NO_FILE, NO_FILE)
            self._open()
            self._local.files = self._files()
        with self._preparing:
            identity = self._local.files.database
            if self._prepared != identity:
                with self._atomic(True):
                    self._prepare(self)
                self._prepared = identity
                self._pin()
                self._local.files = self._files()

    def _open(self) -> None:
        """Open the connection, again where somebody else makes the same file.

        Two that turn a new file to WAL at once would wait for each other, so SQLite refuses one
        without waiting (sqlite.org/rescode.html, SQLITE_BUSY).
        """
        until = time.monotonic() + BUSY_SECONDS
        while self.connection.is_closed():
            try:
                self.connection.connect()
            except peewee.OperationalError as error:
                if "database is locked" not in str(error) or time.monotonic() >= until:
                    raise
                time.sleep(_AGAIN_SECONDS)

    def _pin(self) -> None:
        """Keep the file's inode number from being given to another file of that name.

        With O_PATH, as closing any other descriptor would drop SQLite's locks (fcntl(2)).
        """
        self._unpin()
        if self.path is not None:
            descriptor = os.open(self.path, os.O_PATH | os.O_CLOEXEC)
            self._unpin = weakref.finalize(self, os.close, descriptor)

    def _usable(self) -> bool:
        """Tell whether the open connection still is to the database of that name."""
        if self.path is not None:
            return not self._is_orphan() and not lacks_wal(self._local.files, self.path)
        return bool(self.connection.is_alive())

    def _is_orphan(self) -> bool:
        """Tell whether the file of the open connection has not its name any more."""
        return self.path is not None and self._local.files.database != file_identity(self.path)

    def _save_wal(self) -> None:
        """Write what a deleted write-ahead log holds into the database; only we can still read it.

        Whoever else has it open does the same with its next transaction, before it writes.
        """
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        log.warning(
            "the write-ahead log of database %s was deleted or replaced while in use; what it held "
            "is in the database",
            self.name,
        )

    def _refuse_silent(self) -> None:
        """Raise at once while a server is known to be silent, so that nobody else waits for it."""
        now = time.monotonic()
        if not self._silent_until:
            return
        if now < self._silent_until:
            raise StorageError(self._silence)
        self._silent_until = now + SILENT_SECONDS

    def _refuse_damaged(self) -> None:
        if self.path is None or self._integrity is None or self._prepared is None:
            return
        if self._prepared != file_identity(self.path):
            return  # Another one, of which nothing is known before it is open.
        if problem := self._integrity.problem(self._prepared):
            raise DamagedDatabase(self, problem)

    def _files(self) -> OpenFiles:
        if self.path is None:
            return OpenFiles((0, 0), NO_FILE, NO_FILE)
        return open_files(self.path)

    def _translate(self, error: Exception) -> StorageError:
        if isinstance(error, StorageError):
            return error
        # A full SQLite has rolled back by itself, a closed connection cannot; what matters is why.
        while _cannot_roll_back(error) and isinstance(error.__context__, Exception):
            error = error.__context__
        text = " ".join(str(error).split()) or type(error).__name__
        if self._integrity is not None and is_damage(text):
            if self._prepared is not None:
                self._integrity.note(self._prepared, text)
            return DamagedDatabase(self, text)
        problem = f"database {self.name}: {text}"
        if self.kind == MYSQL and self.connection.is_silent(error):
            self._silent_until, self._silence = time.monotonic() + SILENT_SECONDS, problem
        return StorageError(problem)


def _cannot_roll_back(error: Exception) -> bool:
    return "cannot rollback" in str(error) or error.args == (0, "")


def _sqlite(path: Path) -> Any:
    return peewee.SqliteDatabase(str(path), pragmas=_PRAGMAS, timeout=BUSY_SECONDS)


def _mysql(address: DatabaseAddress, options: Mapping[str, Any]) -> Any:
    # Its driver is large: see `lean_peewee`.
    from appliance.sql.mysql_server import MysqlDatabase

    return MysqlDatabase(address.name, {**address.options(), **options})
