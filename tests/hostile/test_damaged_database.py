"""SQLite files that are damaged, deleted or replaced while the appliance has them open."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from appliance.contracts import Selection
from appliance.errors import StorageError
from appliance.plugins.rollups.store import SqlStore
from appliance.sql import sqlite_files
from appliance.traffic.generator import ExporterProfile
from tests.at_work import assert_rollups_equal_the_log, opened_store, sending
from tests.collector.running import RunningCollector, soak_rounds
from tests.hostile.damages import (
    Damage,
    copy_another_over_it,
    delete,
    delete_file_alone,
    delete_wal,
    empty,
    overwrite_first_page,
    overwrite_header,
    overwrite_middle,
    replace_by_another,
    truncate_to_half,
    write_back,
)
from tests.plugins.rollups.conftest import sqlite_world
from tests.plugins.rollups.world import START, World
from tests.web.appliance import Appliance

__all__ = ["sqlite_world"]
"""A fixture."""

HOUR = 3600

DAMAGES: list[Damage] = [
    overwrite_header,
    overwrite_first_page,
    overwrite_middle,
    truncate_to_half,
    empty,
    delete,
    delete_file_alone,
    replace_by_another,
    copy_another_over_it,
    delete_wal,
]
LOSING: list[Damage] = [overwrite_middle, truncate_to_half]
"""Of the first hour, of which the log may not have everything, only what can be read comes back."""

SALVAGED: list[Damage] = [overwrite_header, overwrite_first_page, delete, replace_by_another]


def damage_database(world: World, damage: Damage) -> None:
    """Damage the file of the roll-ups; but for its write-ahead log, everything is in there."""
    path = world.folder / "flows.sqlite"
    if damage is not delete_wal:
        write_back(path)
    damage(path)


@pytest.fixture
def checked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_files, "CHECK_SECONDS", 0.05)


ACCOUNTS_SENTENCE = (
    "The database of accounts and exporters is damaged: stop the appliance and restore it from a"
    " backup (appliance restore), or move it away to begin with a new administrator"
)


@pytest.mark.parametrize("damage", [overwrite_header, overwrite_middle, truncate_to_half, empty])
def test_accounts_when_damaged_in_use_then_each_route_and_health_say_what_to_do(
    damage: Damage, checked_often: None, appliance: Appliance, caplog: pytest.LogCaptureFixture
) -> None:
    file = appliance.app.settings["data_directory"] / "appliance.sqlite"
    # Whoever opens an empty file for the first time makes tables in it: all have it open.
    assert appliance.client.get("/v1/api/device/get/all", appliance.token).status == 200
    write_back(file)
    whole = file.read_bytes()
    damage(file)
    deadline = time.monotonic() + 20
    while (reply := appliance("GET", "/user")).status == 200:
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
    for each in (
        reply,
        appliance("POST", "/user", "username=x"),
        appliance.sign_in("root"),
        appliance.client.get("/v1/api/device/get/all", appliance.token),
    ):
        assert (each.status, each.json["message"]) == (503, ACCOUNTS_SENTENCE)
    health = appliance.client.get(
        "/api/v1/health", REMOTE_ADDR="127.0.0.1", HTTP_HOST="localhost", token=""
    )
    assert ACCOUNTS_SENTENCE in health.json["message"]
    assert len([line for line in caplog.messages if "damaged" in line]) == 1

    file.write_bytes(whole)
    while appliance("GET", "/user").status != 200:
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
    assert appliance.sign_in("root").status == 200


@pytest.fixture
def reader(checked_often: None, sqlite_world: World) -> Iterator[SqlStore]:
    """What answers questions about a world of some hours, as the web server does."""
    world = sqlite_world
    for hour in range(6):
        world.write(world.flows(200, START + hour * HOUR, sources=200))
        world.load(START + hour * HOUR + 10)
    store = SqlStore(world.url, world.settings, world.limits, clock=lambda: world.now)
    assert store.totals(Selection()).flows == 1200
    yield store
    store.close()


def load_until(world: World, is_right: Callable[[], bool], seconds: float = 20.0) -> list[str]:
    """Load as the loader does until the answers are right; return its warnings."""
    warnings: list[str] = []
    deadline = time.monotonic() + seconds
    while True:
        try:
            warnings += world.store.load_once(world.now).warnings
            if is_right():
                return warnings
        except StorageError as error:
            warnings.append(str(error))
        assert time.monotonic() < deadline, warnings[-5:]
        threading.Event().wait(0.02)


@pytest.mark.parametrize("damage", DAMAGES)
def test_flow_database_when_damaged_in_use_then_answers_are_right_again(
    damage: Damage, sqlite_world: World, reader: SqlStore
) -> None:
    world = sqlite_world
    damage_database(world, damage)
    world.write(world.flows(30))

    def is_right() -> bool:
        since = START + HOUR
        expected = world.expected(lambda _: 0, since)[0]
        return tuple(reader.totals(Selection(since=since))) == expected

    load_until(world, is_right)
    # Whatever is noticed after that, too.
    for _ in range(10):
        threading.Event().wait(0.02)
        load_until(world, is_right)
    world.load()
    if damage not in LOSING:
        world.check()
    if damage is delete_wal:
        return
    events = [event["text"] for event in reader.health()["events"]]
    assert sum("set aside" in text for text in events) == 1
    assert len(list(world.folder.glob("flows.sqlite.damaged-*[0-9]"))) <= 1
    assert not list(world.folder.glob("*.salvaged*"))


@pytest.mark.parametrize("damage", SALVAGED)
def test_flow_database_when_damaged_and_the_log_is_short_then_older_sums_are_salvaged(
    damage: Damage, sqlite_world: World, reader: SqlStore
) -> None:
    world = sqlite_world
    world.seal()
    for file in (world.log / "flows").glob("*.parquet"):
        file.unlink()
    world.write(world.flows(30))
    world.load()
    damage_database(world, damage)
    load_until(world, lambda: reader.totals(Selection()).flows == 1230)


def test_wal_when_deleted_then_a_new_reader_sees_what_it_held(
    sqlite_world: World, reader: SqlStore, caplog: pytest.LogCaptureFixture
) -> None:
    damage_database(sqlite_world, delete_wal)
    assert reader.totals(Selection()).flows == 1200
    another = SqlStore(sqlite_world.url, sqlite_world.settings)
    assert another.totals(Selection()).flows == 1200
    another.close()
    assert sum("write-ahead log" in line for line in caplog.messages) == 1


def sentences(world: World, reader: SqlStore, seconds: float) -> Iterator[str]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            reader.totals(Selection())
        except StorageError as error:
            yield error.sentence
        threading.Event().wait(0.02)


@pytest.mark.parametrize("damage", [overwrite_header, overwrite_middle, truncate_to_half, empty])
def test_reader_when_the_flow_database_is_damaged_then_says_so_without_a_loader(
    damage: Damage, sqlite_world: World, reader: SqlStore
) -> None:
    damage_database(sqlite_world, damage)
    assert next(sentences(sqlite_world, reader, 10)) == (
        "The database of flows is damaged: it is set aside, and filled again from what is readable"
        " of it and from the flow log"
    )


def test_salvage_when_killed_then_begun_anew(
    sqlite_world: World, reader: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sqlite_world
    damage_database(world, overwrite_middle)

    def fail(*_: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("appliance.plugins.rollups.salvage.begin_rebuild", fail)
        with pytest.raises(KeyboardInterrupt):
            load_until(world, lambda: False)
    world.restart()
    load_until(world, lambda: reader.totals(Selection(since=START + HOUR)).flows == 1000)
    world.load()
    assert len(list(world.folder.glob("flows.sqlite.damaged-*[0-9]"))) == 1


# The whole appliance.

EXPORTERS = [ExporterProfile("ipfix", "ipfix", 7, clients=50, servers=200)]
RIGHT_AGAIN_SECONDS = 60.0
"""A check comes every 20 seconds, of each process by itself; the loader's mends."""


