"""The two published documents against the route table and the answers, to the letter."""

from __future__ import annotations

import json
import re
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from appliance.contracts import ExporterRecord
from tests.web.building import COLUMNS, Client, FakeStore, Flow, plugin_routes, web_of

DOCUMENTS = Path(__file__).parents[1] / "data" / "api"
DESTNE = (DOCUMENTS / "api-destne.md").read_text()
COLLECTOR = (DOCUMENTS / "api-netflow-collector.txt").read_text()
TEHRAN = timezone(timedelta(hours=4, minutes=30))

ANALYTICS = DESTNE[DESTNE.index("# Analytics") : DESTNE.index("# Admin Calls")]
SECTIONS = {
    section.partition("\n")[0].strip(): section for section in re.split(r"\n## ", ANALYTICS)[1:]
}


def example(section: str):
    """Return the JSON object that a section of destne's document shows."""
    return json.loads(re.search(r"```json\n(.*?)```", SECTIONS[section], re.DOTALL)[1])


def collector_examples() -> list[dict]:
    """Return every object of the collector's document that is whole, in its order."""
    return [json.loads(text) for text in re.findall(r"\{ \"[^{}]*\}", COLLECTOR)]


@pytest.fixture
def answer(settings):
    """Ask an application whose store has these flows."""

    def ask(path: str, *flows: Flow, records=(), now: float = 2e9, zone=TEHRAN):
        store = FakeStore(list(flows), list(records))
        reply = Client(web_of(store, settings, now=now, zone=zone)).get(path)
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json"
        return reply.json

    return ask


def test_documents_when_read_then_every_section_is_known():
    assert len(SECTIONS) == 9
    assert len(collector_examples()) == 1 + 1 + 5


def test_column_information_when_asked_then_as_documented(answer):
    assert example("Get Column Information") == [COLUMNS]
    assert answer("/api/v1/netflow/getColumnInfo") == example("Get Column Information")


@pytest.mark.parametrize(("word", "direction"), [("Ingress", 0), ("Egress", 1)])
def test_talkers_when_asked_then_as_documented(answer, word, direction):
    shown = example(f"Get {word} Top Talkers")
    # The document shows a bare object for ingress; the notes settle that it is an array.
    rows = shown if isinstance(shown, list) else [shown]
    flows = [
        Flow(1e9, r["TotalBytes"], r["TotalPackets"], source=r["HostIP"], direction=direction)
        for r in rows
    ]
    others = [Flow(1e9, 10**12, 1, direction=1 - direction)]
    assert answer(f"/api/v1/netflow/get{word}TopTalkers", *flows, *others) == rows


def test_top_applications_when_asked_then_as_documented(answer):
    rows = example("Get Top Applications")
    flows = [Flow(1e9, 1, 1, r["count"], application=r["appname"]) for r in rows]
    assert answer("/api/v1/netflow/getTopApps", *flows) == rows


