"""The database goes away under load, or the disk is full: nothing is counted twice, and what is
lost is named."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.contracts import Selection
from appliance.traffic.generator import ExporterProfile, Transmission
from tests.at_work import assert_rollups_equal_the_log, opened_store, sending
from tests.collector.running import RunningCollector, soak_rounds
from tests.sql.mariadb import MariaDb, running_mariadb

RATE = 20_000
EXPORTERS = [ExporterProfile("ipfix", "ipfix", 7, ipv6_share=0.3, clients=50, servers=200)]
DISK_OCTETS = 96 * 1024 * 1024
SHORT_SECONDS, LONG_SECONDS = 6.0, 600.0


def away_seconds() -> float:
    return LONG_SECONDS if soak_rounds(1) > 1 else SHORT_SECONDS


def assert_everything_is_counted(running: RunningCollector, sent: Transmission) -> None:
    """Compare the log with what was sent less what the counters name, and roll-ups with the log."""
    status = running.status()
    named = status["lost"] + status["records_dropped_by_log"]
    assert running.rows() + running.rows(options=True) == (
        sent.total.flows + sent.total.option_records - named
    )
    assert_rollups_equal_the_log(running)


def wait_until(what: str, condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.fixture
def mariadb_of_its_own() -> Iterator[MariaDb]:
    with running_mariadb() as server:
        yield server


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_database_when_away_under_load_then_only_delay(
    tmp_path: Path, mariadb_of_its_own: MariaDb, figure: Callable[[str, object], None]
) -> None:
    url = mariadb_of_its_own.new_database()
    running = RunningCollector(tmp_path, f'flows:\n  database: "{url}"\n', command="run")
    try:
        running.start()
        with sending(running, EXPORTERS, RATE) as transmission:
            with opened_store(running) as store:
                wait_until("roll-ups", lambda: store.totals(Selection()).flows > 0)
            mariadb_of_its_own.stop()
            # Not a wait for something: the database is away for so long.
            time.sleep(away_seconds())
            dropped = running.status()["records_dropped_by_log"]
            mariadb_of_its_own.start()
            with opened_store(running) as store:
                before = store.totals(Selection()).flows
                begun = time.monotonic()
                wait_until("it goes on", lambda: store.totals(Selection()).flows > before, 120)
                figure("sums go on after", f"{time.monotonic() - begun:.1f} s")
        figure("records dropped", dropped)
        assert dropped == 0
        assert running.status()["kernel_drops"] == 0
        assert running.stop() == 0
        assert_everything_is_counted(running, transmission)
    finally:
        running.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is full soon, where a collector's data directory will be."""
    folder = tmp_path / "data"
    folder.mkdir()
    options = f"size={DISK_OCTETS}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs root, to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_disk_when_full_again_and_again_then_what_is_lost_is_named(
    tmp_path: Path, small_disk: Path, figure: Callable[[str, object], None]
) -> None:
    limits = "flow_log:\n  minimum_free_octets: 1MB\n  retention_octets: 1GB\n"
    running = RunningCollector(tmp_path, limits, command="run")
    ballast = small_disk / "ballast"
    try:
        running.start()
        with sending(running, EXPORTERS, RATE) as transmission:
            for _ in range(max(1, soak_rounds(1) // 10)):
                before = dropped(running)
                # The status cannot be written either, so this is no wait for something.
                for _ in range(int(SHORT_SECONDS)):
                    fill(ballast)
                    time.sleep(1)
                ballast.unlink()
                wait_until("drops are named", lambda b=before: dropped(running) > b)
                wait_until("it writes again", lambda: writes(running), 30)
        assert dropped(running) > 0
        figure("records dropped, all counted", dropped(running))
        assert running.stop() == 0
        assert_everything_is_counted(running, transmission)
    finally:
        running.close()


def dropped(running: RunningCollector) -> int:
    return int(running.status()["records_dropped_by_log"])


def writes(running: RunningCollector) -> bool:
    """Tell whether a second's records are all written."""
    before = dropped(running)
    time.sleep(3)
    return dropped(running) == before


def fill(ballast: Path) -> None:
    """Take all the room that there is."""
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65536))
