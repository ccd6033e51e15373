from __future__ import annotations

import pytest

from appliance.contracts import Direction, Measure, Selection
from appliance.plugins import analytics
from appliance.protocols import PROTOCOL_NAMES, protocol_name
from tests.web.building import NOW, Flow

BASE = "/api/v1/netflow/"
NAMES = [r.path for r in analytics.register_routes()]
LIMITED = [name for name in NAMES if "TopTalkers" in name or "TopApps" in name]
LIMITED += [name for name in NAMES if "MostActive" in name or "PerAppID" in name]
UNLIMITED = ["getAvgPacketSizeByAppId", "getProtocolDistribution"]


@pytest.fixture
def many(store):
    store.flows = [
        Flow(
            NOW - 60,
            1000 + i,
            10 + i % 7,
            i + 1,
            direction=i % 2,
            source=f"192.0.2.{i}",
            application=f"app{i}",
            protocol=str(i),
        )
        for i in range(60)
    ]
    return store


@pytest.mark.parametrize("path", LIMITED)
def test_limit_when_not_given_then_fifteen_where_documented(client, many, path):
    assert len(client.get(path).json) == 15
    assert len(client.get(f"{path}?limit=2").json) == 2
    assert len(client.get(f"{path}?limit=1000").json) in (30, 60)


@pytest.mark.parametrize("name", UNLIMITED)
def test_limit_when_not_given_then_everything_elsewhere(client, many, name):
    assert len(client.get(BASE + name).json) == 60
    assert len(client.get(f"{BASE}{name}?limit=2").json) == 2


@pytest.mark.parametrize("path", NAMES)
def test_store_when_asked_by_a_route_then_few_times(client, store, path):
    assert client.get(path).status == 200
    assert sum(store.calls.values()) <= 2
    store.calls.clear()
    assert client.get(f"{path}?device=127.0.0.1&last=24h").status == 200
    assert sum(store.calls.values()) <= 3


@pytest.mark.parametrize("path", [name for name in NAMES if "ColumnInfo" not in name])
def test_range_and_device_when_given_then_they_select(client, store, path):
    client.get(f"{path}?from=1623750000&to=1623757200&device=2")
    direction = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}
    wanted = next((d for word, d in direction.items() if word in path), None)
    if "BytesPerHour" in path:
        assert store.asked == [Selection(None, None, 2, wanted)]
    else:
        assert store.asked == [Selection(1_623_750_000, 1_623_757_200, 2, wanted)]
    assert client.get(f"{path}?device=99").status == 404
    assert client.get(f"{path}?last=never").status == 400


def test_orders_when_answered_then_each_by_its_own_measure(client, many):
    def keys(name, key):
        values = [row[key] for row in client.get(BASE + name).json]
        assert values == sorted(values, reverse=True)
        return values

    assert keys("getTopApps", "count")[0] == 60
    assert keys("getMostActiveApps", "sumcount")[0] == 1059
    assert keys("getPacketsPerAppID", "packetsum")[0] == 16
    assert keys("getIngressTopTalkers", "TotalBytes")[0] == 1058
    assert keys("getAvgPacketSizeByAppId", "avgPacketSize")[0] == 105
    assert keys("getEgressProtocolDistribution", "TotalRecordedInstances")[0] == 1059


def test_average_when_there_are_no_packets_then_left_out(client, store):
    store.flows = [Flow(NOW, 100, 0, application="a"), Flow(NOW, 7, 2, application="b")]
    assert client.get(BASE + "getAvgPacketSizeByAppId").json == [
        {"avgPacketSize": 3, "appname": "b"}
    ]


@pytest.mark.parametrize(
    ("key", "name"),
    [("6", "tcp"), ("17", "udp"), ("1", "icmp"), ("58", "ipv6-icmp"), ("250", "250"), ("x", "x")],
)
def test_protocol_when_named_then_lower_case_else_its_number(key, name):
    assert protocol_name(key) == name
    assert all(n == n.lower() for n in PROTOCOL_NAMES.values())


def hours(client, query: str = "") -> dict[str, int]:
    rows = client.get(f"{BASE}getIngressBytesPerHour{query}").json
    return {row["TimeofDay"][:13]: row["TotalBytes"] for row in rows}


