"""Notices what others do to the file of a SQLite database while it is open here.

A connection that has pages in memory does not see what happens to them on the disk, and one whose
file or write-ahead log was deleted goes on with what nobody else can open ("How To Corrupt An
SQLite Database File", sqlite.org/howtocorrupt.html).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from appliance.sql.table_names import SCHEMA_VERSION

CHECK_SECONDS = 20.0
"""Between two checks of a small database; those of a large one take at most 2 % of the time."""

_CHECKED_PART = 0.02
_BUSY_SECONDS = 5.0
_DAMAGE = (
    "malformed",
    "not a database",
    "disk image",
    "corrupt",
    # Of tables that were made when it was opened: another file was copied over it.
    "no such table",
    "no such column",
    "has no column named",
)

Identity = tuple[int, int]
NO_FILE: Identity = (-1, -1)


class OpenFiles(NamedTuple):
    """The device and inode numbers of a database's files; `NO_FILE` for one that is not there."""

    database: Identity
    wal: Identity
    shm: Identity


def file_identity(path: Path | str) -> Identity:
    """Return device and inode number of a file, `NO_FILE` when there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return NO_FILE
    return (status.st_dev, status.st_ino)


def open_files(path: Path) -> OpenFiles:
    """Return which files a database consists of at the moment."""
    return OpenFiles(*(file_identity(f"{path}{end}") for end in ("", "-wal", "-shm")))


def lacks_wal(opened: OpenFiles, path: Path) -> bool:
    """Tell whether the -wal or the -shm file of an open database was deleted or replaced.

    Parameters
    ----------
    opened
        The files when the connection was made.
    """
    now = open_files(path)
    pairs = zip(opened[1:], now[1:], strict=True)
    return opened.database == now.database and any(
        before not in (NO_FILE, after) for before, after in pairs
    )


def is_damage(text: str) -> bool:
    """Tell whether SQLite's words say that the file is damaged."""
    return any(word in text for word in _DAMAGE)


def file_problem(path: Path) -> str:
    """Read through a database with a connection of its own; return what is wrong, "" when whole.

    Raises
    ------
    sqlite3.Error
        It cannot be read now, which says nothing about it.
    """
    try:
        with closing(
            sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=_BUSY_SECONDS)
        ) as connection:
            text = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            if text != "ok":
                return " ".join(text.split())
            # A file of no octets is a whole database too.
            connection.execute(f"SELECT 1 FROM {SCHEMA_VERSION}").fetchone()
    except sqlite3.Error as error:
        if is_damage(str(error)):
            return str(error)
        raise
    return ""


class IntegrityWatch:
    """Reads through a SQLite file now and then, in a thread of its own.

    Call `problem` often: it is cheap, and begins the next check when it is time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._due = time.monotonic() + CHECK_SECONDS
        self._problem: tuple[Identity, str] = (NO_FILE, "")

    def problem(self, identity: Identity) -> str:
        """Return what was wrong with a file when it was last read, "" for nothing.

        Parameters
        ----------
        identity
            Of the file, which has its tables.
        """
        if time.monotonic() >= self._due and self._lock.acquire(blocking=False):
            check = threading.Thread(target=self._check, args=(identity,), daemon=True)
            check.start()
        checked, text = self._problem
        return text if checked == identity else ""

    def note(self, identity: Identity, text: str) -> None:
        """Take over what a statement met; the next check, which is due, confirms it or not."""
        self._problem, self._due = (identity, text), 0.0

    def _check(self, identity: Identity) -> None:
        begin = time.monotonic()
        try:
            # Whoever uses it meets the same error, and says it.
            with suppress(sqlite3.Error):
                text = file_problem(self._path)
                said = self._problem[1] if self._problem[0] == identity else ""
                if file_identity(self._path) == identity:
                    # One problem keeps its words, so that it is logged once.
                    self._problem = identity, text and (said or text)
            now = time.monotonic()
            self._due = now + max(CHECK_SECONDS, (now - begin) / _CHECKED_PART)
        finally:
            self._lock.release()
