"""Faults of databases and feeds that last for an hour: a line a minute at most, which counts the
others, and all is made up for afterwards."""

from __future__ import annotations

import itertools
import logging
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pymysql
import pytest

from appliance import ratelimit
from appliance.collector.feeding import POLL_SECONDS, FeedCollector
from appliance.collector.status import read_status
from appliance.processes.loader import StoreFiller
from tests.asking import Totals
from tests.collector.test_late_rows import START, Feeding
from tests.hostile.damages import delete, write_back
from tests.plugins.pmacct.world import PmacctWorld
from tests.plugins.rollups.conftest import sqlite_world
from tests.plugins.rollups.world import World
from tests.sql.mariadb import MariaDb, running_mariadb
from tests.web.appliance import Appliance, made_appliance

__all__ = ["sqlite_world"]
"""A fixture."""

HOUR = 3600


def room(megabytes: int) -> list[str]:
    """Return the options of a server whose tables have so much room."""
    file = f"ibdata1:12M:autoextend:max:{megabytes}M"
    return ["--innodb-file-per-table=0", f"--innodb-data-file-path={file}"]


class Clock:
    """A clock that is ahead of those of all tests before, whose log lines are remembered."""

    starts = itertools.count(10**9, 10**6)

    def __init__(self) -> None:
        self.now, self._start = 0.0, next(self.starts)

    def monotonic(self) -> float:
        return self._start + self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    made = Clock()
    monkeypatch.setattr(ratelimit, "time", made)
    monkeypatch.setattr("appliance.sql.database.BUSY_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    return made


@pytest.fixture
def own_mariadb() -> Iterator[Callable[[], MariaDb]]:
    """Return what starts a server that a test may do anything to."""
    with ExitStack() as servers:
        yield lambda: servers.enter_context(running_mariadb(room(24)))


def make_limited_user(server: MariaDb, database: str) -> None:
    """Make a user of a database whom `read_only` stops."""
    server.run(
        "CREATE USER 'limited'@'127.0.0.1' IDENTIFIED BY 'sec@ret'",
        f"GRANT ALL ON {database}.* TO 'limited'@'127.0.0.1'",
    )


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


# Tables that somebody else fills.


def poll_for_an_hour(collector: FeedCollector, clock: Clock) -> None:
    """Ask as the collector's loop does, with its pauses."""
    pause, poll_at = POLL_SECONDS, 0.0
    for second in range(HOUR):
        clock.now = float(second)
        if clock.now >= poll_at:
            pause = collector.poll(pause)
            poll_at = clock.now + pause


def warnings(collector: FeedCollector) -> list[str]:
    """Return what the status has of them now that it had not at the start."""
    collector._write_status()
    status = read_status(collector.paths.status) or {}
    return [text for text in status["warnings"] if text not in collector.lacks]


def drop_table(feeding: Feeding) -> None:
    feeding.run("ALTER TABLE acct RENAME TO acct_old")


def bring_table_back(feeding: Feeding) -> None:
    feeding.run("ALTER TABLE acct_old RENAME TO acct")


def move_file(feeding: Feeding) -> None:
    (feeding.folder / "acct.sqlite").rename(feeding.folder / "other.sqlite")


def put_file_back(feeding: Feeding) -> None:
    """Put a copy in its place: another file."""
    shutil.copyfile(feeding.folder / "other.sqlite", feeding.folder / "acct.sqlite")


def stop_server(feeding: Feeding) -> None:
    assert feeding.server is not None
    feeding.server.stop()


def start_server(feeding: Feeding) -> None:
    assert feeding.server is not None
    feeding.server.start()


FEED_FAULTS = [
    pytest.param(False, drop_table, bring_table_back, id="table of a file vanishes"),
    pytest.param(False, move_file, put_file_back, id="file vanishes"),
    pytest.param(True, drop_table, bring_table_back, id="table of a server vanishes"),
    pytest.param(True, stop_server, start_server, id="server away"),
]


@pytest.mark.parametrize(("on_server", "fault", "mend"), FEED_FAULTS)
def test_feed_when_its_table_is_away_for_an_hour_then_a_line_a_minute_and_nothing_is_lost(
    on_server: bool,
    fault: Callable[[Feeding], None],
    mend: Callable[[Feeding], None],
    own_mariadb: Callable[[], MariaDb],
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    feeding = Feeding(tmp_path, own_mariadb() if on_server else None)
    try:
        feeding.insert("10.0.0.1", 1000)
        assert feeding.after(0) == Totals(1, 1, 1000)
        caplog.clear()
        fault(feeding)
        assert feeding.collector is not None
        poll_for_an_hour(feeding.collector, clock)
        assert_a_line_a_minute(caplog, HOUR // 61)
        assert [text for text in warnings(feeding.collector) if "acct" in text]
        mend(feeding)
        feeding.insert("10.0.0.2", 500, second=START + 120)
        assert feeding.after(240) == Totals(2, 2, 1500)
        assert not warnings(feeding.collector)
    finally:
        feeding.close()


# A server that is away or takes nothing.


def stop(server: MariaDb) -> None:
    server.stop()


def make_read_only(server: MariaDb) -> None:
    server.run("SET GLOBAL read_only = 1")


def fill_table(server: MariaDb, row: str) -> None:
    with suppress(pymysql.MySQLError):
        while True:
            server.run(*(row, "COMMIT") * 100)


def fill_up(server: MariaDb) -> None:
    """Fill the only file that tables may grow in, down to the last page.

    By rows within a page: MariaDB 11.8 ends when it finds no room to take back half a large value.
    """
    server.run("CREATE DATABASE filler")
    # A small table takes single pages, which are left when there is no room for a large one's 64.
    for name in ("large", *(f"small_{number}" for number in range(16))):
        with suppress(pymysql.MySQLError):
            server.run(f"CREATE TABLE filler.{name} (octets LONGBLOB)")
            for octets in (7_000, 700):
                fill_table(server, f"INSERT INTO filler.{name} VALUES (REPEAT('x', {octets}))")
    assert server.process is not None
    assert server.process.poll() is None


SERVER_FAULTS = [stop, make_read_only, fill_up]
PMACCT_TABLE = (
    "CREATE TABLE acct (ip_src CHAR(45), packets BIGINT, bytes BIGINT, stamp_inserted DATETIME,"
    " stamp_updated DATETIME)"
)


@pytest.mark.parametrize("fault", SERVER_FAULTS)
def test_loader_when_a_server_takes_nothing_for_an_hour_then_a_line_a_minute_at_most(
    fault: Callable[[MariaDb], None],
    own_mariadb: Callable[[], MariaDb],
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = own_mariadb()
    url = server.new_database()
    make_limited_user(server, url.rpartition("/")[2])
    world = World(tmp_path, url.replace("appliance:", "limited:"))
    try:
        world.write(world.flows(30))
        world.load()
        caplog.clear()
        fault(server)
        world.write(world.flows(3000, sources=3000))
        filler = StoreFiller(world.store)
        for second in range(HOUR):
            clock.now = float(second)
            filler.fill(world.now, clock.now)
        assert_a_line_a_minute(caplog, HOUR // 31)
        server.stop()
        server.options = room(48)
        server.start()
        world.load()
        world.check()
    finally:
        world.restart()
        world.writer.close()


@pytest.mark.parametrize("fault", SERVER_FAULTS)
def test_tables_of_pmacct_when_their_server_takes_nothing_for_an_hour_then_a_line_a_minute_at_most(
    fault: Callable[[MariaDb], None],
    own_mariadb: Callable[[], MariaDb],
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = own_mariadb()
    world = PmacctWorld(tmp_path, server)
    make_limited_user(server, world.database)
    world.user = "limited"
    try:
        world.configure("sql_table_version: 9\nsql_optimize_clauses: true\naggregate: src_host\n")
        world.sql(PMACCT_TABLE)
        world.flows(5)
        world.purge()
        caplog.clear()
        fault(server)
        filler = StoreFiller(world.loader)
        for second in range(0, HOUR, 5):
            if second % 600 == 0:
                world.flows(1000, source_address_lo=range(second, second + 1000))
            clock.now = float(second)
            filler.fill(world.now + second, clock.now)
        assert_a_line_a_minute(caplog, HOUR // 62)
        server.stop()
        server.options = room(48)
        server.start()
        world.now += HOUR
        world.purge()
        assert world.rows("SUM(bytes)") == [(100 * (5 + 6 * 1000),)]
    finally:
        world.close()


def test_web_when_its_server_is_away_for_an_hour_then_a_line_a_minute_at_most(
    own_mariadb: Callable[[], MariaDb],
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = own_mariadb()
    appliance = made_appliance(tmp_path, database=server.new_database())
    try:
        server.stop()
        for second in range(0, HOUR, 20):
            clock.now = float(second)
            assert appliance("GET", "/user").status == 503
        assert_a_line_a_minute(caplog, HOUR // 20 - 6)
        server.start()
        assert appliance("GET", "/user").status == 200
    finally:
        appliance.close()
