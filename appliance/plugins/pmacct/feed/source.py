"""A table of pmacct's that is only read: which columns it has, and its rows bin by bin.

Nothing is written to the database, not even a temporary table, and a SQLite file is opened
read-only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pymysql
import pymysql.cursors

from appliance.errors import SettingsError, StorageError
from appliance.sql.addresses import database_address
from appliance.sql.mysql_server import connect
from appliance.sql.sqlite_files import NO_FILE, file_identity

FETCH_ROWS = 10_000
_FAILURES = (pymysql.MySQLError, sqlite3.Error, OSError)
_NO_TABLE = 1146


class ServerClock(NamedTuple):
    """A server's clock: seconds since 1970, and how far its local time is ahead of UTC."""

    second: int
    offset: int


class SourceTable:
    """One table of a MySQL database or a SQLite file.

    Parameters
    ----------
    folder
        Where relative SQLite files are.
    """

    def __init__(self, url: str, table: str, folder: Path) -> None:
        self._place = database_address(url, folder)
        self.table, self.path = table, self._place.path
        self.is_mysql = self.path is None
        self.name = f"{self._place.name}.{table}"
        self._connection: Any = None
        self._file = NO_FILE

    def columns(self) -> list[str]:
        """Return the names of the columns.

        Raises
        ------
        SettingsError
            There is no such table.
        """
        with self._translate_errors():
            if self.is_mysql:
                query = (
                    "SELECT column_name FROM information_schema.columns WHERE table_schema ="
                    " DATABASE() AND table_name = %s ORDER BY ordinal_position"
                )
                found = [str(name) for (name,) in self._all(query, (self.table,))]
            else:
                found = [
                    str(row[1]) for row in self._all(f"PRAGMA table_info({self._table_sql()})")
                ]
        if not found:
            raise SettingsError(f"table {self.name} does not exist")
        return found

    def engine(self) -> str:
        """Return the storage engine in lower case."""
        if not self.is_mysql:
            return "sqlite"
        query = (
            "SELECT engine FROM information_schema.tables WHERE table_schema = DATABASE()"
            " AND table_name = %s"
        )
        with self._translate_errors():
            found = self._all(query, (self.table,))
        return str(found[0][0]).lower() if found and found[0][0] else "a view"

    def clock(self) -> ServerClock | None:
        """Return what the server's clock shows; None where there is no server."""
        if not self.is_mysql:
            return None
        query = "SELECT UNIX_TIMESTAMP(), TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW())"
        with self._translate_errors():
            ((second, offset),) = self._all(query)
        return ServerClock(int(second), int(offset))

    def server_text(self, second: int) -> str:
        """Write a moment in the time zone of the server's session, as nfacctd's stamps are."""
        with self._translate_errors():
            ((text,),) = self._all("SELECT FROM_UNIXTIME(%s)", (second,))
        return str(text)

    def newest_stamps(self, count: int) -> list[tuple[Any, Any]]:
        """Return the newest bins, newest first: as the table has them, and their second.

        The second is what the server takes the stamp for; None in SQLite.
        """
        query = (
            f"SELECT DISTINCT stamp_inserted, {self._second()}"
            f" FROM {self._table_sql()}"
            f" ORDER BY stamp_inserted DESC LIMIT {int(count)}"
        )
        with self._translate_errors():
            return [(stamp, second) for stamp, second in self._all(query)]

    def rows(
        self, columns: Sequence[str], after: str | int, until: str | int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield rows with after < stamp_inserted <= until, in that order, some at a time.

        Behind the columns is the second that the server takes the stamp for; None in SQLite.
        """
        names = ", ".join((*map(self._name, columns), self._second()))
        mark = "%s" if self.is_mysql else "?"
        query = (
            f"SELECT {names} FROM {self._table_sql()}"
            f" WHERE stamp_inserted > {mark} AND stamp_inserted <= {mark} ORDER BY stamp_inserted"
        )
        with self._translate_errors(), closing(self._cursor()) as cursor:
            cursor.execute(query, (after, until))
            while found := cursor.fetchmany(FETCH_ROWS):
                yield list(found)

    def distinct(self, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return every combination of some columns."""
        names = ", ".join(map(self._name, columns))
        query = f"SELECT DISTINCT {names} FROM {self._table_sql()}"
        with self._translate_errors():
            return self._all(query)

    def close(self) -> None:
        """Close the connection; the next question opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except _FAILURES:
                return

    def _all(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with closing(self._cursor()) as cursor:
            cursor.execute(query, tuple(parameters))
            return list(cursor.fetchall())

    def _cursor(self) -> Any:
        # A file that was deleted or replaced would be read for ever, and never get a row.
        if self.path is not None and self._file != file_identity(self.path):
            self.close()
        if self._connection is None:
            self._connection = self._open()
        if self.is_mysql:
            return self._connection.cursor(pymysql.cursors.SSCursor)
        return self._connection.cursor()

    def _open(self) -> Any:
        if self.path is not None:
            self._file = file_identity(self.path)
            return sqlite3.connect(
                f"file:{quote(str(self.path))}?mode=ro", uri=True, check_same_thread=False
            )
        return connect(
            **self._place.options(), database=self._place.name, charset="utf8mb4", autocommit=True
        )

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            self.close()
            if error.args[:1] == (_NO_TABLE,) or "no such table" in str(error):
                raise SettingsError(f"table {self.name} does not exist") from error
            said = error.args[-1] if error.args else error
            raise StorageError(f"database of {self.name}: {said}") from error
        except GeneratorExit:
            # Somebody stopped in the middle of an unbuffered answer.
            self.close()
            raise

    def _second(self) -> str:
        return "UNIX_TIMESTAMP(stamp_inserted)" if self.is_mysql else "NULL"

    def _table_sql(self) -> str:
        return self._name(self.table)

    def _name(self, name: str) -> str:
        mark = "`" if self.is_mysql else '"'
        return f"{mark}{name.replace(mark, mark * 2)}{mark}"