def test_hours_when_without_traffic_then_left_out_or_filled(client, store):
    store.flows = [Flow(NOW - 60, 5, 1), Flow(NOW - 3 * 3600, 7, 1)]
    assert hours(client) == {"2021-06-15T08": 7, "2021-06-15T11": 5}
    filled = hours(client, "?fill=true&from=2021-06-15T07:30:00Z")
    assert list(filled.values()) == [0, 7, 0, 0, 5]
    assert hours(client, "?fill=true&last=2h&limit=1") == {"2021-06-15T09": 0}


def test_hours_when_the_range_ends_within_one_then_up_to_there(client, store):
    hour = 1_623_751_200  # 10:00
    store.flows = [Flow(hour + 60, 1, 1), Flow(hour + 1800, 10, 1), Flow(hour + 3599, 100, 1)]
    assert hours(client, "?from=1623751200&to=1623753000") == {"2021-06-15T10": 1}
    assert hours(client, "?from=1623753000") == {"2021-06-15T10": 110}
    assert hours(client, "?from=1623753059&to=1623754801") == {"2021-06-15T10": 110}


def test_hours_when_everything_is_asked_then_the_store_is_not_asked_for_empty_years(client, store):
    bounds: list[int] = []
    series = store.series
    store.series = lambda asked, selection: bounds.append(len(asked)) or series(asked, selection)
    store.flows = [Flow(1_609_459_200, 9, 1), Flow(NOW - 60, 5, 1)]
    assert hours(client) == {"2021-01-01T00": 9, "2021-06-15T11": 5}
    assert bounds[0] == 619
    assert bounds[1] < 4010
    store.flows = []
    assert hours(client) == {}
    assert len(bounds) == 3


def test_hours_when_the_range_is_in_the_future_then_nothing(client):
    assert client.get(f"{BASE}getEgressBytesPerHour?from=1923757576&to=1923759999").json == []


def test_range_when_it_begins_within_a_bin_then_refused_with_the_two_times(client, store):
    store.bin_seconds = 900
    for query in ("from=2021-06-13T09:55:00Z", "from=2021-06-13T09:45:00Z&to=2021-06-13T09:57:00Z"):
        reply = client.get(f"{BASE}getTopApps?{query}")
        name = "to" if "to=" in query else "from"
        assert reply.status == 400
        assert reply.json["message"] == (
            f"{name}: the time from 2021-06-13T09:45:00Z to 2021-06-13T10:00:00Z is kept as one"
            " sum, expected one of these two"
        )
    reply = client.get(f"{BASE}getTopApps?from=2021-06-13T09:45:00Z&to=2021-06-13T10:00:00Z")
    assert (reply.status, reply.headers["x-range"]) == (
        200,
        "2021-06-13T09:45:00Z/2021-06-13T10:00:00Z",
    )


def test_range_when_last_reaches_into_a_bin_then_its_start_is_told(client, store):
    store.bin_seconds = 900
    store.flows = [Flow(NOW - 3 * 86400, 5, 1)]
    reply = client.get(f"{BASE}getTopApps?last=3d")
    assert reply.headers["x-range"] == "2021-06-12T11:45:00Z/.."
    assert "x-range" not in client.get(f"{BASE}getTopApps").headers


@pytest.mark.parametrize("path", [name for name in NAMES if "ColumnInfo" not in name])
def test_figures_when_exact_then_the_header_says_so(client, many, path):
    reply = client.get(path)
    assert reply.headers["x-figures"] == "exact"
    assert "x-figures-pending" not in reply.headers


def test_figures_when_some_are_cut_off_then_the_header_has_the_bound(client, many):
    many.error, many.pending = Measure(4711, 3, 1), Measure(12, 1, 1)
    reply = client.get(f"{BASE}getIngressTopTalkers?device=1&limit=1000")
    assert reply.headers["x-figures"] == "at-most-low-by=4711"
    assert reply.headers["x-figures-pending"] == "12"


def test_protocol_when_nothing_tells_it_then_unknown(client, store):
    store.flows = [Flow(NOW - 60, 1000, 10, 1, protocol="255")]
    (row,) = client.get(f"{BASE}getProtocolDistribution").json
    assert row["protocol"] == "unknown"
