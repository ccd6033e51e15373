"""Invented exporters that fill the room for names of applications push out only each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from appliance.flows import FlowBatch, address_halves
from appliance.plugins.metrics.health import THROTTLED_SECONDS, application_hints
from appliance.plugins.rollups import application_names
from tests.plugins.rollups.conftest import world
from tests.plugins.rollups.world import START, World

__all__ = ["world"]
"""A fixture."""

PLACES = 33
LASTING, NAMED, HONEST, INVENTED = "192.0.2.1", "192.0.2.2", "192.0.2.3", "203.0.113.1"


@pytest.fixture(autouse=True)
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application_names, "MOST_NAMES", PLACES)


def send_flows(world: World, *exporters: str) -> None:
    for exporter in exporters:
        world.write(world.flows(3, exporter_address_lo=np.uint64(address_halves(exporter)[1])))
    world.load()


def send_names(world: World, exporter: str, n: int) -> None:
    hi, lo = address_halves(exporter)
    columns: dict[str, Any] = {
        "collection_time_milliseconds": np.full(n, int(world.now * 1000), "i8"),
        "exporter_address_hi": np.full(n, hi, "u8"),
        "exporter_address_lo": np.full(n, lo, "u8"),
        "application_id": np.arange(1, n + 1, dtype="u8"),
        "application_name": np.array([f"name {number}" for number in range(n)], object),
    }
    world.write(FlowBatch(n, columns, options=True))
    world.load()


def counts(world: World) -> dict[str, int]:
    rows = world.stored(
        "SELECT exporter, COUNT(*) FROM appliance_session_application GROUP BY exporter"
    )
    return dict(rows)


@pytest.fixture
def full(world: World) -> World:
    """All places are taken, a third of them by an exporter that was heard for a moment."""
    send_flows(world, LASTING, NAMED)
    world.store.change_exporter(2, name="core")
    send_names(world, LASTING, 13)
    send_names(world, NAMED, 5)
    world.load(START + 300)
    send_flows(world, LASTING, HONEST, INVENTED)
    send_names(world, HONEST, 3)
    send_names(world, INVENTED, 12)
    assert sum(counts(world).values()) == PLACES
    return world


def test_names_when_all_places_are_taken_then_those_of_the_largest_newcomer_give_way(
    full: World,
) -> None:
    send_names(full, "192.0.2.9", 2)
    expected = {LASTING: 13, NAMED: 5, HONEST: 3, "192.0.2.9": 2}
    assert counts(full) == expected
    health = full.store.health()
    assert health["counters"]["applications_gave_way"] == 12
    assert "applications_refused" not in health["counters"]
    [hint] = application_hints(health, full.now)
    assert hint.startswith("12 names of applications gave way")
    assert not application_hints(health, full.now + THROTTLED_SECONDS + 1)
    # As after a crash: the database has the same names as the memory had.
    full.restart()
    send_names(full, LASTING, 14)
    assert counts(full) == {**expected, LASTING: 14}


def test_names_when_all_are_of_known_exporters_then_new_ones_are_refused(full: World) -> None:
    full.store.change_exporter(3, name="branch")
    full.store.change_exporter(4, info="not invented after all")
    before = counts(full)
    send_names(full, "192.0.2.9", 2)
    assert counts(full) == before
    assert full.store.health()["counters"] == {"applications_refused": 2}


def test_names_when_repeated_and_all_places_are_taken_then_nobody_gives_way(full: World) -> None:
    before = counts(full)
    send_names(full, HONEST, 3)
    assert counts(full) == before
    assert not full.store.health()["counters"]
