"""Every documented route, answered from roll-ups of the own flow log and from ClickHouse alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from appliance.contracts import SavedApplication, Selection
from appliance.flows import V4_MAPPED
from appliance.plugins.clickhouse import FOLDER
from appliance.plugins.clickhouse.shared_knowledge import SharedKnowledge
from appliance.plugins.rollups.application_names import ApplicationName, Changes, store_names
from appliance.plugins.rollups.store import SqlStore
from appliance.query.sources import set_query_sources
from tests.plugins.clickhouse import questions_world as world
from tests.plugins.clickhouse.routes_world import (
    EXPORTERS,
    NOW,
    client_of,
    fill,
    load,
    paths,
    plain,
    source_settings,
)
from tests.plugins.clickhouse.world import START, LogOfFlows, Place
from tests.web.building import Client

NETWORKS = [{"name": "inside", "prefixes": ["10.0.0.0/28", "2001:db8::/64"]}]
APPLICATION = 1 << 57


class Sides(NamedTuple):
    """The same flows asked of both."""

    local: Client
    remote: Client
    stores: tuple[SqlStore, SqlStore]


@pytest.fixture(params=["nothing inside", "networks inside"])
def sides(request: pytest.FixtureRequest, place: Place, tmp_path: Path) -> Iterator[Sides]:
    """An appliance with its own flow log, and one that has nothing but ClickHouse's address."""
    networks = {"networks": NETWORKS} if request.param == "networks inside" else {}
    local, store = client_of(tmp_path / "local", networks)
    log = LogOfFlows(tmp_path / "local")
    world.write_flows(log)
    log.write(40, START + 1800, record_kind=np.zeros(40, np.uint8))
    load(store)
    log.writer.close(int(NOW * 1000))
    fill(place, tmp_path / "local")
    remote, other = client_of(tmp_path / "remote", {**networks, **source_settings(place)})
    yield Sides(local, remote, (store, other))
    set_query_sources({}, {"search.source": "log"})  # type: ignore[arg-type]
    store.close()
    other.close()


def test_routes_when_answered_by_clickhouse_then_as_by_the_own_flow_log(sides: Sides):
    n_rows = 0
    assert len(paths()) > 100
    for path in paths():
        mine, theirs = (client.get(path) for client in (sides.local, sides.remote))
        assert mine.status == theirs.status == 200, (path, mine.body, theirs.body)
        assert plain(theirs.json) == plain(mine.json), path
        for header in ("x-figures", "x-range", "x-figures-pending"):
            assert theirs.headers.get(header) == mine.headers.get(header), (path, header)
        n_rows += len(mine.json)
    assert n_rows > 1000


@pytest.mark.parametrize("place", ["single"], indirect=True)
@pytest.mark.parametrize("sides", ["nothing inside"], indirect=True)
def test_tops_when_of_every_dimension_then_the_same_rows_and_rest(sides: Sides):
    mine, theirs = sides.stores
    for dimension in ("total", "protocol", "application", "source", "destination", "port"):
        for by, limit in (("octets", None), ("packets", 4), ("flows", 1)):
            wanted = mine.top(dimension, Selection(), by, limit)  # type: ignore[arg-type]
            answer = theirs.top(dimension, Selection(), by, limit)  # type: ignore[arg-type]
            assert wanted.rows
            assert answer == wanted, (dimension, by)


@pytest.mark.parametrize("place", ["single", "cluster"], indirect=True)
def test_directions_when_every_exporter_tells_them_then_sums_alone_are_asked(
    place: Place, tmp_path: Path
):
    local, store = client_of(tmp_path / "local", {"networks": NETWORKS})
    log = LogOfFlows(tmp_path / "local")
    log.write(300, flow_direction=np.arange(300, dtype=np.uint8) % 2)
    load(store)
    fill(place, tmp_path / "local")
    tree = {"networks": NETWORKS, **source_settings(place)}
    remote, other = client_of(tmp_path / "remote", tree)
    for server in range(len(place.addresses)):
        local_flows = "flows_local" if place.cluster else "flows"
        place.server(server).command(f"ALTER TABLE {local_flows} DROP PARTITION {START // 86400}")
    for name in ("getIngressBytesPerHour", "getEgressProtocolDistribution"):
        mine = local.get(f"/api/v1/netflow/{name}").json
        assert mine
        assert remote.get(f"/api/v1/netflow/{name}").json == mine
    set_query_sources({}, {"search.source": "log"})  # type: ignore[arg-type]
    store.close()
    other.close()


