from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from appliance import __version__
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import FlowBatch
from appliance.web.guard import NEED_AUTH
from tests.web.building import NOW, Client, Flow, web_of

BASE = "/v1/api/device"
ROUTES = {
    "/get/all": 1,
    "/get/by/2": 1,
    "/get/summary/interval/15m": 2,
    "/get/summary/interval/15m/by/2": 2,
    "/get/summary/group/15m/by/2": 2,
    "/get/summary/group/1y/by/2": 2,
}


@pytest.mark.parametrize("path", ["/v1/api/", "/v1/api"])
def test_status_when_asked_then_ok_without_token(client, path):
    reply = client("GET", path)
    assert reply.json == {"status": "ok", "name": "netflow-appliance", "version": __version__}


@pytest.mark.parametrize(("path", "calls"), ROUTES.items())
def test_store_when_asked_by_a_route_then_few_times(client, store, path, calls):
    assert client.get(BASE + path).status == 200
    assert sum(store.calls.values()) == calls


@pytest.mark.parametrize("path", ROUTES)
def test_get_routes_when_asked_for_then_options_too(client, path):
    assert client("OPTIONS", BASE + path).headers["allow"] == "GET, HEAD, OPTIONS"


def test_devices_when_asked_then_times_in_the_zone(client_of):
    client = client_of(zone=ZoneInfo("Asia/Kathmandu"))
    first, second = client.get(f"{BASE}/get/all").json
    assert first["CreatedAt"] == "2021-06-15T14:01:06.004006+05:45"
    assert second["CreatedAt"] == "2020-09-13T18:11:40+05:45"
    assert second["UpdatedAt"] == "2021-06-15T17:30:16.500000+05:45"
    assert client.get(f"{BASE}/get/by/2001:db8::2").json == second


def test_summary_when_asked_then_only_devices_with_traffic(client):
    def devices(interval):
        return [
            row["device_id"] for row in client.get(f"{BASE}/get/summary/interval/{interval}").json
        ]

    assert devices("15m") == [1, 2]
    assert devices("40s") == [1]


@pytest.mark.parametrize("interval", ["nonsense", "15", "m", "-5m", "1.5h", "15 m", "15q"])
def test_interval_when_invalid_then_fifteen_minutes(client, store, interval):
    assert client.get(f"{BASE}/get/summary/interval/{interval}").status == 200
    assert client.get(f"{BASE}/get/summary/interval/15m").status == 200
    assert store.asked[0] == store.asked[1]


@pytest.mark.parametrize("interval", ["0m", "0s", "00y"])
@pytest.mark.parametrize("path", ["interval/{}", "group/{}/by/1", "interval/{}/by/1"])
def test_interval_when_empty_then_refused(client, interval, path):
    reply = client.get(f"{BASE}/get/summary/{path.format(interval)}")
    assert reply.status == 400
    assert reply.json["message"] == "The interval is empty, expected a whole number from 1 on"


def test_summary_of_one_when_asked_then_an_object_even_without_traffic(client):
    found = client.get(f"{BASE}/get/summary/interval/3h/by/1").json
    assert (found["flow_count"], found["total_bytes"], found["device"]) == (4, 1590, "127.0.0.1")
    assert client.get(f"{BASE}/get/summary/interval/1s/by/2").json["flow_count"] == 0


@pytest.mark.parametrize("path", ["/get/by/{}", "/get/summary/group/15m/by/{}"])
@pytest.mark.parametrize("device", ["9", "0", "-1", "x", "192.0.2.99", "%", "1.0", "9" * 5000])
def test_device_when_unknown_then_404(client, path, device):
    reply = client.get(BASE + path.format(device))
    assert reply.status == 404
    assert reply.json["message"].startswith("No device")


def test_group_when_days_then_local_ones(client_of, store):
    zone = ZoneInfo("America/New_York")
    store.flows = [Flow(1_623_729_600 - 4 * 3600, 1, 1), Flow(1_623_729_600 - 1, 10, 1)]
    rows = client_of(zone=zone).get(f"{BASE}/get/summary/group/2d/by/1").json
    assert [(row["_time"], row["total_bytes"]) for row in rows] == [
        ("2021-06-14T00:00:00-04:00", 11)
    ]
    rows = client_of(zone=ZoneInfo("UTC")).get(f"{BASE}/get/summary/group/2d/by/1").json
    assert [(row["_time"], row["total_bytes"]) for row in rows] == [("2021-06-15T00:00:00Z", 11)]


