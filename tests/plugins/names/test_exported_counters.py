"""Counters that exporters send by sFlow beside their flows: the whole way, and beside SNMP's."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from appliance.app import App, open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.collector import read_ahead
from appliance.collector.service import Collector
from appliance.collector.status import read_status
from appliance.contracts import ExportedCounters
from appliance.counter_history import CounterHistory
from appliance.interface_history import InterfaceHistory
from appliance.plugins.names.counter_keeper import EXPIRY_SECONDS, CounterKeeper
from appliance.plugins.names.snmp.truth import exporter_truth, whole_bins
from tests.decoding.sflow import counter_sample, flow_sample, if_counters, ipv4_packet, sflow
from tests.plugins.names import test_truth
from tests.plugins.names.test_truth import (
    END_MS,
    EXPORTER,
    MINUTE_MS,
    OCTETS,
    START_MS,
    STEP_MS,
    TRUTH,
    write_counters,
    write_flows,
)

folder = test_truth.folder

AGENT = "127.0.0.1"
BEGIN_MS = 1_700_000_100_000
BINS = 3
RATE, SAMPLES, LENGTH, FRAMING = 1000, 20, 1400, 18
"""In a minute so many packets are sampled, of so many octets and those of layer 2."""


class Clock:
    """The time of a collector and of its receiver, which a test sets."""

    def __init__(self) -> None:
        self.now_ms = BEGIN_MS

    def time(self) -> float:
        return self.now_ms / 1000

    def time_ns(self) -> int:
        return self.now_ms * 1_000_000


class Switch:
    """Sends flow samples and counters once a minute, as sFlow agents do.

    What comes in by 3 goes out by 4, and is told truly; what goes from 5 to 6 is sampled where it
    comes in and where it goes out; and 7 counts, but has no sampling.
    """

    def __init__(self, target: tuple[Any, ...]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._target, self.n_sent = target, 0

    def close(self) -> None:
        self._socket.close()

    def send(self, minute: int) -> None:
        flows = [flow_of(3, 4)] * SAMPLES + [flow_of(5, 6), flow_of(5, 6)] * SAMPLES
        octets = minute * SAMPLES * RATE * (LENGTH + FRAMING)
        ways = {3: (octets, 0), 4: (0, octets), 5: (octets, 0), 6: (0, octets), 7: (octets, octets)}
        counters = [
            counter_sample(if_counters(number, way), source=number) for number, way in ways.items()
        ]
        for samples in (flows[:SAMPLES], flows[SAMPLES:], counters):
            self.n_sent += 1
            uptime = 1_000_000 + minute * MINUTE_MS
            payload = sflow(*samples, agent=AGENT, sequence=self.n_sent, uptime=uptime)
            self._socket.sendto(payload, self._target)


def flow_of(ingress: int, egress: int) -> bytes:
    packet = ipv4_packet("10.0.0.1", "10.0.0.2", LENGTH)
    return flow_sample(packet, rate=RATE, source=ingress, interfaces=(ingress, egress))


@pytest.fixture
def app(tmp_path: Path) -> App:
    text = f"data_directory: {tmp_path}/data\ncollector:\n  listen: ['127.0.0.1:0']\n"
    text += "  allowed_exporters: [127.0.0.0/8]\n"
    (tmp_path / "appliance.yml").write_text(text)
    return open_app(tmp_path)


@pytest.fixture
def collected(app: App, monkeypatch: pytest.MonkeyPatch) -> App:
    """What a collector made of a switch that sent for some bins of five minutes."""
    clock = Clock()
    monkeypatch.setattr(read_ahead, "time", clock)
    collector = Collector(app.collector_parts(), clock=clock.time)
    collector.start()
    thread = threading.Thread(target=collector.run)
    thread.start()
    switch = Switch(collector.receiver.addresses[0])
    try:
        for minute in range(5 * BINS + 2):
            clock.now_ms = BEGIN_MS + minute * MINUTE_MS
            switch.send(minute)
            wait_for(collector, switch.n_sent)
    finally:
        collector.stop()
        thread.join()
        switch.close()
    return app


def wait_for(collector: Collector, n_datagrams: int) -> None:
    deadline = time.monotonic() + 60
    while collector.pipeline.counts["datagrams_v0"] < n_datagrams:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_flows_and_counters_when_sent_by_sflow_then_compared_without_snmp(
    collected: App, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    end = BEGIN_MS // 1000 + BINS * 300
    truth = exporter_truth(AGENT, whole_bins(BEGIN_MS // 1000, end, end), collected.settings)
    sides = {
        (one.number, name): (side.reason.name, side.sources)
        for one in truth.interfaces
        for name, side in one.directions.items()
    }
    assert sides[3, "in"] == sides[4, "out"] == ("agrees", ("sFlow",))
    assert sides[5, "in"] == sides[6, "out"] == ("metered_twice", ("sFlow",))
    assert sides[7, "in"] == sides[7, "out"] == ("not_configured", ("sFlow",))
    assert {(one.speed, one.is_up) for one in truth.interfaces} == {(10**9, True)}
    ratios = {one.number: one.directions["in"].ratio for one in truth.interfaces}
    assert ratios[3] == pytest.approx(LENGTH / (LENGTH + FRAMING), rel=0.01)
    status = read_status(collected.settings["data_directory"] / "collector.json") or {}
    assert status["counts"]["interface_counters"] == 5 * (5 * BINS + 2)
    assert status["counts"]["interface_counters_kept"] >= 5 * (BINS + 1)
    assert "interface_counters_lost" not in status["counts"]
    monkeypatch.setattr("time.time", lambda: end + 10.0)
    assert (
        run_command_line(group, ["-confPath", f"{tmp_path}/", "interfaces", "--last", "15m"]) == 0
    )
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][:4] == [AGENT, "if", "3", "in"]
    assert "sFlow" in lines[1]


def sent(number: int, time_ms: int, octets: float) -> ExportedCounters:
    uptime_ms = time_ms - START_MS + 10_000_000
    facts = (EXPORTER, number, 0, 105, time_ms, uptime_ms, 10**8)
    return ExportedCounters(*facts, is_up=False, in_octets=int(octets), out_octets=int(octets))


def send_counters(folder: Path, *numbers: int, factor: float = 1, until_ms: int = END_MS) -> None:
    times = range(START_MS - 50_000, until_ms + STEP_MS, STEP_MS)
    CounterHistory(folder / "counters.sqlite").record(
        [
            sent(number, time_ms, factor * 5 * step * OCTETS)
            for step, time_ms in enumerate(times)
            for number in numbers
        ]
    )


def test_truth_when_both_know_an_interface_then_snmp_counts(client: Any, folder: Path) -> None:
    write_flows(folder, (1, 2), (2, 1))
    write_counters(folder, {1: (OCTETS, OCTETS)})
    send_counters(folder, 1, 2, factor=0.5)
    first, second = client.get(TRUTH).json["interfaces"]
    assert (first["in"]["counters_from"], first["in"]["reason"]) == (["SNMP"], "agrees")
    assert (second["in"]["counters_from"], second["in"]["reason"]) == (["sFlow"], "metered_twice")
    assert (first["speed"], second["speed"], second["is_up"]) == (10**9, 10**8, False)


def test_truth_when_snmp_was_silent_for_a_while_then_those_sent_fill_its_bins(
    client: Any, folder: Path
) -> None:
    write_flows(folder, (1, 2), (2, 1))
    write_counters(folder, {1: (OCTETS, OCTETS), 2: (OCTETS, OCTETS)})
    InterfaceHistory(folder / "interfaces.sqlite").expire_counters(START_MS + 3 * STEP_MS)
    send_counters(folder, 1, until_ms=START_MS + 4 * STEP_MS)
    first, second = (one["in"] for one in client.get(TRUTH).json["interfaces"])
    assert (first["reason"], first["counters_from"]) == ("agrees", ["SNMP", "sFlow"])
    counted = [[one["counter_octets"] is not None for one in x["bins"]] for x in (first, second)]
    assert counted == [[True] * 5, [False] * 3 + [True] * 2]


def test_exporter_when_it_sends_counters_then_its_page_says_by_what(
    client: Any, folder: Path
) -> None:
    path = "/api/v1/exporters/1/snmp"
    assert client.get(path, token="administrator").json["sent_counters"] is None
    send_counters(folder, 1, 2)
    told = client.get(path, token="administrator").json["sent_counters"]
    assert (told["by"], told["interfaces"]) == ("sFlow", 2)


def test_keeper_when_counters_are_old_then_deleted_once_an_hour(app: App) -> None:
    keeper, now = CounterKeeper(app.settings), BEGIN_MS / 1000
    week, history = 7 * 86_400, CounterHistory(app.settings["data_directory"] / "counters.sqlite")
    keeper.keep([], now)
    assert not history.path.exists()
    history.path.parent.mkdir(exist_ok=True)
    keeper.keep([sent(1, BEGIN_MS, 5)], now)
    keeper.keep([sent(2, BEGIN_MS + STEP_MS, 5)], now + week + 1)
    assert list(history.interfaces(EXPORTER)) == [2]
    keeper.keep([], now + week + 301)
    assert list(history.interfaces(EXPORTER)) == [2]
    keeper.keep([], now + week + 301 + EXPIRY_SECONDS)
    assert history.exporters() == []


def test_collector_when_no_plugin_keeps_counters_then_none_are_held(tmp_path: Path) -> None:
    text = f"data_directory: {tmp_path}/data\nplugins:\n  disabled: [names]\n"
    (tmp_path / "appliance.yml").write_text(text)
    app = open_app(tmp_path)
    assert app.counter_sinks == ()
    assert Collector(app.collector_parts()).pipeline.counters is None


def test_counters_when_written_as_json_then_their_source_is_there(
    app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    data: Path = app.settings["data_directory"]
    data.mkdir()
    write_flows(data, (1, 2), (2, 1))
    send_counters(data, 1)
    monkeypatch.setattr("time.time", lambda: END_MS / 1000 + 10)
    command = ["interfaces", "--last", "30m", "--format", "json"]
    assert run_command_line(group, ["-confPath", f"{tmp_path}/", *command]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["number"], first["counters_from"]) == (1, "sFlow")
