from __future__ import annotations

import json
import re
import time

import pytest

from appliance.collector.exporter_rows import sampling_of
from appliance.contracts import Direction, ExporterRecord, InterfaceMeasure
from appliance.errors import StorageError
from appliance.guard import Guard, PluginFailures, guard_object
from appliance.guard.methods import METRICS as METRICS_CONTRACT
from appliance.interface_history import interface_history
from appliance.plugins.metrics.figures import exporter_figures
from appliance.plugins.metrics.prometheus import METRICS, StatusCollector, scrape
from tests.processes.supervision.holding import holder
from tests.web.building import NOW, Client, FakeStore, Flow, settings_of, web_of

LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}

STATUS = {
    "time_ms": int(NOW * 1000) - 2000,
    "pid": 77,
    "listen": ["[::]:2055"],
    "receive_buffer_octets": 64_000_000,
    "warnings": [],
    "datagrams": 1000,
    "octets": 1_400_000,
    "refused_datagrams": 1,
    "truncated_datagrams": 2,
    "lost": 3,
    "records_dropped_by_log": 4,
    "kernel_drops": 5,
    "log": {
        "records_written": 30_000,
        "octets_written": 9,
        "segments_closed": 1,
        "write_errors": 0,
    },
    "counts": {"records": 30_000, "unknown_template": 6},
    "unknown_elements": {"9:12345": 8},
    "connections": {
        "present": 7,
        "messages_dropped": 9,
        "counts": {"messages": 40, "closed_unknown_version": 11},
    },
    "exporters": {
        "192.0.2.1": {
            "last_seen_ms": int(NOW * 1000) - 500,
            "clock_skew_ms": -1500,
            "templates": 12,
            "applications": 3,
            "interfaces": 4,
            "waiting_octets": 0,
            "sampling": {"by_domain": {"0": 512.0}, "selectors": 0, "interfaces": 0},
            "datagrams": 900,
            "malformed": 1,
        },
        "2001:db8::2": {"templates": 1, "sampling": {}},
    },
}


@pytest.fixture
def collector(settings):
    """Have a process that holds the pid file as a collector does."""
    with holder(settings["data_directory"] / "collector.pid") as process:
        yield process


@pytest.fixture
def running(settings, collector):
    """Write a collector's status file."""

    def write(**changes):
        text = json.dumps(STATUS | changes)
        (settings["data_directory"] / "collector.json").write_text(text)

    return write


def scraped(client) -> dict[str, float]:
    """Return samples with their labels as written."""
    reply = client.get("/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in reply.body.decode().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_metrics_when_the_collector_runs_then_its_figures(client, running):
    running()
    found = scraped(client)
    expected = {
        "appliance_collector_up": 1,
        "appliance_datagrams_total": 1000,
        "appliance_received_octets_total": 1_400_000,
        "appliance_refused_datagrams_total": 1,
        "appliance_truncated_datagrams_total": 2,
        "appliance_lost_records_total": 3,
        "appliance_records_dropped_by_log_total": 4,
        "appliance_kernel_drops_total": 5,
        "appliance_records_written_total": 30_000,
        "appliance_log_write_errors_total": 0,
        'appliance_events_total{event="unknown_template"}': 6,
        "appliance_connections": 7,
        "appliance_connection_messages_dropped_total": 9,
        'appliance_connection_events_total{event="closed_unknown_version"}': 11,
        'appliance_unknown_elements_total{element="9:12345"}': 8,
        'appliance_exporter_templates{exporter="192.0.2.1"}': 12,
        'appliance_exporter_clock_skew_seconds{exporter="192.0.2.1"}': -1.5,
        'appliance_exporter_sampling_rate{exporter="192.0.2.1"}': 512,
        'appliance_exporter_sampling_rate{exporter="2001:db8::2"}': 1,
        'appliance_exporter_events_total{event="malformed",exporter="192.0.2.1"}': 1,
        "appliance_database_up": 1,
        'appliance_database{figure="lag_seconds"}': 1.5,
    }
    assert expected == {name: found.get(name) for name in expected}
    assert found["appliance_disk_free_octets"] > 0


def test_metrics_when_described_then_each_has_help(client, running):
    running()
    text = client.get("/metrics").body.decode()
    for name in {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}:
        assert re.search(rf"^# HELP {name} \S.*\.$", text, re.MULTILINE), name
    for name, metric in METRICS.items():
        assert re.fullmatch(r"[A-Z].*\.", metric.help), name


def test_metrics_when_no_collector_runs_then_down_and_the_rest(client, running):
    assert scraped(client)["appliance_collector_up"] == 0
    running(time_ms=int(NOW * 1000) - 60_000)
    found = scraped(client)
    assert found["appliance_collector_up"] == 0
    assert "appliance_datagrams_total" not in found


def test_metrics_when_the_store_is_away_then_down_and_the_rest(client, store, running):
    running()
    store.failure = StorageError("away")
    found = scraped(client)
    assert (found["appliance_database_up"], found["appliance_collector_up"]) == (0, 1)


def test_metrics_when_a_collector_raises_then_the_others_stay(store, settings, caplog):
    class Broken:
        def collect(self):
            raise ZeroDivisionError

    failures = PluginFailures()
    broken = guard_object(Guard("broken", "metrics", failures), Broken(), METRICS_CONTRACT)
    collectors = [broken, StatusCollector(settings, lambda: NOW)]
    answer = scrape(collectors, lambda: store, settings, failures, NOW)
    assert b"appliance_collector_up 0.0" in answer.body
    labels = b'part="metrics",plugin="broken",process="web"'
    assert b"appliance_plugin_failures_total{" + labels + b"} 1.0" in answer.body
    assert "plugin broken: metrics failed: ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"time_ms": "x"}', '{"time_ms": %d, "exporters": [1], "log": 5, "counts": 1}'],
)
def test_status_when_the_file_is_odd_then_no_figure_but_an_answer(
    client, settings, collector, text
):
    file = settings["data_directory"] / "collector.json"
    file.write_text(text.replace("%d", str(int(NOW * 1000))))
    assert scraped(client)["appliance_database_up"] == 1
    assert client.get("/api/v1/health").status in (200, 503)