def health_of(running: RunningCollector) -> str:
    url = f"http://127.0.0.1:{running.api_port}/api/v1/health"
    try:
        with urlopen(url, timeout=30) as answer:
            return str(json.load(answer)["message"])
    except HTTPError as error:
        with error:
            return str(json.load(error)["message"])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningCollector]:
    made = RunningCollector(tmp_path, command="run")
    try:
        yield made.start()
    finally:
        made.close()


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_appliance_when_its_flow_database_is_damaged_under_load_then_only_delay(
    running: RunningCollector, figure: Callable[[str, object], None]
) -> None:
    file = running.data / "flows.sqlite"
    damages = DAMAGES if soak_rounds(1) > 1 else [overwrite_middle]
    with sending(running, EXPORTERS, 2_000) as transmission:
        for damage in damages:
            wait_for_sums(running, running.status()["log"]["records_written"])
            if damage is not delete_wal:
                write_back(file)
            inode, begin = file.stat().st_ino, time.monotonic()
            damage(file)
            messages = set()
            while damage is not delete_wal and (not file.exists() or file.stat().st_ino == inode):
                assert time.monotonic() < begin + RIGHT_AGAIN_SECONDS, running.output[-20:]
                messages.add(health_of(running))
                threading.Event().wait(0.2)
            wait_for_sums(running, running.status()["log"]["records_written"])
            figure(f"right again after {damage.__name__} in", f"{time.monotonic() - begin:.0f} s")
            if damage is overwrite_middle:
                assert any("The database of flows is damaged" in text for text in messages)
    assert running.stop() == 0
    status = running.status()
    assert status["records_dropped_by_log"] == status["lost"] == status["kernel_drops"] == 0
    assert running.rows() == transmission.total.flows
    assert_rollups_equal_the_log(running)
    lines = [line for line in running.output if "set aside as" in line]
    assert len(lines) == len([damage for damage in damages if damage is not delete_wal])


def wait_for_sums(running: RunningCollector, flows: int) -> None:
    """Wait until the sums have so many flows again."""
    deadline = time.monotonic() + RIGHT_AGAIN_SECONDS
    with opened_store(running) as store:
        while True:
            with suppress(StorageError):
                if store.totals(Selection()).flows >= flows > 0:
                    return
            assert time.monotonic() < deadline, running.output[-20:]
            threading.Event().wait(0.1)
