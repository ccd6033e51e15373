"""What can happen to the file of a SQLite database."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

PAGE = 4096
Damage = Callable[[Path], None]


def overwrite_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(100))


def overwrite_first_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(PAGE))


def overwrite_middle(path: Path) -> None:
    pages = path.stat().st_size // PAGE
    with path.open("r+b") as file:
        for page in range(pages // 2, pages // 2 + max(3, pages // 50)):
            file.seek(page * PAGE)
            # A page that begins like this is none of a b-tree.
            file.write(b"\xff" + os.urandom(PAGE - 1))


def truncate_to_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def delete(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def delete_file_alone(path: Path) -> None:
    path.unlink()


def foreign_database(path: Path) -> Path:
    other = path.with_name("other")
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE appliance_rollup (anything)")
    connection.executemany("INSERT INTO appliance_rollup VALUES (?)", [("x" * 1000,)] * 100)
    connection.commit()
    connection.close()
    return other


def replace_by_another(path: Path) -> None:
    os.replace(foreign_database(path), path)


def copy_another_over_it(path: Path) -> None:
    other = foreign_database(path)
    shutil.copyfile(other, path)
    other.unlink()


def delete_wal(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def write_back(path: Path) -> None:
    """Bring what the write-ahead log holds into the file, so that its damage is felt."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    finally:
        connection.close()