def health(client, status: int):
    reply = client.get("/api/v1/health")
    assert reply.status == status
    return reply.json


def test_health_when_the_collector_was_killed_a_moment_ago_then_it_does_not_run(
    client, running, collector
):
    running()
    assert health(client, 200)["collector"]["running"]
    collector.kill()
    collector.wait(10)
    report = health(client, 503)
    assert report["message"] == "The collector is not running"
    assert report["collector"] == {"running": False}
    assert scraped(client)["appliance_collector_up"] == 0


def test_health_when_all_is_well_then_everything_an_operator_asks(client, running, store):
    running()
    found = health(client, 200)
    assert (found["success"], found["status"], found["message"]) == (True, "ok", "All is well")
    collector = found["collector"]
    assert (collector["running"], collector["datagrams"], collector["records"]) == (
        True,
        1000,
        30000,
    )
    assert collector["losses"] == {
        "lost_records": 3,
        "kernel_drops": 5,
        "records_dropped_by_log": 4,
    }
    assert found["loader"]["lag_seconds"] == 1.5
    assert found["unknown_elements"] == {"9:12345": 8}
    assert found["disk"]["free_octets"] > 0
    first = found["exporters"][0]
    assert first["sampling"] == {"rate": 512.0, "source": "exporter", "by_domain": {"0": 512.0}}
    assert (first["address"], first["templates"], first["clock_skew_seconds"]) == (
        "192.0.2.1",
        12,
        -1.5,
    )
    assert first["counts"] == {"datagrams": 900, "malformed": 1}
    assert store.calls == {"health": 1}


def test_health_when_something_should_be_better_then_degraded(client, running, store):
    running(warnings=["receive buffer is small"])
    store.facts = {"lag_seconds": 95.0}
    found = health(client, 200)
    assert (found["success"], found["status"]) == (True, "degraded")
    assert found["message"] == "Answers are 95 seconds behind; The collector has warnings"


def test_health_when_exporters_do_not_answer_a_poller_then_degraded_and_named(
    client, running, store, tmp_path
):
    running()
    facts = {
        "time_ms": int(time.time() * 1000),
        "interval_seconds": 300,
        "answered": 1,
        "silent": 7,
        "silent_exporters": [f"192.0.2.{number}" for number in range(1, 8)],
    }
    status = settings_of(tmp_path)["data_directory"] / "poller.json"
    status.write_text(json.dumps({"pollers": {"SNMP": facts}}))
    report = health(client, 200)
    assert report["status"] == "degraded"
    assert report["message"] == (
        "SNMP: no answer from 192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5 and 2 more"
    )
    assert report["pollers"]["SNMP"]["answered"] == 1
    status.write_text(json.dumps({"pollers": {"SNMP": {**facts, "silent": 0, "time_ms": 1}}}))
    assert "exporters were last asked" in health(client, 200)["message"]
    status.write_text('{"pollers": {"SNMP": [1], "x": {"silent": "y", "silent_exporters": 5}}}')
    assert health(client, 200)["success"]


