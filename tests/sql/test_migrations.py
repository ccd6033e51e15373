"""Databases of older versions are brought to the newest, with what is in them."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.contracts import Selection
from appliance.errors import StorageError
from appliance.plugins.rollups.flow_tables import FLOW_MIGRATIONS
from appliance.sql.addresses import database_address
from appliance.sql.appliance_tables import APPLIANCE_MIGRATIONS
from appliance.sql.database import SqlDatabase
from appliance.sql.migrations import migrate, schema_version

START = 1_801_429_200


def older(world: Any, url: str, what: str, migrations: Any) -> SqlDatabase:
    """Make a database of version 1."""
    return SqlDatabase(
        database_address(url, world.folder), lambda db: migrate(db, migrations[:1], what)
    )


def appliance_url(world: Any) -> str:
    return world.url if world.url.startswith("mysql") else "sqlite:appliance.sqlite"


def test_migrations_when_both_databases_are_of_version_1_then_upgraded_with_their_data(world: Any):
    flows = older(world, world.url, "flow", FLOW_MIGRATIONS)
    with flows.transaction(write=True):
        for direction in (0, 1):
            flows.execute(
                "INSERT INTO appliance_rollup VALUES (0, 4, 0, ?, ?, 0, '', 5, 6, 7)",
                (direction, 1_798_761_600),
            )
        flows.execute("INSERT INTO appliance_application VALUES ('192.0.2.1', '17', 'webex')")
        flows.execute(
            "INSERT INTO appliance_rollup_progress VALUES (1, ?)",
            ('{"flows": [0, 0], "options": [0, 0], "oldest": 1798761600, "newest": 1798761660}',),
        )
        assert schema_version(flows, "flow") == 1
    flows.close()
    appliance = older(world, appliance_url(world), "appliance", APPLIANCE_MIGRATIONS)
    with appliance.transaction(write=True):
        appliance.execute(
            "INSERT INTO appliance_exporter VALUES (7, '192.0.2.1', 'core', 10.5, 11.5)"
        )
    appliance.close()

    (record,) = world.store.exporters()
    assert (record.id, record.name, record.info) == (7, "core", "")
    assert (record.created, record.updated) == (10.5, 11.5)
    assert tuple(world.store.totals(Selection())) == (10, 12, 14)
    assert world.store.health()["schema_version"] == len(FLOW_MIGRATIONS)
    world.write(world.flows(10))
    world.load()
    world.write(world.flows(1, exporter_address_lo=0xFFFF_C000_0201, application_id=17))
    world.load()
    assert "webex" in {row.key for row in world.top("application").rows}
    assert [r.address for r in world.store.exporters()] == ["192.0.2.1", "192.0.2.2"]
    assert world.store.exporters()[1].id == 8


def test_migrations_when_interrupted_then_done_again(world: Any):
    appliance = older(world, appliance_url(world), "appliance", APPLIANCE_MIGRATIONS)
    with appliance.transaction(write=True):
        appliance.execute("INSERT INTO appliance_exporter VALUES (1, '192.0.2.1', '', 1.0, 1.0)")
        if world.url.startswith("mysql"):
            appliance.execute(APPLIANCE_MIGRATIONS[1][0])
    appliance.close()
    assert world.store.exporters()[0].info == ""


def test_migrations_when_the_database_is_newer_then_refused(world: Any):
    with world.store.flows.transaction(write=True):
        world.store.flows.execute(
            "UPDATE appliance_schema_version SET version = 99 WHERE what = 'flow'"
        )
    world.restart()
    with pytest.raises(StorageError, match="version 99"):
        world.store.totals(Selection())
