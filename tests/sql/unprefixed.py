"""Databases as they were before our tables had a prefix, and what they hold."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CLIENT

from appliance.contracts import Selection
from appliance.plugins.sql_accounts.accounts import SqlAccounts
from appliance.sql.addresses import DatabaseAddress, database_address
from appliance.sql.appliance_database import accounts_database
from appliance.sql.table_names import APPLICATION
from tests.plugins.rollups.world import START, World

DATABASES = Path(__file__).parents[1] / "data" / "databases"
RECORDED = START + 7305
TOTALS = (1_708_965, 1289, 29)
TABLES = {
    *("rollup", "work", "progress", "application", "known_exporter", "event", "schema_version"),
    *("exporter", "forgotten_exporter", "account", "role", "account_role", "api_token"),
    *("sign_in_attempts", "sign_in_client", "audit"),
}
CONTENT = {
    "totals": TOTALS,
    "largest source": ("198.51.100.1", 794_254, 639, 13),
    "exporters": [(1, "192.0.2.1", "core", "first floor"), (2, "192.0.2.2", "", "")],
    "rows": 422,
    "applications": [("192.0.2.1", "17", "webex")],
    "events": ["an event"],
    "users": [(1, "anna", "Anna", ("Administrator",))],
    "tokens": [("grafana", "User", 1)],
    "audit": ["POST /api/v1/admin/users"],
    "known client": True,
}


def make_unprefixed(world: World) -> None:
    """Make the databases of a world as an older version left them."""
    world.now = RECORDED
    place = database_address(world.url, world.folder)
    if place.path is None:
        run_script(place, (DATABASES / "unprefixed-mariadb.sql").read_text())
        return
    for name in ("flows", "appliance"):
        file = place.path.with_name(f"{name}.sqlite")
        run_script(DatabaseAddress(name, file), (DATABASES / f"unprefixed-{name}.sql").read_text())


def run_script(place: DatabaseAddress, script: str) -> list[tuple[Any, ...]]:
    """Run statements past the program; return the rows of the first."""
    if place.path is not None:
        with contextlib.closing(sqlite3.connect(place.path)) as file:
            if script.startswith("SELECT"):
                return list(file.execute(script))
            file.executescript(script)
            return []
    options = {**place.options(), "database": place.name, "autocommit": True}
    with (
        pymysql.connect(**options, client_flag=CLIENT.MULTI_STATEMENTS) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(script)
        rows = list(cursor.fetchall())
        while cursor.nextset():
            pass
        return rows


def tables(place: DatabaseAddress) -> set[str]:
    """Return the names of all tables of a database."""
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
    if place.path is not None:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return {name for (name,) in run_script(place, query)}


def places(world: World) -> list[DatabaseAddress]:
    """Return the databases of a world: one of MariaDB, or two files."""
    urls = {world.settings["flows.database"], world.settings["database"]}
    return [database_address(url, world.folder) for url in sorted(urls)]


def content(world: World) -> dict[str, Any]:
    """Return what the program says is in the databases, in the form of `CONTENT`."""
    store = world.store
    (largest, *_) = world.top("source").rows
    accounts = SqlAccounts(accounts_database(world.settings["database"], world.folder))
    try:
        return {
            "totals": tuple(store.totals(Selection())),
            "largest source": tuple(largest),
            "exporters": [(e.id, e.address, e.name, e.info) for e in store.exporters()],
            "rows": store.health()["rows"],
            "applications": store.flows.rows(f"SELECT * FROM {APPLICATION}"),
            "events": [event["text"] for event in store.health()["events"]],
            "users": [(u.id, u.username, u.firstname, u.roles) for u in accounts.users()],
            "tokens": [(token.name, token.role, token.owner) for token in accounts.tokens()],
            "audit": [entry.action for entry in accounts.audit(10)],
            "known client": accounts.knows_client("anna", "192.0.2.77", 0),
        }
    finally:
        accounts.close()
