from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Any

import pytest

from appliance.contracts import ExporterRecord
from tests.web.appliance import Appliance, made_appliance
from tests.web.building import NOW, Client, FakeStore, Flow, settings_of, web_of


@pytest.fixture
def settings(tmp_path):
    return settings_of(tmp_path)


@pytest.fixture
def store() -> FakeStore:
    records = [
        ExporterRecord(1, "127.0.0.1", "", "", 1_623_744_966.004006, 1_623_744_966.004006),
        ExporterRecord(2, "2001:db8::2", "core", "rack 4", 1_600_000_000.0, NOW - 60),
    ]
    flows = [
        Flow(NOW - 30, 1500, 10),
        Flow(NOW - 90, 500, 5, exporter=2, direction=1, application="dns", protocol="17"),
        Flow(NOW - 7200, 90, 1, 3, source="192.0.2.7", protocol="250"),
    ]
    return FakeStore(flows, records)


@pytest.fixture
def client(store, settings) -> Client:
    return Client(web_of(store, settings))


@pytest.fixture
def client_of(store, settings) -> Callable[..., Client]:
    """Return a client of an application made of other parts."""

    def make(routes: Any = None, *, zone: Any = UTC, now: float = NOW, cors: Any = None) -> Client:
        return Client(web_of(store, settings, routes, zone=zone, now=now, cors=cors))

    return make


@pytest.fixture
def appliance(tmp_path) -> Iterator[Appliance]:
    """A whole appliance on SQLite."""
    made = made_appliance(tmp_path)
    yield made
    made.close()
