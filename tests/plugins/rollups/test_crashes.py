"""The loader is killed, its database goes away, is deleted or damaged: the sums are right again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from appliance.contracts import Selection
from appliance.errors import StorageError
from appliance.sql.database import DamagedDatabase
from tests.plugins.rollups.world import World

FILLER = "tests.plugins.rollups.filler"
ROOT = Path(__file__).parents[3]
START = 1_801_429_200
HOUR = 3600


@pytest.mark.slow
def test_loader_when_killed_at_any_moment_then_nothing_is_lost_or_counted_twice(world: Any):
    """Rounds of kill -9 while flows of three hours come in and hours are made."""
    chance = random.Random(world.url)
    rounds = int(os.environ.get("APPLIANCE_SOAK_ROUNDS", "5"))
    for step in range(rounds):
        at = START + 3 * HOUR * step // rounds
        command = [sys.executable, "-m", FILLER, world.folder, world.url, str(at + 30)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            end = time.monotonic() + chance.uniform(0.02, 0.8)
            while time.monotonic() < end:
                world.write(world.flows(30, at + chance.randrange(60)))
            process.send_signal(signal.SIGKILL)
        if step % 2:
            world.seal()
    world.load(START + 5 * HOUR)
    world.check()
    assert world.store.totals(Selection()).flows == len(world.records())
    assert world.store.health()["bins_to_make"] <= 2


def test_mariadb_when_away_and_back_then_nothing_is_lost(mariadb: Any, tmp_path: Path):
    world = World(tmp_path, mariadb.new_database())
    world.write(world.flows(30))
    world.load()
    mariadb.stop()
    try:
        world.write(world.flows(30))
        for _ in range(2):
            with pytest.raises(StorageError):
                world.store.load_once(world.now)
        with pytest.raises(StorageError):
            world.store.totals(Selection())
    finally:
        mariadb.start()
    world.write(world.flows(30))
    world.load()
    world.check()
    assert world.store.totals(Selection()).flows == 90
    world.restart()
    world.writer.close()


def test_connections_when_the_server_ends_them_then_opened_again(mariadb: Any, tmp_path: Path):
    world = World(tmp_path, mariadb.new_database())
    world.write(world.flows(30))
    world.load()
    killer = "SELECT id FROM information_schema.processlist WHERE user = 'appliance'"
    for (number,) in mariadb.rows(killer):
        mariadb.run(f"KILL {number}")
    assert world.store.totals(Selection()).flows == 30
    for (number,) in mariadb.rows(killer):
        mariadb.run(f"KILL {number}")
    world.write(world.flows(30))
    world.load()
    world.check()
    world.restart()
    world.writer.close()


def test_sqlite_when_locked_or_full_then_only_delay(
    sqlite_world: Any, monkeypatch: pytest.MonkeyPatch
):
    world = sqlite_world
    world.write(world.flows(30))
    world.load()
    database = world.store.flows
    with database.transaction():
        pages = database.rows("PRAGMA page_count")[0][0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    world.write(world.flows(2000, START + 7200, sources=2000))
    with pytest.raises(StorageError, match="full"):
        world.load(START + 7200)
    database.close()
    monkeypatch.setattr("appliance.sql.database.BUSY_SECONDS", 0.1)
    world.restart()
    other = world.store.flows
    world.write(world.flows(5, START + 7200))
    blocker = database
    with blocker.transaction(write=True), pytest.raises(StorageError, match="locked"):
        world.store.load_once(world.now)
    assert other is not blocker
    blocker.close()
    world.load()
    world.check()


def test_sqlite_when_deleted_while_running_then_filled_again(sqlite_world: Any):
    world = sqlite_world
    world.write(world.flows(30))
    world.load()
    reader = type(world.store)(world.url, world.settings, world.limits, clock=lambda: world.now)
    assert reader.totals(Selection()).flows == 30
    for path in world.folder.glob("flows.sqlite*"):
        path.unlink()
    world.write(world.flows(30))
    world.load()
    assert reader.totals(Selection()).flows == 60
    reader.close()
    assert (world.folder / "flows.sqlite").exists()
    world.restart()
    assert world.store.totals(Selection()).flows == 60
    world.check()
    assert [record.id for record in world.store.exporters()] == [1, 2]


@pytest.mark.parametrize("place", [0, 4096 * 5, 4096 * 12, -4096 * 3])
def test_sqlite_when_damaged_then_set_aside_salvaged_and_filled_again(
    sqlite_world: Any, place: int
):
    world = sqlite_world
    for hour in range(4):
        world.write(world.flows(60, START + hour * HOUR))
        world.load(START + hour * HOUR + 10)
    world.load(START + 6 * HOUR)
    world.restart()
    path = world.folder / "flows.sqlite"
    assert not path.with_name("flows.sqlite-wal").exists()
    octets = bytearray(path.read_bytes())
    assert len(octets) > 4096 * 16
    octets[place % len(octets) : place % len(octets) + 4096] = os.urandom(4096)
    path.write_bytes(octets)
    report = world.store.load_once(world.now)
    assert report.busy
    assert "damaged" in " ".join(report.warnings)
    world.load()
    assert len(list(world.folder.glob("flows.sqlite.damaged-*[0-9]"))) == 1
    since = START + HOUR
    expected = world.expected(lambda _: 0, since)[0]
    assert tuple(world.store.totals(Selection(since=since))) == expected
    assert world.store.health()["events"]
    world.write(world.flows(10))
    world.load()
    assert world.store.totals(Selection(since=since)).flows == expected[2] + 10


def test_sqlite_when_damaged_and_the_log_is_short_then_old_sums_are_salvaged(sqlite_world: Any):
    world = sqlite_world
    for hour in range(6):
        world.write(world.flows(60, START + hour * HOUR))
        world.load(START + hour * HOUR + 10)
        world.seal()
    world.load(START + 8 * HOUR)
    from appliance.flowlog.names import list_files

    for file in list_files(world.log, False)[0][:3]:
        file.path.unlink()
    world.restart()
    path = world.folder / "flows.sqlite"
    octets = bytearray(path.read_bytes())
    octets[-4096:] = bytes(4096)
    path.write_bytes(octets)
    error: Any = None
    try:
        world.store.flows.check()
    except DamagedDatabase as found:
        error = found
    assert error is not None
    world.load()
    late = world.store.totals(Selection(since=START + 4 * HOUR))
    assert late.flows == 120
    early = world.store.totals(Selection(until=START + 3 * HOUR))
    assert 0 < early.flows <= 180
    assert world.store.totals(Selection()).flows <= 360


def test_events_when_salvaged_then_told(sqlite_world: Any):
    world = sqlite_world
    path = world.folder / "flows.sqlite"
    path.write_bytes(b"this is no database" * 1000)
    world.write(world.flows(10))
    world.load()
    world.check()
    told = " ".join(event["text"] for event in world.store.health()["events"])
    assert "0 rows salvaged" in told
