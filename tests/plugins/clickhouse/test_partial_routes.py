"""The documented routes while no server of a shard answers: what is there, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from appliance.app import open_app
from appliance.contracts import Selection
from appliance.errors import StorageError
from appliance.flows import V4_MAPPED
from appliance.plugins.reports.making import ReportMaker
from appliance.plugins.reports.periods import period_from_text
from appliance.plugins.rollups.source_store import SourceStore
from appliance.query.engine import engine_from_settings
from appliance.query.language.duckdb import parse_conditions
from appliance.query.sources import set_query_sources
from appliance.web.bound_store import BoundStore
from tests.clickhouse_servers import ClickHouseCluster
from tests.plugins.clickhouse import questions_world as world
from tests.plugins.clickhouse.routes_world import (
    EXPORTERS,
    NOW,
    client_of,
    fill,
    paths,
    plain,
    source_settings,
)
from tests.plugins.clickhouse.world import LogOfFlows, Place, load_all, server_at
from tests.web.building import Client

ANALYTICS = "/api/v1/netflow"
DEVICES = "/v1/api/device"
SECONDS = f"{DEVICES}/get/summary/group/1m/by/{EXPORTERS[0]}"
QUERIES = ("", f"device={EXPORTERS[1]}")
OF_NO_FLOWS = ("getColumnInfo", f"{DEVICES}/get/by/", "/v1/api/?", "/v1/api?")
FIRST_SHARD_ONLY = "0.0.0.9"


class Half(NamedTuple):
    """A cluster of which one shard is dead."""

    client: Client
    store: SourceStore
    place: Place
    cluster: ClickHouseCluster
    folder: Path
    name: str
    whole: dict[str, Any]
    metrics: str

    def stored(self, what: str) -> int:
        """Return a figure of the shard that answers."""
        server = server_at(self.cluster.shard(1)[0].address, self.place.database)
        ((n,),) = server.rows(f"SELECT {what} FROM sums_local")
        return int(n)


@pytest.fixture(scope="module")
def half(cluster: ClickHouseCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Half]:
    folder = tmp_path_factory.mktemp("half")
    place = Place(cluster.addresses, cluster.name)
    log = LogOfFlows(folder / "local")
    world.write_flows(log)
    # Of the last minute, which is answered by the second.
    one = np.full(300, V4_MAPPED | 1, np.uint64)
    log.write(300, int(NOW) - 65, record_kind=np.zeros(300, np.uint8), exporter_address_lo=one)
    log.seal()
    fill(place, folder / "local")
    client, store = client_of(folder / "remote", source_settings(place))
    assert isinstance(store, SourceStore)
    asked = [path for path in paths() if path.partition("?")[2] in QUERIES]
    whole = {path: client.get(path).json for path in [*asked, SECONDS]}
    metrics = client.get("/metrics").body.decode()
    for node in cluster.shard(2):
        node.kill()
    ports = sorted(f"127.0.0.1:{node.tcp_port}" for node in cluster.shard(2))
    name = f"shard 2 ({', '.join(ports)})"
    store._source_exporters._look_at = 0.0
    yield Half(client, store, place, cluster, folder, name, whole, metrics)
    set_query_sources({}, {"search.source": "log"})  # type: ignore[arg-type]
    store.close()


def rows_of(answer: Any) -> list[dict[str, Any]]:
    return answer if isinstance(answer, list) else [answer]


def octets_of(answer: Any) -> int:
    keys = ("TotalBytes", "total_bytes", "sumcount", "TotalRecordedInstances")
    return sum(row.get(key, 0) for row in rows_of(answer) for key in keys)


def test_routes_when_a_shard_is_dead_then_the_rest_and_a_header_with_its_name(half: Half):
    sums = 0
    for path, before in half.whole.items():
        reply = half.client.get(path)
        assert reply.status == 200, (path, reply.body)
        tells = not any(part in path for part in OF_NO_FLOWS)
        assert reply.headers.get("x-partial") == (half.name if tells else None), path
        if tells and path.startswith(ANALYTICS):
            assert reply.headers["x-figures"] == "partial"
        # Not a key more than the published API has.
        for mine, theirs in zip(rows_of(reply.json), rows_of(before), strict=False):
            assert list(mine) == list(theirs), path
        sums += octets_of(reply.json)
    assert 0 < sums < sum(map(octets_of, half.whole.values()))
    seconds = half.client.get(SECONDS).json
    assert 0 < sum(row["flow_count"] for row in seconds) < 300


def test_figures_when_a_shard_is_dead_then_those_of_the_other_shards(half: Half):
    def shares(name: str, key: str) -> int:
        return sum(row[key] for row in half.client.get(f"{ANALYTICS}/{name}").json)

    wanted = half.stored("sum(octets)")
    assert 0 < wanted == shares("getProtocolDistribution", "TotalRecordedInstances")
    assert wanted == shares("getMostActiveApps?limit=1000", "sumcount")
    hours = ("getIngressBytesPerHour", "getEgressBytesPerHour")
    assert wanted == sum(shares(name, "TotalBytes") for name in hours)
    devices = half.client.get(f"{DEVICES}/get/summary/interval/2d").json
    assert sum(row["total_bytes"] for row in devices) == wanted
    whole = sum(row["total_bytes"] for row in half.whole[f"{DEVICES}/get/summary/interval/2d?"])
    assert wanted < whole


def test_other_questions_when_a_shard_is_dead_then_refused(half: Half):
    for ask in (half.store.totals, half.store.totals_by_exporter):
        with pytest.raises(StorageError, match=r"shard 2 .* does not answer"):
            ask(Selection())
    # Whoever watches these figures would take the gap for a fall.
    assert "appliance_exporter_traffic_octets" in half.metrics
    assert "appliance_exporter_traffic_octets" not in half.client.get("/metrics").body.decode()
    settings = open_app(half.folder / "remote").settings
    with pytest.raises(StorageError, match="a report would lack its flows"):
        ReportMaker(settings, UTC, NOW).make(period_from_text("daily", "", NOW, UTC))


def test_bound_user_when_a_shard_is_dead_then_told_without_its_name(half: Half):
    settings = open_app(half.folder / "remote").settings
    engine = engine_from_settings(settings).bound_to(parse_conditions(["proto=6"]))
    store = BoundStore(engine, None, settings)
    with pytest.raises(StorageError, match="sums would be too low"):
        store.top("source", Selection())
    missing: list[str] = []
    assert store.top("source", Selection(on_missing=missing.extend)).rows
    assert missing == ["a part of the database"]


def test_devices_when_first_seen_while_a_shard_is_dead_then_the_others_come_with_it(half: Half):
    log = LogOfFlows(half.folder / "second")
    only = np.full(20, V4_MAPPED | 9, np.uint64)
    log.write(20, int(NOW) - 65, exporter_address_lo=only)
    loader = half.place.loader(half.folder / "second", "two")
    assert load_all(loader) == 20
    loader.close()
    client, store = client_of(half.folder / "fresh", source_settings(half.place))
    listed = client.get(f"{DEVICES}/get/all")
    assert listed.headers["x-partial"] == half.name
    assert FIRST_SHARD_ONLY in {row["Device"] for row in listed.json}
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
    path = f"{DEVICES}/set/by/{FIRST_SHARD_ONLY}"
    renamed = client("POST", path, b"Name=edge", token="administrator", **form)
    assert (renamed.status, renamed.json["Name"]) == (200, "edge")
    assert "x-partial" not in renamed.headers
    half.cluster.restore()
    # At once, not with the next look in half a minute.
    again = client.get(f"{DEVICES}/get/all")
    assert "x-partial" not in again.headers
    assert {row["Device"] for row in again.json} == {*EXPORTERS, FIRST_SHARD_ONLY}
    store.close()
    for path, before in half.whole.items():
        reply = half.client.get(path)
        assert "x-partial" not in reply.headers
        if "device=" in path or "/by/" in path:
            assert plain(reply.json) == plain(before), path
