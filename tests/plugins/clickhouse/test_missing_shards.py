"""What the command line and the API say when a shard, or all of ClickHouse, does not answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.query.sources import set_query_sources
from tests.clickhouse_servers import ClickHouseCluster
from tests.plugins.clickhouse import questions_world as world
from tests.plugins.clickhouse.world import START, LogOfFlows, Place
from tests.web.building import Client, FakeStore, web_of

SPAN = ("--from", str(START), "--to", str(START + 2 * world.HOUR))
QUERY = f"from={START}&to={START + 2 * world.HOUR}"


class Site(NamedTuple):
    """A configuration that answers from a cluster."""

    conf: Path
    client: Client
    cluster: ClickHouseCluster

    def run(self, *words: str) -> int:
        """Run a command."""
        return run_command_line(group, ["-confPath", f"{self.conf}/", *words])

    def kill_shard(self, number: int) -> str:
        """Kill all servers of a shard, and return how messages name it."""
        for node in self.cluster.shard(number):
            node.kill()
        ports = (f"127.0.0.1:{node.tcp_port}" for node in self.cluster.shard(number))
        return f"shard {number} ({', '.join(sorted(ports))})"


@pytest.fixture(scope="module")
def database(cluster: ClickHouseCluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database in the cluster that has flows."""
    folder = tmp_path_factory.mktemp("data")
    log = LogOfFlows(folder)
    world.write_flows(log)
    log.seal()
    place = Place(cluster.addresses, cluster.name)
    world.fill(place, folder)
    return place.database


@pytest.fixture
def site(database: str, cluster: ClickHouseCluster, tmp_path: Path) -> Iterator[Site]:
    """An appliance without a flow log of its own that asks the cluster."""
    values = {
        "data_directory": str(tmp_path / "var"),
        "search": {"source": "clickhouse", "timeout": "8s"},
        "clickhouse": {
            "addresses": cluster.addresses,
            "cluster": cluster.name,
            "database": database,
        },
    }
    (tmp_path / "appliance.yml").write_text(json.dumps(values))
    app = open_app(tmp_path)
    now = float(START + 3 * world.HOUR)
    yield Site(tmp_path, Client(web_of(FakeStore(), app.settings, now=now)), cluster)
    set_query_sources({}, {"search.source": "log"})  # type: ignore[arg-type]
    cluster.restore()


def test_commands_when_all_shards_answer_then_whole(site: Site, capsys: Any):
    for words in (("top", "source"), ("flows",), ("export",)):
        assert site.run(*words, *SPAN) == 0
        shown = capsys.readouterr()
        assert shown.out.strip()
        assert "partial" not in shown.err
    answer = site.client.get(f"/api/v1/explore/top?by=source&{QUERY}").json
    assert (answer["partial"], answer["missing"]) == (False, [])
    assert answer["total"]["flows"] > 0


def test_answers_when_a_shard_is_down_then_partial_with_its_name(site: Site, capsys: Any):
    whole = site.client.get(f"/api/v1/explore/top?by=source&{QUERY}").json["total"]["octets"]
    name = site.kill_shard(2)
    for path in ("top?by=source", "series?by=source", "flows?limit=5"):
        answer = site.client.get(f"/api/v1/explore/{path}&{QUERY}").json
        assert (answer["partial"], answer["missing"]) == (True, [name])
    part = site.client.get(f"/api/v1/explore/top?by=source&{QUERY}").json["total"]["octets"]
    assert 0 < part < whole
    for words in (("top", "source"), ("flows",)):
        assert site.run(*words, *SPAN) == 0
        assert f"partial: {name} does not answer, its flows are missing" in capsys.readouterr().err


def test_export_when_a_shard_is_down_then_refused(site: Site, capsys: Any):
    name = site.kill_shard(1)
    assert site.run("export", *SPAN) == 1
    assert f"{name} does not answer: an export would lack its flows" in capsys.readouterr().err


def test_answers_when_no_server_is_there_then_one_sentence(site: Site, capsys: Any):
    site.kill_shard(1)
    site.kill_shard(2)
    reply = site.client.get(f"/api/v1/explore/top?by=source&{QUERY}")
    assert reply.status == 503
    assert reply.json["message"].startswith("The database is not available")
    for words in (("top", "source"), ("flows",), ("export",)):
        assert site.run(*words, *SPAN) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "cannot be reached" in line


def test_answers_when_servers_are_silent_then_an_error_in_time(site: Site, capsys: Any):
    for node in site.cluster.nodes:
        node.freeze()
    try:
        assert site.run("top", "source", "--timeout", "1", *SPAN) == 1
    finally:
        for node in site.cluster.nodes:
            node.thaw()
    (line,) = capsys.readouterr().err.splitlines()
    assert "ClickHouse does not answer within 1 s" in line


def test_source_when_no_plugin_has_it_then_one_sentence(tmp_path: Path, capsys: Any):
    (tmp_path / "appliance.yml").write_text("search: {source: oracle}\n")
    assert run_command_line(group, ["-confPath", f"{tmp_path}/", "top"]) == 2
    assert "expected one of log, clickhouse, found 'oracle'" in capsys.readouterr().err


def test_source_when_no_server_is_named_then_one_sentence(tmp_path: Path, capsys: Any):
    (tmp_path / "appliance.yml").write_text("search: {source: clickhouse}\n")
    assert run_command_line(group, ["-confPath", f"{tmp_path}/", "top"]) == 2
    assert "a server is needed" in capsys.readouterr().err
