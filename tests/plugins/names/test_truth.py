"""Flows beside counters of SNMP: constructed ones of both, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import ExporterRecord
from appliance.counter_history import CounterReading
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import COLUMN, FlowBatch
from appliance.interface_history import (
    DeviceReading,
    InterfaceHistory,
    InterfaceReading,
)
from appliance.plugins.names.snmp import truth
from appliance.plugins.names.snmp.counter_bins import STEP_MS, octets_by_bin
from appliance.plugins.names.snmp.truth import whole_bins
from tests.web.building import NOW

EXPORTER = "192.0.2.1"
END_MS = int(NOW) // 300 * 300_000
START_MS = END_MS - 6 * STEP_MS
MINUTE_MS = 60_000
OCTETS, PACKETS = 600_000, 600
"""Of a flow of a minute."""

SIDES = ("in", "out")
TRUTH = "/api/v1/exporters/1/interfaces/truth?last=30m"


def write_flows(
    folder: Path,
    *interfaces: tuple[int, int],
    factor: float = 1,
    rate: float = 1,
    packets: int = PACKETS,
) -> None:
    """For the half hour a flow a minute, each a minute long, for pairs of interfaces in and out."""
    writer = FlowLogWriter(folder / "flowlog", FlowLogLimits(minimum_free_octets=0))
    writer.start()
    n = len(interfaces)
    for start in range(START_MS - 5 * MINUTE_MS, END_MS, MINUTE_MS):
        values = {
            "exporter_address_hi": 0,
            "exporter_address_lo": 0xFFFF << 32 | 0xC0000201,
            "ingress_interface": [pair[0] for pair in interfaces],
            "egress_interface": [pair[1] for pair in interfaces],
            "octet_delta_count": int(OCTETS * factor),
            "packet_delta_count": int(packets * factor),
            "flow_start_milliseconds": start,
            "flow_end_milliseconds": start + MINUTE_MS,
            "collection_time_milliseconds": start + MINUTE_MS + 1000,
            "sampling_rate": rate,
        }
        columns = {name: np.full(n, value, COLUMN[name].dtype) for name, value in values.items()}
        writer.append(FlowBatch(n, columns))
    writer.flush({}, END_MS)
    writer.close(END_MS)


def write_counters(folder: Path, octets_a_minute: dict[int, tuple[float, float]]) -> None:
    """Record readings every five minutes, somewhere between the bounds of bins."""
    history = InterfaceHistory(folder / "interfaces.sqlite")
    for number, time_ms in enumerate(range(START_MS - 100_000, END_MS + STEP_MS, STEP_MS)):
        minutes = 5 * number
        interfaces = [
            InterfaceReading(
                index, f"Gi0/{index}", "", 10**9, int(minutes * received), int(minutes * sent)
            )
            for index, (received, sent) in octets_a_minute.items()
        ]
        uptime_ms = 10_000 + STEP_MS * number
        history.record([DeviceReading(EXPORTER, time_ms, uptime_ms, "r1", "", interfaces)])


@pytest.fixture
def folder(settings: Any, store: Any) -> Path:
    store.records = [ExporterRecord(1, EXPORTER, "", "", 1.0, 1.0)]
    data: Path = settings["data_directory"]
    data.mkdir(exist_ok=True)
    return data


def write_status(folder: Path, **facts: Any) -> None:
    session = {"version": 5, "records": 90, "datagrams": 9, "last_seen_ms": END_MS, **facts}
    status = {"time_ms": END_MS, "exporters": {EXPORTER: {"sessions": {"2000": session}}}}
    (folder / "collector.json").write_text(json.dumps(status))


def reasons(client: Any) -> dict[tuple[int, str], str]:
    reply = client.get(TRUTH)
    assert reply.status == 200, reply.json
    return {
        (one["number"], side): one[side]["reason"]
        for one in reply.json["interfaces"]
        for side in SIDES
    }


def test_truth_when_all_is_well_then_each_bin_has_both(client: Any, folder: Path):
    write_flows(folder, (1, 2), (2, 1))
    write_counters(folder, {1: (OCTETS, OCTETS), 2: (OCTETS, OCTETS)})
    answer = client.get(TRUTH).json
    assert (answer["method"], answer["left_out"]) == ("exact", [])
    assert [one["name"] for one in answer["interfaces"]] == ["Gi0/1", "Gi0/2"]
    side = answer["interfaces"][0]["in"]
    assert side["ratio"] == pytest.approx(1, rel=0.001)
    assert (side["reason"], len(side["bins"])) == ("agrees", 5)
    for one in side["bins"]:
        assert one["flow_octets"] == pytest.approx(5 * OCTETS, rel=0.001)
        assert one["counter_octets"] == pytest.approx(5 * OCTETS, rel=0.001)


def test_truth_when_the_rate_is_missing_then_said(client: Any, folder: Path):
    write_flows(folder, (1, 2), (2, 1), factor=0.01)
    write_counters(folder, {1: (OCTETS, OCTETS), 2: (OCTETS, OCTETS)})
    write_status(folder, sampling_assumed=90)
    assert set(reasons(client).values()) == {"sampling_unknown"}


def test_truth_when_the_rate_is_applied_twice_then_said(client: Any, folder: Path):
    write_flows(folder, (1, 2), (2, 1), rate=100)
    write_counters(folder, {1: (OCTETS, OCTETS), 2: (OCTETS, OCTETS)})
    write_status(folder, sampling={"by_domain": {"0": 100}})
    assert set(reasons(client).values()) == {"scaled_twice"}


def test_truth_when_only_one_direction_is_exported_then_said(client: Any, folder: Path):
    write_flows(folder, (1, 2))
    write_counters(folder, {1: (OCTETS, OCTETS)})
    assert reasons(client)[1, "in"] == "agrees"
    assert reasons(client)[1, "out"] == "one_way"


def test_truth_when_an_interface_is_not_configured_then_said(client: Any, folder: Path):
    write_flows(folder, (1, 2), (2, 1))
    write_counters(folder, {1: (OCTETS, OCTETS), 2: (OCTETS, OCTETS), 3: (OCTETS, OCTETS)})
    said = reasons(client)
    assert (said[1, "in"], said[3, "in"], said[3, "out"]) == (
        "agrees",
        "not_configured",
        "not_configured",
    )


def test_truth_when_counters_are_of_layer_2_then_said(client: Any, folder: Path):
    write_flows(folder, (1, 2), (2, 1), packets=6000)
    framed, more = (OCTETS + octets * 6000 for octets in (18, 60))
    write_counters(folder, {1: (framed, more), 2: (OCTETS, OCTETS)})
    said = reasons(client)
    assert (said[1, "in"], said[1, "out"], said[2, "in"]) == ("layer_2", "unexplained", "agrees")


def test_truth_when_records_are_lost_then_said(client: Any, folder: Path):
    write_flows(folder, (1, 2), (2, 1), factor=0.8)
    write_counters(folder, {1: (OCTETS, OCTETS), 2: (OCTETS, OCTETS)})
    write_status(folder, records=80, lost=20)
    assert set(reasons(client).values()) == {"lost"}


def test_truth_when_there_are_more_interfaces_than_are_compared_then_no_false_reason(
    client: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(truth, "MAX_SERIES", 2)
    write_flows(folder, (1, 2), (2, 1), (1, 2), (2, 1), (3, 3))
    write_counters(folder, dict.fromkeys((1, 2, 3), (2 * OCTETS, 2 * OCTETS)))
    assert reasons(client) == {(number, side): "agrees" for number in (1, 2) for side in SIDES}
    one = client.get(f"{TRUTH}&interface=3").json["interfaces"][0]
    assert one["in"]["ratio"] == pytest.approx(0.5, rel=0.001)


def test_truth_when_nothing_was_read_then_said(client: Any, folder: Path):
    write_flows(folder, (1, 2))
    assert reasons(client)[1, "in"] == "not_read"


@pytest.mark.parametrize(
    "query", ["last=1m", "from=0&to=2000000", "last=x", "interface=x", "from=4000000000"]
)
def test_truth_when_the_range_cannot_be_then_400(client: Any, folder: Path, query: str):
    assert client.get(f"/api/v1/exporters/1/interfaces/truth?{query}").status == 400


def test_truth_when_one_interface_is_asked_for_then_only_it(client: Any, folder: Path):
    write_flows(folder, (1, 2), (2, 1))
    write_counters(folder, {1: (OCTETS, OCTETS), 2: (OCTETS, OCTETS)})
    answer = client.get(f"{TRUTH}&interface=2").json["interfaces"]
    assert [(one["number"], one["in"]["reason"]) for one in answer] == [(2, "agrees")]


def counter(time_ms: int, octets: int | None, uptime_ms: int | None = None) -> CounterReading:
    return CounterReading(time_ms, time_ms if uptime_ms is None else uptime_ms, octets, octets)


def test_counters_when_read_between_bins_then_spread_over_them():
    starts = np.arange(0, 3 * STEP_MS, STEP_MS, dtype=np.int64)
    readings = [counter(-100_000, 0), counter(200_000, 300), counter(STEP_MS * 2, 1300)]
    octets = octets_by_bin(readings, "in", starts)
    assert octets[0] == pytest.approx(200 + 250)
    assert octets[1] == pytest.approx(750)
    assert np.isnan(octets[2])


@pytest.mark.parametrize(
    "after",
    [
        counter(STEP_MS, 900, uptime_ms=-1),
        counter(STEP_MS, 50),
        counter(STEP_MS, None),
    ],
)
def test_counters_when_the_device_restarts_or_they_fall_then_the_bin_has_none(
    after: CounterReading,
):
    starts = np.zeros(1, np.int64)
    assert np.isnan(octets_by_bin([counter(0, 100), after], "in", starts)[0])


def test_counters_when_they_pass_64_bits_then_they_go_on():
    starts = np.zeros(1, np.int64)
    readings = [counter(0, (1 << 64) - 10), counter(STEP_MS, 90)]
    assert octets_by_bin(readings, "out", starts)[0] == 100


def test_bins_when_the_range_is_not_whole_then_those_within_that_are_over():
    assert tuple(whole_bins(1, 2000, 1500.0)) == (300_000, 1_500_000)


def test_interfaces_when_asked_at_the_command_line_then_ratio_and_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "appliance.yml").write_text("data_directory: data\n")
    data = tmp_path / "data"
    data.mkdir()
    command = ["-confPath", f"{tmp_path}/", "interfaces"]
    assert run_command_line(group, command) != 0
    assert "SNMP has read no exporter yet" in capsys.readouterr().err
    write_flows(data, (1, 2), (2, 1))
    write_counters(data, {1: (OCTETS, OCTETS)})
    monkeypatch.setattr("time.time", lambda: END_MS / 1000 + 10)
    assert run_command_line(group, [*command, EXPORTER, "--last", "30m"]) == 0
    out = capsys.readouterr().out
    assert "Gi0/1" in out
    assert "flows and counters agree" in out
    file = tmp_path / "truth.txt"
    assert run_command_line(group, [*command, "--last", "30m", "--output", str(file)]) == 0
    assert file.read_text() == out
    assert run_command_line(group, [*command, "--last", "1m"]) == 1
    assert "no whole five minutes" in capsys.readouterr().err
    assert run_command_line(group, [*command, "router1"]) != 0
    assert "router1" in capsys.readouterr().err
    assert run_command_line(group, [*command, "--last", "30m", "--format", "json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["number"], first["direction"], first["reason"]) == (1, "in", "agrees")
