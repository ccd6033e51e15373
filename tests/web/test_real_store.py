"""The routes on the real store, filled from a real flow log, against the store in memory."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from appliance.app import build_app
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import FlowBatch, address_halves
from appliance.plugin_manager import build_plugin_manager
from appliance.plugins.rollups.store import SqlStore
from appliance.settings.file import SettingsFile
from tests.web.building import Client, FakeStore, Flow, web_of

NOW = 1_800_010_020.0  # 2027-01-15T10:47:00Z, a whole minute
PORTS = {"http": 80, "https": 443, "ssh": 22}
ROUTES = [
    *(f"/api/v1/netflow/get{word}TopTalkers" for word in ("Ingress", "Egress")),
    *(f"/api/v1/netflow/get{word}MostActiveApps" for word in ("", "Ingress", "Egress")),
    *(f"/api/v1/netflow/get{word}BytesPerHour" for word in ("Ingress", "Egress")),
    *(f"/api/v1/netflow/get{word}ProtocolDistribution" for word in ("", "Ingress", "Egress")),
    "/api/v1/netflow/getTopApps",
    "/api/v1/netflow/getPacketPerAppID",
    "/api/v1/netflow/getAvgPacketSizeByAppId",
]
COLLECTOR = ["/v1/api/device/get/summary/interval/{}", "/v1/api/device/get/summary/group/{}/by/1"]


def made_flows() -> list[Flow]:
    choose = random.Random(7)
    flows = []
    for i in range(400):
        application = choose.choice(list(PORTS))
        flows.append(
            Flow(
                NOW - 60 - choose.randrange(6 * 3600),
                choose.randrange(40, 10**6) + i,
                choose.randrange(1, 900),
                exporter=choose.choice((1, 2)),
                direction=choose.choice((0, 1)),
                source=f"192.0.2.{choose.randrange(1, 12)}",
                protocol="6",
                application=application,
                port=str(PORTS[application]),
            )
        )
    return sorted(flows, key=lambda flow: flow.time)


def batch_of(flows: list[Flow]) -> FlowBatch:
    halves = [address_halves(flow.source) for flow in flows]
    exporters = [address_halves(f"10.0.0.{flow.exporter}") for flow in flows]
    n = len(flows)
    return FlowBatch(
        n,
        {
            "collection_time_milliseconds": np.array([f.time * 1000 for f in flows], np.int64),
            "exporter_address_hi": np.array([hi for hi, _ in exporters], np.uint64),
            "exporter_address_lo": np.array([lo for _, lo in exporters], np.uint64),
            "source_address_hi": np.array([hi for hi, _ in halves], np.uint64),
            "source_address_lo": np.array([lo for _, lo in halves], np.uint64),
            "destination_address_hi": np.zeros(n, np.uint64),
            "destination_address_lo": np.full(n, 0xFFFF_0808_0808, np.uint64),
            "source_transport_port": np.full(n, 50000, np.uint16),
            "destination_transport_port": np.array([int(f.port) for f in flows], np.uint16),
            "protocol_identifier": np.full(n, 6, np.uint8),
            "octet_delta_count": np.array([f.octets for f in flows], np.uint64),
            "packet_delta_count": np.array([f.packets for f in flows], np.uint64),
            "flow_direction": np.array([f.direction for f in flows], np.uint8),
        },
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return an app, its filled store and the flows that are in it."""
    folder = tmp_path_factory.mktemp("real")
    file = SettingsFile(None, folder, {"data_directory": str(folder)})
    app = build_app(build_plugin_manager(entry_points=()), file)
    flows = made_flows()
    # Exporters get their numbers in the order in which they appear.
    first = next(index for index, flow in enumerate(flows) if flow.exporter == 1)
    flows = flows[first:]
    writer = FlowLogWriter(folder / "flowlog", FlowLogLimits(minimum_free_octets=0))
    writer.start()
    writer.append(batch_of(flows))
    writer.flush({}, int(NOW * 1000))
    writer.close(int(NOW * 1000))
    store = SqlStore("sqlite:flows.sqlite", app.settings, clock=lambda: NOW)
    for _ in range(200):
        report = store.load_once(NOW)
        if not report.busy and not report.rows:
            break
    yield app, store, flows
    store.close()


@pytest.fixture
def clients(whole):
    """Return a client on the real store and one on the store in memory."""
    app, store, flows = whole
    fake = FakeStore(flows, store.exporters())

    def make(name="Asia/Kathmandu"):
        zone = ZoneInfo(name)
        return tuple(Client(web_of(s, app.settings, zone=zone, now=NOW)) for s in (store, fake))

    return make


def same(one: list, other: list) -> bool:
    """Compare rows regardless of the order of those that are equal in the measure."""

    def sortable(rows):
        return sorted(rows, key=repr)

    return sortable(one) == sortable(other)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("device", ["", "device=10.0.0.2", "device=1"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "last=3h",
        "last=17m",
        "last=2h&to=2027-01-15T09:57:00Z",
        "from=2027-01-15T09:13:00Z&to=2027-01-15T09:41:00Z",
        "from=2027-01-15T07:13:30Z&to=2027-01-15T10:20:30Z&limit=3",
        "to=2027-01-15T07:31:00Z",
        "from=2027-01-15T10:17:00Z",
        "limit=1",
    ],
)
def test_analytics_when_any_parameters_on_the_real_store_then_as_in_memory(
    clients, path, query, device
):
    real, fake = clients()
    target = f"{path}?{query}&{device}"
    found, expected = real.get(target), fake.get(target)
    assert found.status == expected.status == 200
    assert expected.json
    assert same(found.json, expected.json)
    assert found.headers["x-figures"] == "exact"
    assert "x-figures-pending" not in found.headers


@pytest.mark.parametrize("template", COLLECTOR)
@pytest.mark.parametrize("interval", ["15m", "1h", "3h", "12h", "24h", "1d", "1w", "1M", "1y"])
@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"])
def test_collector_api_when_on_the_real_store_then_as_in_memory(clients, template, interval, zone):
    real, fake = clients(zone)
    path = template.format(interval)
    found, expected = real.get(path), fake.get(path)
    assert (found.status, found.json) == (200, expected.json)
    assert expected.json


def test_devices_when_on_the_real_store_then_changed_and_kept(clients):
    real, _ = clients()
    rows = real.get("/v1/api/device/get/all").json
    assert [row["Device"] for row in rows] == ["10.0.0.1", "10.0.0.2"]
    body = b'{"Name": "edge", "Info": "\\u00dc"}'
    kind = {"CONTENT_TYPE": "application/json"}
    changed = real("POST", "/v1/api/device/set/by/2", body, token="administrator", **kind)
    assert (changed.status, changed.json["Name"], changed.json["Info"]) == (200, "edge", "Ü")
    assert real.get("/v1/api/device/get/by/10.0.0.2").json == changed.json


def test_columns_and_health_when_on_the_real_store_then_answered(clients):
    real, _ = clients()
    (columns,) = real.get("/api/v1/netflow/getColumnInfo").json
    assert list(columns["ip_src"]) == ["defaultValue", "type", "maxLength", "nullable"]
    health = real.get("/api/v1/health").json
    assert health["loader"]["schema_version"] >= 1
    assert b"appliance_database_up 1.0" in real.get("/metrics").body


def test_store_when_asked_by_many_threads_then_all_are_answered(clients):
    real, fake = clients()
    expected = fake.get(ROUTES[0]).json
    gate = threading.Barrier(8)

    def ask(_):
        gate.wait(10)
        return [real.get(ROUTES[0]).json for _ in range(5)]

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(ask, range(8)):
            assert answers == [expected] * 5
