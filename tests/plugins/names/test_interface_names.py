"""Names of interfaces and exporters in answers: whose counts where several have some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.contracts import ExporterRecord
from appliance.interface_history import DeviceReading, InterfaceHistory, InterfaceReading
from tests.plugins.test_explore import BASE, NOW_MS, flows
from tests.web.appliance import JSON

__all__ = ["flows"]

EXPORTER = "192.0.2.1"
HALF_HOUR_MS = 1_800_000
SPEEDS = "/api/v1/interfaces/speeds"
INTERFACES = "/api/v1/exporters/1/interfaces"


def reading(time_ms: int, name: str, alias: str) -> DeviceReading:
    interface = InterfaceReading(7, name, alias, 10**9, None, None)
    return DeviceReading(EXPORTER, time_ms, 1000, "core1", "a router", [interface])


@pytest.fixture(autouse=True)
def exporters(store: Any) -> None:
    store.records = [ExporterRecord(1, EXPORTER, "", "", 1.0, 1.0)]


@pytest.fixture
def history(flows: Path) -> InterfaceHistory:
    return InterfaceHistory(flows.parent / "interfaces.sqlite")


def name_it(client: Any, path: str, body: Any) -> Any:
    return client("POST", path, json.dumps(body).encode(), token="administrator", **JSON)


def named(client: Any, question: str = "last=1h") -> list[Any]:
    rows = client.get(f"{BASE}/top?by=ingress_interface&{question}").json["rows"]
    return [(row["interface_name"], row["interface_description"]) for row in rows]


def test_interface_when_only_options_records_name_it_then_their_name(client: Any, flows: Path):
    assert named(client) == [("Gi0/7", "to the = world")]


def test_interface_when_the_device_names_it_then_before_options_records(
    client: Any, history: InterfaceHistory
):
    history.record([reading(NOW_MS - 2 * HALF_HOUR_MS, "xe-0/0/7", "")])
    assert named(client) == [("xe-0/0/7", "to the = world")]
    history.record([reading(NOW_MS, "xe-0/0/7", "uplink Vienna")])
    assert named(client, f"from={NOW_MS // 1000}&to={NOW_MS // 1000 + 60}") == []
    series = client.get(f"{BASE}/series?by=interface&last=1h&step=10m").json["rows"]
    assert series[0]["keys"]["interface_name"] == "xe-0/0/7"
    listed = client.get(f"{BASE}/flows?limit=1").json["flows"]
    assert listed[0]["interface_name"] == "xe-0/0/7"


def test_interface_when_its_index_was_reused_then_each_range_has_its_own_name(
    client: Any, history: InterfaceHistory
):
    history.record([reading(NOW_MS - 2 * HALF_HOUR_MS, "old", "")])
    history.record([reading(NOW_MS - HALF_HOUR_MS // 2, "new", "")])
    change = (NOW_MS - HALF_HOUR_MS // 2) // 60_000 * 60
    assert named(client, f"from={change - 600}&to={change - 60}")[0][0] == "old"
    assert named(client, f"from={change + 60}&to={NOW_MS // 1000}")[0][0] == "new"
    assert named(client)[0][0] == "new / old"


def test_interface_when_people_name_it_then_their_name_and_a_filter_knows_all(
    client: Any, history: InterfaceHistory
):
    history.record([reading(NOW_MS - HALF_HOUR_MS, "xe-0/0/7", "uplink")])
    reply = name_it(client, f"{INTERFACES}/7", {"Name": " uplink  Vienna "})
    assert reply.status == 200
    assert named(client) == [("uplink Vienna", "uplink")]
    for name in ("uplink Vienna", "XE-0/0/7", "Gi0/7"):
        assert named(client, f'filter=if%20"{name}"'.replace(" ", "%20")), name
    assert name_it(client, f"{INTERFACES}/7", {"Name": ""}).status == 200
    assert named(client) == [("xe-0/0/7", "uplink")]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"{INTERFACES}/x", {"Name": "a"}, 404),
        (f"{INTERFACES}/4294967296", {"Name": "a"}, 404),
        (f"{INTERFACES}/7", {}, 400),
        (f"{INTERFACES}/7", {"Name": "a" * 256}, 400),
        (f"{INTERFACES}/7", {"Name": "a\x07"}, 400),
        ("/api/v1/exporters/99/interfaces/7", {"Name": "a"}, 404),
    ],
)
def test_naming_when_it_cannot_be_then_one_sentence(client: Any, path: str, body: Any, status: int):
    reply = name_it(client, path, body)
    assert (reply.status, reply.json["success"]) == (status, False)


def test_exporter_when_nobody_named_it_then_the_name_that_the_device_has(
    client: Any, history: InterfaceHistory
):
    history.record([reading(NOW_MS, "x", "")])
    suggestions = client.get(f"{BASE}/complete?text=exporter%20").json["suggestions"]
    assert {"text": EXPORTER, "kind": "value", "note": "core1"} in suggestions
    listed = client.get("/api/v1/exporters").json["exporters"]
    assert all("device_name" in exporter for exporter in listed)


def test_speeds_when_an_interface_is_another_now_then_that_of_now(
    client: Any, history: InterfaceHistory
):
    assert client.get(SPEEDS).json == {"interfaces": []}
    history.record([reading(NOW_MS - HALF_HOUR_MS, "xe-0/0/7", "")])
    faster = InterfaceReading(7, "et-0/0/7", "", 10**11, None, None)
    unknown = InterfaceReading(8, "tun0", "", 0, None, None)
    history.record([DeviceReading(EXPORTER, NOW_MS, 2000, "core1", "", [faster, unknown])])
    assert client.get(SPEEDS).json == {
        "interfaces": [{"exporter": EXPORTER, "number": 7, "speed": 10**11}]
    }
