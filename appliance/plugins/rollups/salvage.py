"""Salvage of a damaged SQLite file: set aside, and what can be read of it put into a new one.

Rows of the roll-ups are read from both ends of each part of the key, up to the damage. A file whose
first page is damaged gets that of the new one, as both have the same tables in the same order. One
that was deleted or replaced is read through the connection that still has it open.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from appliance.plugins.rollups.bins import Size
from appliance.plugins.rollups.classify import Classifier
from appliance.plugins.rollups.dimensions import Dimension
from appliance.plugins.rollups.flow_tables import ROLLUP_KEY
from appliance.plugins.rollups.plugin_sums import plugin_dimensions
from appliance.plugins.rollups.rebuild import begin_rebuild, note
from appliance.sql.database import SqlDatabase
from appliance.sql.prefixing import name_in_file
from appliance.sql.table_names import (
    APPLICATION,
    EVENT,
    KNOWN_EXPORTER,
    ROLLUP,
    ROLLUP_COLUMN,
    ROLLUP_PROGRESS,
    SESSION_APPLICATION,
    WORK,
)

_BATCH = 5_000
_KEY = ", ".join(ROLLUP_KEY)
_HEADER_OCTETS, _PAGE_OCTETS = 100, 4096
_OPEN_FILES = Path("/proc/self/fd")
_PAGES_AT = slice(28, 32)
_TABLES = {
    KNOWN_EXPORTER: ("id, address", 2),
    APPLICATION: ("exporter, application_id, name", 3),
    SESSION_APPLICATION: ("exporter, port, domain, application_id, name", 5),
    WORK: ("size, bin_start, first_segment, first_row, last_segment, last_row, done", 7),
    EVENT: ("happened, content", 2),
    ROLLUP_COLUMN: ("name, dimension, since", 3),
    ROLLUP_PROGRESS: ("id, content", 2),
}


def salvage(database: SqlDatabase, folder: Path, classifier: Classifier, now: float) -> str:
    """Put a new SQLite file in the place of a damaged one, with what can be read of that.

    Until the new one is whole the damaged one stays in its place: a crash begins this anew.

    Returns
    -------
    str
        What was done, for people.
    """
    if database.path is None:
        raise RuntimeError("only a file can be salvaged")
    beside, aside = Path(f"{database.path}.salvaged"), _unused_name(database.path, int(now))
    _delete(beside)
    fresh, orphan = database.beside(beside), database.take_orphan()
    try:
        with fresh.transaction():
            pass  # The tables are made.
        rows = _salvage_rows(fresh, database.path, orphan)
        text = f"damaged database set aside as {aside.name}, {rows} rows salvaged"
        with fresh.transaction(write=True):
            note(fresh, now, text)
        rebuilt = begin_rebuild(fresh, folder, classifier, now)
    finally:
        fresh.close()
    database.close()
    # The logs first: SQLite would take them for those of a file that comes in between.
    for end in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.replace(f"{database.path}{end}", f"{aside}{end}")
    os.replace(beside, database.path)
    return f"{text}; {rebuilt}"


def _unused_name(path: Path, now: int) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{now}")
    while aside.exists():
        now += 1
        aside = path.with_name(f"{path.name}.damaged-{now}")
    return aside


def _delete(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)


def _salvage_rows(fresh: SqlDatabase, path: Path, orphan: sqlite3.Connection | None) -> int:
    """Copy what can be read, through the connection that has the file open if there is one."""
    if orphan is not None:
        # A file that came in its place may write into the log that the connection reads.
        copied, is_whole = _copy_tables(fresh, orphan)
        return copied if is_whole else copied + _copy_deleted(fresh, path)
    _mend_first_page(path, fresh)
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as damaged:
        return _copy_tables(fresh, damaged)[0]
    return 0


def _copy_deleted(fresh: SqlDatabase, path: Path) -> int:
    """Copy what a deleted file that is still open here had without its write-ahead log, where rows
    are missing."""
    deleted = f"{path.absolute()} (deleted)"
    links = [link for link in _OPEN_FILES.glob("*") if _target(link) == deleted]
    copy = Path(f"{path}.deleted")
    for link in sorted(links, key=lambda link: link.stat().st_mtime_ns)[-1:]:
        try:
            # SQLite opens no file that has no name.
            shutil.copyfile(link, copy)
            with closing(sqlite3.connect(copy)) as connection:
                return _copy_rollup(fresh, connection)[0]
        except (OSError, sqlite3.Error):
            return 0
        finally:
            _delete(copy)
    return 0


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""  # closed meanwhile


def _mend_first_page(path: Path, fresh: SqlDatabase) -> None:
    """Give a file that SQLite does not take for a database the header of a new one, else its page.

    The first page has the header and where each table begins. With auto_vacuum tables begin in the
    first pages, in the order in which they were made, which is the same in both ("Database File
    Format", sqlite.org/fileformat2.html, 1.3 and 1.8).
    """
    if fresh.path is None:
        return
    fresh.close()
    new_page = fresh.path.read_bytes()[:_PAGE_OCTETS]
    for octets in (_HEADER_OCTETS, _PAGE_OCTETS):
        if _has_tables(path):
            return
        with path.open("r+b") as file:
            pages = os.fstat(file.fileno()).st_size // _PAGE_OCTETS
            header = bytearray(new_page[:octets])
            header[_PAGES_AT] = pages.to_bytes(4, "big")
            file.write(header)


def _has_tables(path: Path) -> bool:
    """Tell whether SQLite can say which tables a file has."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    except sqlite3.Error:
        return False


def _copy_tables(fresh: SqlDatabase, damaged: sqlite3.Connection) -> tuple[int, bool]:
    """Copy what can be read; return how many rows that are, and whether sums could all be read."""
    damaged.text_factory = lambda octets: octets.decode(errors="replace")
    small = sum(_copy_table(fresh, damaged, table, *columns) for table, columns in _TABLES.items())
    sums, is_whole = _copy_rollup(fresh, damaged)
    return small + sums, is_whole


def _copy_table(
    database: SqlDatabase, damaged: sqlite3.Connection, table: str, columns: str, width: int
) -> int:
    """Copy a small table as far as it can be read."""
    rows: list[Sequence[Any]] = []
    with suppress(sqlite3.Error):
        rows.extend(damaged.execute(f"SELECT {columns} FROM {name_in_file(damaged, table)}"))
    marks = ", ".join("?" * width)
    with database.transaction(write=True):
        database.executemany(f"REPLACE INTO {table} ({columns}) VALUES ({marks})", rows)
    return len(rows)


def _copy_rollup(database: SqlDatabase, damaged: sqlite3.Connection) -> tuple[int, bool]:
    """Copy each part of the key from its start to the damage, and from its end back to it."""
    marks = ", ".join("?" * (len(ROLLUP_KEY) + 3))
    insert = (
        f"{database.dialect.ignore} INTO {ROLLUP} ({_KEY}, octets, packets, flows) VALUES ({marks})"
    )
    source, copied, is_whole = name_in_file(damaged, ROLLUP), 0, True
    with database.transaction():
        dimensions = [*Dimension, *plugin_dimensions(database)]
    for dimension in dimensions:
        for size in Size:
            for order in ("", " DESC"):
                turned = ", ".join(f"{column}{order}" for column in ROLLUP_KEY)
                rows = _readable(
                    damaged,
                    f"SELECT {_KEY}, octets, packets, flows FROM {source}"
                    f" WHERE dimension = ? AND size = ? ORDER BY {turned}",
                    (int(dimension), int(size)),
                )
                while batch := list(islice(rows, _BATCH)):
                    with database.transaction(write=True):
                        copied += database.executemany(insert, batch)
                is_whole &= rows.whole
                if rows.whole:
                    break
    return copied, is_whole


class _Readable:
    """Rows of a query up to the first that cannot be read; `whole` when there was none such."""

    def __init__(self, rows: Iterator[Any], broken: bool = False) -> None:
        self._rows, self.broken, self.whole = rows, broken, False

    def __iter__(self) -> _Readable:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._rows)
        except StopIteration:
            self.whole = not self.broken
            raise
        except sqlite3.Error:
            self.broken = True
            raise StopIteration from None


def _readable(damaged: sqlite3.Connection, sql: str, parameters: Sequence[int]) -> _Readable:
    try:
        return _Readable(iter(damaged.execute(sql, parameters)))
    except sqlite3.Error:
        return _Readable(iter(()), broken=True)
