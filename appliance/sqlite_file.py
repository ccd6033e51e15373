"""A small SQLite file of the data directory that several processes read and write now and then.

It is opened for each question and each change. A damaged one is set aside, so that the next change
begins anew.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from appliance.errors import StorageError

_BUSY_SECONDS = 5.0


class SqliteFile:
    """Reads and writes one file; one that is not there is empty.

    Parameters
    ----------
    schema
        The statements that make its tables where they are missing.
    mode
        Of the file when it is made; None: as SQLite makes it.
    """

    def __init__(self, path: Path, schema: str, mode: int | None = None) -> None:
        self.path = path
        self._schema, self._mode = schema, mode

    def rows(
        self, sql: str, parameters: Mapping[str, object] | Sequence[object] = ()
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a question.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        if not self.path.exists():
            return []
        try:
            with closing(self._open("ro")) as connection:
                return connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"{self.path} cannot be read: {error}") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        try:
            if self._mode is not None:
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, self._mode))
            with closing(self._open("rwc")) as connection:
                connection.executescript(self._schema)
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
        except sqlite3.Error as error:
            # Those below it say that it cannot be written now; it itself, that the file is damaged.
            if type(error) is not sqlite3.DatabaseError:
                raise StorageError(f"{self.path}: {error}") from error
            aside = self.path.with_suffix(".damaged")
            os.replace(self.path, aside)
            raise StorageError(f"{self.path}: {error}; it is set aside as {aside.name}") from error
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}") from error

    def _open(self, mode: str) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)
