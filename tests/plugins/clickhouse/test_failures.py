"""Servers, ZooKeeper, the network or the writer itself go away: nothing is missing or twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import StorageError
from appliance.plugins.clickhouse import insertion, progress
from appliance.plugins.clickhouse.writer import ClickHouseLoader
from tests.clickhouse_servers import ClickHouseCluster, running_server
from tests.plugins.clickhouse.world import START, LogOfFlows, Place, load_all, stored_sums

ROOT = Path(__file__).parents[3]
FILLER = "tests.plugins.clickhouse.filler"
_PATIENCE_SECONDS = 60.0


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for servers that do not answer no longer than tests should take."""
    for module in (insertion, progress):
        monkeypatch.setattr(module, "QUERY_SECONDS", 2.0)
    monkeypatch.setattr(insertion, "INSERT_SECONDS", 2.0)
    monkeypatch.setattr(progress, "SYNC_SECONDS", 3.0)


@pytest.fixture
def log(folder: Path) -> LogOfFlows:
    return LogOfFlows(folder)


@pytest.fixture
def loader(whole_cluster: Place, folder: Path) -> Iterator[ClickHouseLoader]:
    made = whole_cluster.loader(folder)
    yield made
    made.close()


def test_replica_when_killed_then_the_other_of_its_shard_takes_over(
    cluster: ClickHouseCluster, whole_cluster: Place, loader: ClickHouseLoader, log: LogOfFlows
):
    log.write(450)
    for killed in (cluster.shard(1)[0], cluster.shard(2)[1]):
        loader.load_once(time.time())
        killed.kill()
        loader.load_once(time.time())
        log.write(110)
    load_all(loader)
    cluster.restore()
    _assert_same(whole_cluster, log)


def test_shard_when_all_of_it_is_away_then_others_get_the_rows(
    cluster: ClickHouseCluster, whole_cluster: Place, loader: ClickHouseLoader, log: LogOfFlows
):
    log.write(150)
    load_all(loader)
    for node in cluster.shard(2):
        node.kill()
    log.write(450)
    _load_stubbornly(loader)
    cluster.restore()
    _assert_same(whole_cluster, log)


def test_servers_when_all_are_away_then_the_log_keeps_the_rows(
    cluster: ClickHouseCluster, whole_cluster: Place, loader: ClickHouseLoader, log: LogOfFlows
):
    log.write(150)
    load_all(loader)
    position = loader.cursor()
    for node in cluster.nodes:
        node.kill()
    log.write(450)
    with pytest.raises(StorageError, match="cannot be reached: connection refused"):
        loader.load_once(time.time())
    assert loader.cursor() in (position, None)
    cluster.restore()
    _load_stubbornly(loader)
    _assert_same(whole_cluster, log)


def test_zookeeper_when_killed_then_rows_wait_until_it_is_back(
    cluster: ClickHouseCluster, whole_cluster: Place, loader: ClickHouseLoader, log: LogOfFlows
):
    log.write(250)
    loader.load_once(time.time())
    cluster.zookeeper.kill()
    with pytest.raises(StorageError, match=r"refuses|in time"):
        load_all(loader)
    log.write(250)
    cluster.restore()
    _load_stubbornly(loader)
    _assert_same(whole_cluster, log)


def test_network_when_away_in_the_middle_then_rows_are_there_once(
    cluster: ClickHouseCluster,
    whole_cluster: Place,
    loader: ClickHouseLoader,
    log: LogOfFlows,
    monkeypatch: pytest.MonkeyPatch,
):
    """A frozen server has taken the octets, and works on them when it is back."""
    log.write(150)
    load_all(loader)
    log.write(250)
    insert = insertion.Insertion.insert

    def freeze_first(self: insertion.Insertion, *arguments: Any) -> None:
        cluster.nodes[0].freeze()
        monkeypatch.setattr(insertion.Insertion, "insert", insert)
        self.insert(*arguments)

    monkeypatch.setattr(insertion.Insertion, "insert", freeze_first)
    with contextlib.suppress(StorageError):
        load_all(loader)
    cluster.nodes[0].thaw()
    _load_stubbornly(loader)
    cluster.restore()
    _assert_same(whole_cluster, log)


def test_single_server_when_frozen_in_the_middle_then_rows_are_there_once(
    tmp_path: Path, folder: Path, log: LogOfFlows, monkeypatch: pytest.MonkeyPatch
):
    """A plain table of 18.16 stores a block twice that is sent twice."""
    with running_server(tmp_path / "server") as server:
        place = Place([server.address])
        loader = place.loader(folder)
        log.write(50)
        load_all(loader)
        log.write(50)
        insert = insertion.Insertion.insert

        def freeze_first(self: insertion.Insertion, *arguments: Any) -> None:
            server.freeze()
            monkeypatch.setattr(insertion.Insertion, "insert", insert)
            self.insert(*arguments)

        monkeypatch.setattr(insertion.Insertion, "insert", freeze_first)
        with pytest.raises(StorageError, match="does not answer in time"):
            load_all(loader)
        server.thaw()
        _load_stubbornly(loader)
        loader.close()
        _assert_same(place, log)
        server.kill()
        server.start()
        _assert_same(place, log)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("kind", ["single", "whole_cluster"])
def test_writer_when_killed_at_any_moment_then_rows_are_there_once(
    kind: str, request: pytest.FixtureRequest, folder: Path, log: LogOfFlows
):
    """Rounds of kill -9 of a process while flows come in."""
    place: Place = request.getfixturevalue(kind)
    place.loader(folder).cluster.connect()
    chance = random.Random(kind)
    rounds = int(os.environ.get("APPLIANCE_SOAK_ROUNDS", "3"))
    for number in range(rounds):
        target = [str(folder), place.database, place.cluster, *place.addresses]
        command = [sys.executable, "-m", FILLER, *target]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            end = time.monotonic() + chance.uniform(0.05, 0.8)
            while time.monotonic() < end:
                log.write(30, START + number)
            process.send_signal(signal.SIGKILL)
        if number % 2:
            log.seal()
    loader = place.loader(folder)
    loader.batch_rows = 100_000
    _load_stubbornly(loader)
    loader.close()
    _assert_same(place, log)


def _assert_same(place: Place, log: LogOfFlows) -> None:
    """Assert that each server, with what replicas tell each other, has what the log has."""
    place.wait_for_replicas()
    for number in range(len(place.addresses)):
        assert stored_sums(place.server(number)) == log.sums()


def _load_stubbornly(loader: ClickHouseLoader) -> None:
    """Load as the loader process does: what fails is tried again."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            load_all(loader)
        except StorageError:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            return
