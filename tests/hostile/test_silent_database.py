"""A database that takes connections and never answers, and one that stops in the middle."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from appliance.accounts.secret import read_secret, secret_path
from appliance.contracts import USER
from appliance.errors import StorageError
from appliance.plugins.auth.tokens import role_token
from appliance.plugins.pmacct.feed.source import SourceTable
from appliance.sql import database as database_module
from appliance.sql.appliance_database import appliance_database
from appliance.traffic.generator import ExporterProfile
from tests.at_work import sending
from tests.collector.running import RunningCollector
from tests.sql.mariadb import MariaDb, running_mariadb
from tests.web.appliance import Appliance, made_appliance
from tests.web.serving import eventually

PATIENCE = 7.0
EXPORTERS = [ExporterProfile("ipfix", "ipfix", 7, clients=20, servers=50)]


@pytest.fixture
def silent_url() -> Iterator[str]:
    """The kernel takes connections; nobody reads or writes."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"mysql://u:p@127.0.0.1:{server.getsockname()[1]}/flows"


@pytest.fixture
def stopping() -> Iterator[MariaDb]:
    with running_mariadb() as server:
        yield server
        assert server.process is not None
        server.process.send_signal(signal.SIGCONT)


def seconds(call) -> float:
    started = time.monotonic()
    with pytest.raises(StorageError):
        call()
    return time.monotonic() - started


def test_database_when_it_takes_connections_only_then_an_error_soon_and_the_next_at_once(
    silent_url, tmp_path
):
    database = appliance_database(silent_url, tmp_path)

    def use() -> None:
        with database.transaction():
            pass

    assert seconds(use) < PATIENCE
    assert max(seconds(use) for _ in range(20)) < 0.5


def test_database_when_it_is_silent_then_one_thread_at_a_time_tries_it(
    silent_url, tmp_path, monkeypatch
):
    database = appliance_database(silent_url, tmp_path)

    def use() -> None:
        with database.transaction():
            pass

    assert seconds(use) < PATIENCE
    monkeypatch.setattr(database_module, "SILENT_SECONDS", 60.0)
    database._silent_until = time.monotonic()
    taken: list[float] = []
    threads = [threading.Thread(target=lambda: taken.append(seconds(use))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(each > 1 for each in taken) == 1
    assert max(taken) < PATIENCE


def test_table_when_its_server_is_silent_then_an_error_soon(silent_url, tmp_path):
    source = SourceTable(silent_url, "acct", tmp_path)
    assert seconds(source.columns) < PATIENCE


def ask_all(appliance: Appliance) -> dict[int, float]:
    """Ask for something of each database; return the longest wait by status."""
    longest: dict[int, float] = {}
    token = role_token(read_secret(secret_path(appliance.app.settings)), USER, 60, time.time())
    for call in (
        lambda: appliance("GET", "/user"),
        lambda: appliance.client.get("/v1/api/device/get/all", token),
        lambda: appliance.client.get("/api/v1/netflow/getTopApps", token),
    ):
        started = time.monotonic()
        status = call().status
        longest[status] = max(longest.get(status, 0.0), time.monotonic() - started)
    return longest


def test_api_when_the_server_stops_and_goes_on_then_503_within_seconds_and_answers_again(
    stopping, tmp_path, monkeypatch
):
    monkeypatch.setattr(database_module, "SILENT_SECONDS", 2.0)
    url = stopping.new_database()
    made = made_appliance(tmp_path, **{"database": url, "flows.database": url})
    try:
        assert list(ask_all(made)) == [200]
        assert stopping.process is not None
        stopping.process.send_signal(signal.SIGSTOP)
        daemon = psutil.Process(stopping.process.pid)
        eventually(lambda: daemon.status() == psutil.STATUS_STOPPED)
        ((status, first),) = ask_all(made).items()
        assert (status, first < PATIENCE) == (503, True)
        stopping.process.send_signal(signal.SIGCONT)
        eventually(lambda: list(ask_all(made)) == [200])
    finally:
        made.close()


def test_sealing_when_the_database_is_silent_then_not_held_up(silent_url, tmp_path):
    settings = f'flows:\n  database: "{silent_url}"\nflow_log:\n  segment_seconds: 1\n'
    running = RunningCollector(tmp_path, settings)
    try:
        running.start()
        with sending(running, EXPORTERS, 200):
            started = time.monotonic()
            log = running.data / "flowlog"
            eventually(lambda: len(list(log.rglob("*.parquet"))) >= 2, 40)
            assert time.monotonic() - started < 40
        assert "timed out" in "\n".join(running.output)
    finally:
        running.close()