def test_health_when_the_list_of_exporters_is_full_then_degraded_and_what_helps(
    client, running, store
):
    running()
    store.facts = {"exporters": 57_343, "exporter_places": 65_536}
    assert health(client, 200)["status"] == "ok"
    store.facts["exporters"] = 57_344
    report = health(client, 200)
    assert report["status"] == "degraded"
    assert report["message"].startswith("The list of exporters is full (57344 of 65536)")
    assert "collector.allowed_exporters" in report["message"]


def test_health_when_collector_or_database_is_away_then_503(client, running, store):
    found = health(client, 503)
    assert (found["success"], found["status"]) == (False, "failing")
    assert found["message"] == "The collector runs, but it has written no figures for a while"
    running()
    store.failure = StorageError("away")
    assert health(client, 503)["message"] == "The flow database does not answer"


def test_health_when_the_disk_is_full_then_says_so(store, tmp_path):
    tree = {"flow_log": {"minimum_free_octets": "1000000TB"}}
    found = Client(web_of(store, settings_of(tmp_path, tree))).get("/api/v1/health").json
    assert "The disk is full, new records are dropped" in found["message"]


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/health"])
def test_figures_when_asked_from_loopback_then_without_token(client, path):
    assert client("GET", path, **LOCAL).status in (200, 503)
    assert client("GET", path).status == 401
    assert client("GET", path, **LOCAL | {"HTTP_HOST": "rebound.example"}).status == 401
    assert client("GET", path, **LOCAL, HTTP_X_FORWARDED_FOR="192.0.2.1").status == 401


@pytest.mark.parametrize(
    ("address", "told", "expected"),
    [
        ("192.0.2.1", {"by_domain": {"0": 100.0, "1": 200.0}}, (200.0, "exporter")),
        ("192.0.2.1", {"by_domain": {"0": 0.0}}, (64.0, "collector.sampling_overrides")),
        ("192.0.2.1", {"selectors": 2}, (0, "exporter, by selector or interface")),
        ("198.51.100.1", {}, (8.0, "collector.default_sampling_rate")),
        ("not an address", None, (8.0, "collector.default_sampling_rate")),
    ],
)
def test_sampling_when_asked_then_with_its_source(tmp_path, address, told, expected):
    tree = {"sampling_overrides": {"192.0.2.0/24": "64"}, "default_sampling_rate": "8"}
    settings = settings_of(tmp_path, {"collector": tree})
    found = sampling_of(address, told, settings)
    assert (found["rate"], found["source"]) == expected


def test_sampling_when_nobody_says_then_assumed(settings):
    assert sampling_of("192.0.2.1", {}, settings) == {"rate": 1, "source": "assumed"}


@pytest.mark.parametrize(
    ("facts", "source"),
    [
        ({}, "assumed"),
        ({"records": 5, "sampling_assumed": 5}, "assumed"),
        ({"records": 5, "sampling_in_records": 5}, "exporter, in its records"),
        ({"version": 5, "sampling_in_records": 5}, "exporter, in its headers"),
    ],
)
def test_sampling_when_records_carry_it_then_says_so(settings, facts, source):
    assert exporter_figures("192.0.2.1", facts, settings)["sampling"]["source"] == source


def test_metrics_when_exporters_have_a_health_then_its_figures(client, running):
    session = {
        **{"version": 9, "datagrams": 95, "lost": 5, "first_seen_ms": 1},
        **{"last_seen_ms": int(NOW * 1000) - 4000, "longest_usual_ms": 61_000},
        "templates_oldest_ms": int(NOW * 1000) - 32_000,
    }
    total = {"sent": [None, 10, 200], "received": [900, 8, 150], "since_ms": 1, "reported_ms": 2}
    facts = {
        "sessions": {"2000": session},
        "missing_templates": [{"id": 300}, {"id": 301}],
        "unknown_elements": ["enterprise9.12345"],
        "totals": [total],
    }
    running(exporters={"192.0.2.1": facts})
    found = scraped(client)
    expected = {
        "lost_ratio": 0.05,
        "silent_seconds": 4,
        "missing_templates": 2,
        "template_age_seconds": 30,
        "unknown_elements": 1,
        "active_timeout_seconds": 61,
    }
    for name, value in expected.items():
        assert found[f'appliance_exporter_{name}{{exporter="192.0.2.1"}}'] == value, name
    sums = {
        (what, unit): value
        for what in ("sent", "received")
        for unit in ("octets", "messages", "flow_records")
        if (
            value := found.get(
                f'appliance_exporter_own_total_{what}{{exporter="192.0.2.1",unit="{unit}"}}'
            )
        )
        is not None
    }
    assert sums == {
        ("sent", "messages"): 10,
        ("received", "messages"): 8,
        ("sent", "flow_records"): 200,
        ("received", "flow_records"): 150,
    }


