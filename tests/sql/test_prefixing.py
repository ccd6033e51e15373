"""Tables made before they had a prefix are renamed with their data; tables of others stay."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from appliance.contracts import Selection, UserChange
from appliance.errors import StorageError
from appliance.plugins.rollups.store import SqlStore
from appliance.plugins.sql_accounts.accounts import SqlAccounts
from appliance.sql.addresses import database_address
from appliance.sql.appliance_database import accounts_database
from appliance.sql.appliance_tables import APPLIANCE_MIGRATIONS
from appliance.sql.copies import database_backups
from appliance.sql.database import SqlDatabase
from appliance.sql.prefixing import OLD_TABLES
from tests.sql.unprefixed import (
    CONTENT,
    TABLES,
    TOTALS,
    content,
    make_unprefixed,
    places,
    run_script,
    tables,
)

FOREIGN = """
    CREATE TABLE schema_version (installed_rank INTEGER, version VARCHAR(20));
    INSERT INTO schema_version VALUES (1, '4.2');
    CREATE TABLE rollup (id INTEGER, text VARCHAR(20));
    INSERT INTO rollup VALUES (7, 'theirs');
    CREATE TABLE account (id INTEGER, text VARCHAR(20));
    INSERT INTO account VALUES (8, 'theirs');
"""


def all_tables(world: Any) -> set[str]:
    return set[str]().union(*(tables(place) for place in places(world)))


def test_content_when_made_before_the_prefix_then_all_of_it_is_there(world: Any):
    make_unprefixed(world)
    assert all_tables(world) == TABLES
    assert content(world) == CONTENT
    assert all(name.startswith("appliance_") for name in all_tables(world))
    world.restart()
    assert content(world) == CONTENT


def test_identifiers_when_tables_were_renamed_then_none_is_used_again(world: Any):
    make_unprefixed(world)
    accounts = SqlAccounts(accounts_database(world.settings["database"], world.folder))
    change = UserChange({"username": "new", "password_hash": "x"}, ("User",))
    assert accounts.create_user(change, world.now) == 3  # 2 was deleted
    accounts.close()
    world.write(world.flows(40, world.now))
    world.load()
    assert world.store.totals(Selection()).flows > TOTALS[2]


@pytest.mark.parametrize("statements", [1, 2, 5, 6])
def test_renaming_when_sqlite_is_cut_then_nothing_is_changed_and_done_again(
    sqlite_world: Any, monkeypatch: pytest.MonkeyPatch, statements: int
):
    make_unprefixed(sqlite_world)
    left = [statements]
    execute = SqlDatabase.execute

    def cut(database: SqlDatabase, sql: str, *parameters: Any) -> Any:
        left[0] -= sql.startswith("ALTER TABLE")
        if left[0] < 0:
            raise OSError("cut")
        return execute(database, sql, *parameters)

    with monkeypatch.context() as patch:
        patch.setattr(SqlDatabase, "execute", cut)
        with pytest.raises(StorageError, match="cut"):
            sqlite_world.store.totals(Selection())
    sqlite_world.restart()
    assert all_tables(sqlite_world) == TABLES
    assert content(sqlite_world) == CONTENT


@pytest.mark.parametrize("renamed", [1, 6, 15, 16])
def test_renaming_when_the_server_died_amid_it_then_the_others_are_renamed(
    world: Any, renamed: int
):
    if world.url.startswith("sqlite"):
        pytest.skip("SQLite renames all or none")
    make_unprefixed(world)
    (place,) = places(world)
    pairs = [(old.old_name, old.name) for what in OLD_TABLES for old in OLD_TABLES[what]]
    pairs.append(("schema_version", "appliance_schema_version"))
    for old, new in pairs[:renamed]:
        run_script(place, f"RENAME TABLE {old} TO {new}")
    assert content(world) == CONTENT
    assert not TABLES & tables(place)


def test_foreign_tables_when_of_the_same_names_then_untouched_and_the_store_works(world: Any):
    for place in places(world):
        run_script(place, FOREIGN)
    world.write(world.flows(50))
    world.load()
    world.check()
    assert world.store.exporters()
    accounts = SqlAccounts(accounts_database(world.settings["database"], world.folder))
    assert accounts.users() == []
    accounts.close()
    for place in places(world):
        assert run_script(place, "SELECT * FROM schema_version") == [(1, "4.2")]
        assert run_script(place, "SELECT * FROM rollup") == [(7, "theirs")]
        assert run_script(place, "SELECT * FROM account") == [(8, "theirs")]


def test_foreign_versions_when_their_columns_are_as_ours_then_untouched(world: Any):
    for place in places(world):
        run_script(
            place,
            "CREATE TABLE schema_version (what VARCHAR(20) NOT NULL, version VARCHAR(9));"
            " INSERT INTO schema_version VALUES ('billing', '4.2'), ('flow', '2')",
        )
    world.write(world.flows(50))
    world.load()
    world.check()
    assert world.store.exporters()
    for place in places(world):
        query = "SELECT * FROM schema_version ORDER BY what"
        assert run_script(place, query) == [("billing", "4.2"), ("flow", "2")]


def test_foreign_event_when_it_was_there_before_ours_then_stays_and_ours_is_made(world: Any):
    make_unprefixed(world)
    for place in places(world):
        for name in ("event", "audit"):
            if name in tables(place):
                run_script(
                    place,
                    f"DROP TABLE {name}; CREATE TABLE {name} (id INTEGER, title VARCHAR(9));"
                    f" INSERT INTO {name} VALUES (1, 'theirs')",
                )
    expected = {**CONTENT, "events": [], "audit": []}
    assert content(world) == expected
    world.restart()
    assert content(world) == expected
    assert all_tables(world) & TABLES == {"event", "audit"}
    for place in places(world):
        for name in tables(place) & TABLES:
            assert run_script(place, f"SELECT * FROM {name}") == [(1, "theirs")]


def test_renaming_when_collector_and_api_start_at_once_then_both_have_the_data(world: Any):
    make_unprefixed(world)
    barrier = threading.Barrier(8)
    answers: list[Any] = []

    def start() -> None:
        store = SqlStore(world.url, world.settings, world.limits, clock=lambda: world.now)
        barrier.wait()
        answers.append((tuple(store.totals(Selection())), len(store.exporters())))
        store.close()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [(TOTALS, 2)] * 8


def test_renaming_when_the_user_may_not_then_told_what_an_administrator_can_run(
    world: Any, request: pytest.FixtureRequest
):
    if world.url.startswith("sqlite"):
        pytest.skip("SQLite knows no users")
    make_unprefixed(world)
    (place,) = places(world)
    server = request.getfixturevalue("mariadb")
    server.run(
        "CREATE OR REPLACE USER 'modest'@'127.0.0.1' IDENTIFIED BY 'modest'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON {place.name}.* TO 'modest'@'127.0.0.1'",
    )
    administrator = place
    world.url = world.url.replace("appliance:sec%40ret", "modest:modest")
    with pytest.raises(StorageError, match="let an administrator run: RENAME TABLE") as refusal:
        world.store.totals(Selection())
    run_script(administrator, str(refusal.value).partition("run: ")[2])
    assert content(world) == CONTENT


def test_backup_when_made_before_the_prefix_then_restored_in_place_of_newer_tables(
    world: Any, tmp_path: Path
):
    make_unprefixed(world)
    parts = database_backups(world.settings)
    for part in parts:
        (tmp_path / part.name).mkdir()
        part.save(tmp_path / part.name)
    assert content(world) == CONTENT
    world.write(world.flows(40, world.now))
    world.load()
    world.store.change_exporter(1, name="renamed")
    assert content(world) != CONTENT
    world.restart()
    for part in parts:
        part.restore(tmp_path / part.name)
    assert all_tables(world) == TABLES
    assert content(world) == CONTENT


def test_damaged_file_when_its_tables_have_no_prefix_then_salvaged(sqlite_world: Any):
    world = sqlite_world
    make_unprefixed(world)
    path = world.folder / "flows.sqlite"
    with sqlite3.connect(path) as file:
        (root,) = file.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'schema_version'"
        ).fetchone()
        (size,) = file.execute("PRAGMA page_size").fetchone()
    file.close()
    octets = bytearray(path.read_bytes())
    octets[(root - 1) * size : root * size] = b"\xff" * size
    path.write_bytes(octets)
    report = world.store.load_once(world.now)
    assert "rows salvaged" in "".join(report.warnings)
    assert tuple(world.store.totals(Selection())) == TOTALS
    assert [e.address for e in world.store.exporters()] == ["192.0.2.1", "192.0.2.2"]
    assert all(
        name.startswith("appliance_") for name in tables(database_address(world.url, world.folder))
    )


def test_appliance_file_when_its_tables_are_renamed_then_a_copy_of_before_stays(sqlite_world: Any):
    make_unprefixed(sqlite_world)
    assert content(sqlite_world) == CONTENT
    copy = sqlite_world.folder / f"appliance.sqlite.before-{len(APPLIANCE_MIGRATIONS)}"
    (sqlite_world.folder / "appliance.sqlite").unlink()
    copy.rename(sqlite_world.folder / "appliance.sqlite")
    sqlite_world.restart()
    assert content(sqlite_world) == CONTENT


def test_size_when_another_application_shares_the_database_then_of_ours_only(world: Any):
    if world.url.startswith("sqlite"):
        pytest.skip("the size of a file is that of all in it")
    (place,) = places(world)
    before = world.store.health()["octets"]
    run_script(place, "CREATE TABLE bills (text LONGTEXT)")
    run_script(place, "INSERT INTO bills VALUES (REPEAT('x', 1000000))")
    assert world.store.health()["octets"] == before > 0


def test_tables_when_made_by_the_migrations_then_all_begin_with_the_prefix(world: Any):
    world.store.health()
    world.store.exporters()
    names = all_tables(world)
    assert {f"appliance_{name}" for name in TABLES - {"progress"}} <= names
    assert all(name.startswith("appliance_") for name in names)