@pytest.mark.parametrize(
    ("word", "directions"), [("", (0, 1)), ("Ingress", (0,)), ("Egress", (1,))]
)
def test_most_active_applications_when_asked_then_as_documented(answer, word, directions):
    rows = example("Most Active Applications")
    flows = [
        Flow(1e9, r["sumcount"] // 2, 1, application=r["appname"], direction=direction)
        for r in rows
        for direction in (0, 1)
    ]
    odd = [
        Flow(1e9, r["sumcount"] - r["sumcount"] // 2 * len(directions), 1, 0,
             application=r["appname"], direction=directions[0])
        for r in rows
    ]  # fmt: skip
    assert answer(f"/api/v1/netflow/get{word}MostActiveApps", *flows, *odd) == rows


@pytest.mark.parametrize(("word", "direction"), [("Ingress", 0), ("Egress", 1)])
@pytest.mark.parametrize("now", [1_428_473_000.0, 2e9])
def test_octets_per_hour_when_asked_then_as_documented(answer, word, direction, now):
    rows = example("Bytes per Hour")
    hour = 1_428_462_000  # 2015-04-08T03:00:00Z
    flows = [
        Flow(hour + 3600 * i + 1800, r["TotalBytes"], 1, direction=direction)
        for i, r in enumerate(rows)
    ]
    others = [Flow(hour + 9 * 3600, 1, 1, direction=1 - direction)]
    assert answer(f"/api/v1/netflow/get{word}BytesPerHour", *flows, *others, now=now) == rows


def test_average_packet_size_when_asked_then_as_documented(answer):
    rows = example("Average Packet Size per Application")
    flows = [
        Flow(1e9, r["avgPacketSize"] * 3 + 2, 3, application=r["appname"]) for r in reversed(rows)
    ]
    assert answer("/api/v1/netflow/getAvgPacketSizeByAppId", *flows) == rows


@pytest.mark.parametrize("word", ["", "Ingress", "Egress"])
def test_protocol_distribution_when_asked_then_as_documented(answer, word):
    rows = example("Protocol Distribution")
    numbers = {"udp": "17", "tcp": "6"}
    direction = int(word == "Egress")
    flows = [
        Flow(1e9, r["TotalRecordedInstances"], 1, protocol=numbers[r["protocal"]],
             direction=direction)
        for r in rows
    ]  # fmt: skip
    found = answer(f"/api/v1/netflow/get{word}ProtocolDistribution", *flows)
    assert [row.pop("protocol") for row in found] == ["udp", "tcp"]
    assert found == rows


@pytest.mark.parametrize("name", ["getPacketPerAppID", "getPacketsPerAppID"])
def test_packets_per_application_when_asked_then_as_documented(answer, name):
    rows = example("Packets Sent per Application")
    flows = [Flow(1e9, 1, r["packetsum"], application=r["appname"]) for r in rows]
    assert answer(f"/api/v1/netflow/{name}", *flows) == rows


def test_devices_when_asked_then_as_documented(answer):
    shown = collector_examples()[0]
    created = 1_623_744_966.004006
    found = answer(
        "/v1/api/device/get/all", records=[ExporterRecord(1, "127.0.0.1", "", "", created, created)]
    )
    assert found == [shown]
    assert list(found[0]) == list(shown)


def test_summary_when_asked_then_as_documented(answer):
    shown = collector_examples()[1]
    flow = Flow(2e9 - 30, shown["total_bytes"], shown["total_packets"], shown["flow_count"])
    records = [ExporterRecord(1, "127.0.0.1", "", "", 1.0, 1.0)]
    records += [ExporterRecord(2, "192.0.2.2", "", "", 1.0, 1.0)]
    found = answer("/v1/api/device/get/summary/interval/15m", flow, records=records)
    assert found == [shown]
    assert list(found[0]) == list(shown)


def test_series_when_asked_then_as_documented(answer):
    rows = collector_examples()[2:]
    start = 1_623_757_320  # 2021-06-15T16:12:00+04:30
    flows = [
        Flow(start + 60 * i + 7, r["total_bytes"], r["total_packets"], r["flow_count"])
        for i, r in enumerate(rows)
    ]
    found = answer(
        "/v1/api/device/get/summary/group/15m/by/1",
        *flows,
        records=[ExporterRecord(1, "127.0.0.1", "", "", 1.0, 1.0)],
        now=start + 250.0,
    )
    assert found == rows
    assert list(found[0]) == list(rows[0])


def documented_paths() -> set[str]:
    """Return every path of both documents, parts as `{}`."""
    analytics = set(re.findall(r"api/v1/netflow/\w+", ANALYTICS))
    collector = set(re.findall(r"/v1/api/device[\w/{}]+", COLLECTOR)) - {"/v1/api/device"}
    whole = {path for path in collector if "/15m/" not in path}
    return {"/v1/api/"} | {f"/{path}" for path in analytics} | {
        re.sub(r"\{\w+\}", "{}", path) for path in whole
    }  # fmt: skip


def test_routes_when_listed_then_every_documented_path_is_there(settings, client):
    documented = documented_paths()
    assert len(documented) == 1 + 15 + 3
    table = {re.sub(r"<\w+>", "{}", r.path) for r in plugin_routes(settings) if r.method == "GET"}
    assert documented <= table
    described = client("GET", "/api/openapi.json").json["paths"]
    assert documented <= {re.sub(r"\{\w+\}", "{}", path) for path in described}


@pytest.mark.parametrize("path", sorted(documented_paths()))
def test_documented_route_when_without_token_then_message_as_documented(client, path):
    shown = re.search(r"## Bearer Authentication.*?```json\n(.*?)```", DESTNE, re.DOTALL)
    reply = client("GET", path.replace("{}", "1"), token="")
    if path == "/v1/api/":
        assert (reply.status, reply.json["status"]) == (200, "ok")
    else:
        assert (reply.status, reply.json) == (401, json.loads(shown[1]))


def test_administrators_route_when_a_user_calls_then_message_as_documented(client):
    shown = re.search(r"# Admin Calls.*?```json\n(.*?)```", DESTNE, re.DOTALL)
    reply = client("POST", "/v1/api/device/set/by/1", token="user")
    assert (reply.status, reply.json) == (403, json.loads(shown[1]))