@pytest.mark.parametrize(
    ("interval", "first"),
    [
        ("15m", "2021-06-15T15:55:00+04:30"),
        ("1h", "2021-06-15T15:10:00+04:30"),
        ("3h", "2021-06-15T13:00:00+04:30"),
        ("24h", "2021-06-14T00:00:00+04:30"),
        ("1d", "2021-06-14T16:00:00+04:30"),
        ("1w", "2021-06-08T00:00:00+04:30"),
        ("2w", "2021-05-31T00:00:00+04:30"),
        ("1M", "2021-05-10T00:00:00+04:30"),
        ("2M", "2021-04-01T00:00:00+04:30"),
        ("1y", "2020-06-01T00:00:00+04:30"),
        ("2y", "2019-01-01T00:00:00+03:30"),
    ],
)
def test_group_when_asked_then_bins_as_the_notes_say(client_of, store, interval, first):
    now = 1_623_757_210.0  # 2021-06-15T16:10:10+04:30
    store.flows = [Flow(now - 20 - 60 * i, 1, 1) for i in range(30)]
    store.flows += [Flow(now - 3600 * i, 1, 1) for i in range(1, 24 * 800)]
    client = client_of(zone=ZoneInfo("Asia/Tehran"), now=now)
    assert client.get(f"{BASE}/get/summary/group/{interval}/by/1").json[0]["_time"] == first


def logged(folder, moments, address="127.0.0.1") -> None:
    """Write flows of one exporter into the flow log."""
    writer = FlowLogWriter(folder, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    n = len(moments)
    low = (0xFFFF << 32) | int.from_bytes(bytes(map(int, address.split("."))), "big")
    columns = {
        "collection_time_milliseconds": np.array(moments, np.int64),
        "exporter_address_hi": np.zeros(n, np.uint64),
        "exporter_address_lo": np.full(n, low, np.uint64),
        "octet_delta_count": np.full(n, 100, np.uint64),
        "packet_delta_count": np.full(n, 2, np.uint64),
        "sampling_rate": np.full(n, 10.0),
    }
    writer.append(FlowBatch(n, columns))
    writer.flush({}, moments[-1])
    writer.close(moments[-1])


def test_group_when_seconds_then_from_the_flow_log(client, store, settings):
    base = int(NOW) * 1000
    log = settings["data_directory"] / "flowlog"
    logged(log, [base - 61_000, base - 5000, base - 4001, base - 4500, base])
    rows = client.get(f"{BASE}/get/summary/group/10s/by/1").json
    assert [(row["_time"], row["flow_count"], row["total_bytes"]) for row in rows] == [
        ("2021-06-15T11:46:11Z", 3, 3000),
        ("2021-06-15T11:46:16Z", 1, 1000),
    ]
    assert rows[0]["total_packets"] == 60
    assert client.get(f"{BASE}/get/summary/group/10s/by/2").json == []
    assert store.calls["series"] == 0


def test_group_when_seconds_and_no_flow_log_then_nothing(client):
    assert client.get(f"{BASE}/get/summary/group/60s/by/1").json == []


def change(client, body, token="administrator", device="2"):
    return client(
        "POST",
        f"{BASE}/set/by/{device}",
        json.dumps(body).encode(),
        token=token,
        CONTENT_TYPE="application/json",
    )


def test_device_when_changed_then_answered_as_it_is(client):
    reply = change(client, {"Name": "edge", "Info": "Ünder the desk"})
    assert (reply.status, reply.json["Name"], reply.json["Info"]) == (200, "edge", "Ünder the desk")
    assert change(client, {"Info": ""}, device="2001:db8::2").json["Name"] == "edge"
    assert client.get(f"{BASE}/get/by/2").json["Info"] == ""


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "Nothing to change, expected Name or Info"),
        ({"name": "x"}, 400, "Unknown parameters: name; expected Name, Info"),
        ({"Name": "x" * 256}, 400, "Name: expected at most 255 characters"),
        ({"Info": "x" * 1001}, 400, "Info: expected at most 1000 characters"),
        ({"Name": "\0"}, 400, "Name: expected text"),
    ],
)
def test_device_when_the_change_cannot_be_made_then_one_sentence(
    client, store, body, status, message
):
    reply = change(client, body)
    assert (reply.status, reply.json["message"]) == (status, message)
    assert store.calls["change_exporter"] == 0


def test_device_when_unknown_then_404_and_when_no_administrator_then_403(client):
    assert change(client, {"Name": "x"}, device="77").status == 404
    assert change(client, {"Name": "x"}, token="user").status == 403
    assert change(client, {"Name": "x"}, token="").status == 401


def test_need_auth_when_false_then_only_documented_get_routes_open(store, settings):
    client = Client(web_of(store, settings), {NEED_AUTH: False})
    documented = ["/get/all", "/get/summary/interval/1h", "/get/summary/group/15m/by/1"]
    for path in documented:
        assert client("GET", BASE + path).status == 200
    for path in ("/get/by/2", "/get/summary/interval/15m/by/2"):
        assert client("GET", BASE + path).status == 401
    assert change(client, {"Name": "x"}, token="").status == 401
    assert client("GET", "/api/v1/netflow/getTopApps").status == 401
    assert client("GET", "/metrics").status == 401


def test_exporter_when_it_disappears_while_changed_then_404(client, store):
    store.change_exporter = lambda *_, **__: (_ for _ in ()).throw(KeyError(2))
    assert change(client, {"Name": "x"}).status == 404