def test_metrics_when_there_is_traffic_then_of_exporters_and_the_largest_interfaces(tmp_path):
    midnight = int(NOW) // 86_400 * 86_400
    records = [ExporterRecord(7, "192.0.2.1", "", "", 1.0, 2.0)]
    store = FakeStore([Flow(midnight, 1000, 10, exporter=7), Flow(midnight - 60, 9, 9)], records)
    calls = []

    def sums_by_interface(since, limit):
        calls.append((since, limit))
        return [InterfaceMeasure("192.0.2.1", 3, Direction.EGRESS, 800, 8, 1)]

    store.sums_by_interface = sums_by_interface
    found = scraped(Client(web_of(store, settings_of(tmp_path, {"metrics": {"interfaces": 5}}))))
    assert found['appliance_exporter_traffic_octets_total{exporter="192.0.2.1"}'] == 1000
    assert found['appliance_exporter_traffic_packets_total{exporter="192.0.2.1"}'] == 10
    of_interface = '{direction="out",exporter="192.0.2.1",interface="3"}'
    assert found[f"appliance_interface_octets_total{of_interface}"] == 800
    assert found[f"appliance_interface_flows_total{of_interface}"] == 1
    name = 'exporter="192.0.2.1",interface="3",name="if 3"'
    assert found[f"appliance_interface_info{{{name}}}"] == 1
    assert calls == [(midnight, 5)]


def test_metrics_when_somebody_named_an_interface_then_by_that_name(tmp_path, store):
    key = ("192.0.2.1", 3)
    store.sums_by_interface = lambda *_: [InterfaceMeasure(*key, Direction.EGRESS, 8, 1, 1)]
    settings = settings_of(tmp_path)
    settings["data_directory"].mkdir()
    interface_history(settings).set_own_name(key, 'uplink "Vienna"')
    found = scraped(Client(web_of(store, settings)))
    name = r'exporter="192.0.2.1",interface="3",name="uplink \"Vienna\""'
    assert found[f"appliance_interface_info{{{name}}}"] == 1


def test_metrics_when_interfaces_are_switched_off_then_none(tmp_path, store):
    store.sums_by_interface = None
    client = Client(web_of(store, settings_of(tmp_path, {"metrics": {"interfaces": 0}})))
    assert not [name for name in scraped(client) if name.startswith("appliance_interface")]


HEALTH_OF = "/api/v1/exporters/{}/health"


def test_exporter_health_when_asked_by_address_or_id_then_losses_and_what_helps(
    client, running, store
):
    session = {"version": 9, "datagrams": 95, "lost": 5, "last_seen_ms": int(NOW * 1000)}
    running(exporters={"127.0.0.1": {"sessions": {"2000": session}}})
    store.records = [ExporterRecord(7, "127.0.0.1", "core", "rack 4", 1.0, 2.0)]
    reports = [client.get(HEALTH_OF.format(device)).json for device in ("127.0.0.1", "7")]
    assert reports[0] == reports[1]
    assert (reports[0]["id"], reports[0]["name"], reports[0]["running"]) == (7, "core", True)
    (found,) = reports[0]["sessions"]
    assert (found["lost"], found["received"], found["lost_unit"]) == (5, 95, "messages")
    assert found["lost_percent"] == 5
    assert any("Sequence numbers show gaps" in hint for hint in reports[0]["hints"])


def test_exporter_health_when_the_database_is_away_then_all_but_the_name(client, running, store):
    running()
    store.failure = StorageError("away")
    report = client.get(HEALTH_OF.format("192.0.2.1")).json
    assert (report["id"], report["address"]) == (None, "192.0.2.1")


@pytest.mark.parametrize("device", ["192.0.2.99", "99", "x"])
def test_exporter_health_when_nobody_knows_it_then_404(client, running, device):
    running()
    reply = client.get(HEALTH_OF.format(device))
    assert reply.status == 404
    assert f"The collector knows no exporter {device}" in reply.json["message"]
