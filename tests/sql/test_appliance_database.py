"""The appliance database of an older version: upgraded with its data, copied before on SQLite."""

from __future__ import annotations

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.contracts import ADMINISTRATOR, USER
from appliance.plugins.sql_accounts.accounts import SqlAccounts
from appliance.sql.addresses import database_address
from appliance.sql.appliance_database import appliance_database
from appliance.sql.appliance_tables import APPLIANCE_MIGRATIONS
from appliance.sql.database import SqlDatabase
from appliance.sql.migrations import migrate, schema_version

ROW = (
    "INSERT INTO appliance_exporter (id, address, name, created, updated)"
    " VALUES (7, '192.0.2.1', 'a', 1, 2)"
)


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return "sqlite:appliance.sqlite"
    return str(request.getfixturevalue("mariadb").new_database())


def older(url: str, folder: Path, version: int) -> None:
    """Make a database of an older version that has an exporter."""
    migrations = APPLIANCE_MIGRATIONS[:version]
    database = SqlDatabase(
        database_address(url, folder), lambda db: migrate(db, migrations, "appliance")
    )
    with database.transaction(write=True):
        database.execute(ROW)
    database.close()


@pytest.mark.parametrize("version", range(1, len(APPLIANCE_MIGRATIONS)))
def test_database_when_of_an_older_version_then_upgraded_with_its_data(url, tmp_path, version):
    older(url, tmp_path, version)
    database = appliance_database(url, tmp_path)
    accounts = SqlAccounts(database)
    assert accounts.users() == []
    assert accounts.roles() == [ADMINISTRATOR, USER]
    with database.transaction():
        assert database.rows("SELECT id, name, info FROM appliance_exporter") == [(7, "a", "")]
        assert schema_version(database, "appliance") == len(APPLIANCE_MIGRATIONS)
    accounts.close()


def test_database_when_upgraded_on_sqlite_then_a_copy_of_before_stays(tmp_path):
    older("sqlite:appliance.sqlite", tmp_path, 2)
    accounts = SqlAccounts(appliance_database("sqlite:appliance.sqlite", tmp_path))
    accounts.users()
    accounts.close()
    copy = tmp_path / f"appliance.sqlite.before-{len(APPLIANCE_MIGRATIONS)}"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(copy) as found:
        assert found.execute("SELECT version FROM appliance_schema_version").fetchall() == [(2,)]
        assert found.execute("SELECT id, name, info FROM appliance_exporter").fetchall() == [
            (7, "a", "")
        ]
        tables = found.execute("SELECT name FROM sqlite_master WHERE name = 'account'").fetchall()
    found.close()
    assert tables == []


def test_database_when_made_then_never_readable_for_others(tmp_path, monkeypatch):
    monkeypatch.setattr("appliance.sql.appliance_database.os.chmod", lambda *_: None)
    accounts = SqlAccounts(appliance_database("sqlite:appliance.sqlite", tmp_path))
    accounts.users()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    accounts.close()
    assert modes == {0o600}


def test_database_when_new_then_for_its_owner_only_and_no_copy(tmp_path):
    accounts = SqlAccounts(appliance_database("sqlite:appliance.sqlite", tmp_path))
    accounts.users()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}
    assert not [name for name in modes if "before" in name]
    accounts.close()


def test_database_when_many_make_its_file_at_once_then_none_finds_it_locked(tmp_path: Path) -> None:
    def make(folder: Path, barrier: threading.Barrier) -> None:
        database = appliance_database("sqlite:appliance.sqlite", folder)
        barrier.wait(10)
        with database.transaction():
            pass
        database.close()

    with ThreadPoolExecutor(6) as pool:
        for number in range(60):  # One round in thirty met it.
            barrier = threading.Barrier(6)
            made = [pool.submit(make, tmp_path / str(number), barrier) for _ in range(6)]
            assert [each.result() for each in made] == [None] * 6