@pytest.mark.parametrize("place", ["single"], indirect=True)
def test_applications_when_exporters_name_them_then_by_these_names(place: Place, tmp_path: Path):
    names = [ApplicationName(EXPORTERS[0], 0, 0, APPLICATION, "Webex")]
    names.append(ApplicationName(EXPORTERS[1], 0, 0, APPLICATION, "HTTPS"))
    local, store = client_of(tmp_path / "local", {})
    with store.flows.transaction(write=True):
        store_names(store.flows, Changes(names, []))
    log = LogOfFlows(tmp_path / "local")
    log.write(300, application_id=np.full(300, APPLICATION, np.uint64))
    load(store)
    fill(place, tmp_path / "local")
    remote, other = client_of(tmp_path / "local", source_settings(place))
    path = "/api/v1/netflow/getMostActiveApps"
    shown = {row["appname"] for row in remote.get(path).json}
    assert {"Webex", "https"} <= shown
    assert remote.get(path).json == local.get(path).json
    set_query_sources({}, {"search.source": "log"})  # type: ignore[arg-type]
    store.close()
    other.close()


@pytest.mark.parametrize("place", ["single", "cluster"], indirect=True)
def test_applications_when_named_to_other_collectors_then_by_these_names(
    place: Place, tmp_path: Path
):
    log = LogOfFlows(tmp_path / "one")
    log.write(300, application_id=np.full(300, APPLICATION, np.uint64))
    names = [SavedApplication(EXPORTERS[0], 2055, APPLICATION, "Webex\n")]
    names.append(SavedApplication(EXPORTERS[1], 2055, APPLICATION, "HTTPS"))
    SharedKnowledge(tmp_path / "one" / FOLDER).write_applications(names)
    fill(place, tmp_path / "one")
    remote, store = client_of(tmp_path / "remote", source_settings(place))
    shown = {row["appname"] for row in remote.get("/api/v1/netflow/getMostActiveApps").json}
    assert {"Webex", "https", "unknown"} == shown
    set_query_sources({}, {"search.source": "log"})  # type: ignore[arg-type]
    store.close()


@pytest.mark.parametrize("place", ["single"], indirect=True)
@pytest.mark.parametrize("sides", ["nothing inside"], indirect=True)
def test_exporter_when_forgotten_then_away_until_it_sends_again(
    sides: Sides, place: Place, tmp_path: Path
):
    def addresses() -> list[str]:
        sides.stores[1]._source_exporters._look_at = 0.0  # type: ignore[union-attr]
        return [row["Device"] for row in sides.remote.get("/v1/api/device/get/all").json]

    assert sorted(addresses()) == list(EXPORTERS)
    gone = sides.remote("DELETE", f"/api/v1/exporters/{EXPORTERS[0]}", token="administrator")
    assert gone.status == 200
    assert sorted(addresses()) == list(EXPORTERS[1:])
    assert sides.remote.get(f"/v1/api/device/get/by/{EXPORTERS[0]}").status == 404
    load(sides.stores[1])
    restarted, store = client_of(tmp_path / "remote", source_settings(place))
    listed = restarted.get("/v1/api/device/get/all").json
    assert sorted(row["Device"] for row in listed) == list(EXPORTERS[1:])
    store.close()
    log = LogOfFlows(tmp_path / "local")
    low = np.full(5, V4_MAPPED | 1, np.uint64)
    log.write(5, int(NOW) + 120, exporter_address_lo=low)
    fill(place, tmp_path / "local")
    assert sorted(addresses()) == list(EXPORTERS)
