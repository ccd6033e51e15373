"""What the tests of ClickHouse share: servers for each file of tests, and a log beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clickhouse_servers import (
    ClickHouseCluster,
    ClickHouseNode,
    running_cluster,
    running_current_engine,
    running_server,
)
from tests.plugins.clickhouse.world import Place


@pytest.fixture(scope="module")
def single_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseNode]:
    """One server of 18.16, whose clock shows another time than UTC."""
    with running_server(tmp_path_factory.mktemp("single"), "America/New_York") as server:
        yield server


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseCluster]:
    """Two shards of two replicas of 18.16."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def current_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a current engine."""
    with running_current_engine(tmp_path_factory.mktemp("current")) as engine:
        yield engine.address


@pytest.fixture
def single(single_server: ClickHouseNode) -> Place:
    """A single server."""
    return Place([single_server.address])


@pytest.fixture
def whole_cluster(cluster: ClickHouseCluster) -> Place:
    """A cluster whose servers and ZooKeeper are all there."""
    cluster.restore()
    return Place(cluster.addresses, cluster.name)


@pytest.fixture(params=["single", "cluster", "current"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each kind of ClickHouse in turn."""
    if request.param == "current":
        return Place([request.getfixturevalue("current_engine")])
    name = {"single": "single", "cluster": "whole_cluster"}[request.param]
    made: Place = request.getfixturevalue(name)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data directory."""
    made = tmp_path / "data"
    made.mkdir()
    return made
