"""Faults of databases that last for an hour: a line a minute at most, which counts the others."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import ratelimit
from appliance.processes.loader import StoreFiller
from tests.hostile.damages import delete, write_back
from tests.plugins.rollups.conftest import sqlite_world
from tests.plugins.rollups.world import World
from tests.web.appliance import Appliance

__all__ = ["sqlite_world"]
"""A fixture."""

HOUR = 3600


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    made = Clock()
    monkeypatch.setattr(ratelimit, "time", made)
    monkeypatch.setattr("appliance.sql.database.BUSY_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    return made


def lose(file: Path) -> None:
    """Put a folder in the place of a database: it cannot be opened whoever tries."""
    delete(file)
    file.mkdir()


def ruin(file: Path) -> None:
    write_back(file)
    file.write_bytes(b"this is no database" * 1000)


def assert_a_line_a_minute(caplog: pytest.LogCaptureFixture, least_counted: int) -> None:
    assert 1 <= len(caplog.messages) <= 61
    counts = [re.search(r"\(and (\d+) times before\)$", line) for line in caplog.messages]
    counted = len(counts) + sum(int(count[1]) for count in counts if count)
    assert counted >= least_counted


FAULTS: list[tuple[str, Callable[[Path], None]]] = [
    ("flows.sqlite", lose),
    ("appliance.sqlite", lose),
    ("appliance.sqlite", ruin),
]


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_loader_when_a_database_is_away_for_an_hour_then_a_line_a_minute_at_most(
    name: str,
    fault: Callable[[Path], None],
    sqlite_world: World,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = sqlite_world
    world.write(world.flows(30))
    world.load()
    world.restart()
    fault(world.folder / name)
    world.write(world.flows(30))
    filler = StoreFiller(world.store)
    for second in range(HOUR):
        clock.now = float(second)
        filler.fill(world.now, clock.now)
    assert_a_line_a_minute(caplog, HOUR // 31)


def test_loader_when_a_database_is_locked_for_an_hour_then_a_line_a_minute_at_most(
    sqlite_world: World, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    world = sqlite_world
    world.write(world.flows(30))
    world.load()
    world.restart()
    blocker = sqlite3.connect(world.folder / "flows.sqlite", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    world.write(world.flows(30))
    filler = StoreFiller(world.store)
    for second in range(HOUR):
        clock.now = float(second)
        filler.fill(world.now, clock.now)
    blocker.close()
    assert_a_line_a_minute(caplog, HOUR // 31)
    filler.fill(world.now, clock.now + 60)
    world.load()
    world.check()


@pytest.mark.parametrize("fault", [lose, ruin])
def test_web_when_its_databases_are_away_for_an_hour_then_a_line_a_minute_at_most(
    fault: Callable[[Path], None],
    appliance: Appliance,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    appliance.close()
    fault(appliance.app.settings["data_directory"] / "appliance.sqlite")
    for second in range(0, HOUR, 10):
        clock.now = float(second)
        assert appliance("GET", "/user").status == 503
    assert_a_line_a_minute(caplog, HOUR // 10 - 6)
