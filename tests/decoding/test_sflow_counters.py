"""Counter samples of sFlow: what they tell of interfaces, and what of them is not kept."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.contracts import ExportedCounters
from appliance.decoding.results import DecodeOptions, ExporterTrust
from tests.decoding.building import EXPORTER, RECEIVED_MS, decode, write_pcap
from tests.decoding.sflow import (
    AGENT,
    UPTIME_MS,
    counter_sample,
    ethernet_counters,
    expanded_counter_sample,
    flow_sample,
    if_counters,
    ipv4_packet,
    piece,
    sflow,
    word,
)

LARGEST = (1 << 64) - 2
ALL_ONES = (1 << 64) - 1
FLOW = flow_sample(ipv4_packet("10.0.0.1", "10.0.0.2"))


def only(*payloads: bytes, **options: Any) -> ExportedCounters:
    found = decode(*payloads, options=DecodeOptions(**options) if options else None)
    assert not found.faults
    [interface] = found.interfaces
    return interface


@pytest.mark.parametrize("sample", [counter_sample(), expanded_counter_sample()])
def test_counters_when_sampled_then_speed_state_and_octets_of_64_bits(sample: bytes) -> None:
    assert only(sflow(sample, sub_agent=2)) == ExportedCounters(
        *(AGENT, 3, 2, 105, RECEIVED_MS, UPTIME_MS, 10**9), True, 1_000_000, 2_000_000
    )


def test_counters_when_beside_packets_and_other_records_then_all_are_read() -> None:
    sample = counter_sample(ethernet_counters(), if_counters(3, (LARGEST, 5)), source=3)
    found = decode(sflow(FLOW, sample, FLOW, expanded_counter_sample(if_counters(70_000_000))))
    assert not found.faults
    assert [(one.if_index, one.in_octets) for one in found.interfaces] == [
        (3, LARGEST),
        (70_000_000, 1_000_000),
    ]
    assert len(found.rows) == 2
    assert found.counts["sflow_counter_samples"] == 2
    assert found.counts["sflow_counter_records_not_kept"] == 1
    assert found.exporter().counts["interface_counters"] == 2


def test_counters_when_the_agent_does_not_tell_then_none() -> None:
    unknown = if_counters(octets=(ALL_ONES, 5), speed=ALL_ONES, status=0xFFFF_FFFF)
    interface = only(sflow(counter_sample(unknown)))
    assert (interface.in_octets, interface.out_octets) == (None, 5)
    assert (interface.speed, interface.is_up) == (0, None)
    assert only(sflow(counter_sample(if_counters(status=0b01)))).is_up is False


@pytest.mark.parametrize(
    "sample",
    [
        counter_sample(if_counters(0)),
        counter_sample(if_counters(0xFFFF_FFFF)),
        counter_sample(if_counters(0x3FFF_FFFF)),
        # A service access point of Nokia's SR OS: VLAN 100 on the port of ifIndex 35684352.
        expanded_counter_sample(if_counters(100, if_type=1), source=35_684_352),
    ],
)
def test_counters_when_of_no_interface_then_counted_and_not_kept(sample: bytes) -> None:
    found = decode(sflow(sample))
    assert not found.interfaces
    assert found.counts["sflow_counters_without_interface"] == 1


def test_counters_when_of_a_logical_interface_itself_then_kept() -> None:
    sample = expanded_counter_sample(if_counters(35_684_352, if_type=1), source=35_684_352)
    assert only(sflow(sample)).if_index == 35_684_352
    large = counter_sample(if_counters(0x1A00_0007, if_type=1), source=7)
    assert only(sflow(large)).if_index == 0x1A00_0007


@pytest.mark.parametrize(
    ("trust", "agent", "expected"),
    [
        (ExporterTrust.OPTIONS, AGENT, AGENT),
        (ExporterTrust.OPTIONS, "2001:db8::77", "2001:db8::77"),
        (ExporterTrust.OPTIONS, "0.0.0.0", EXPORTER),
        (ExporterTrust.OFF, AGENT, EXPORTER),
    ],
)
def test_agent_when_trusted_then_its_counters_are_those_of_its_flows(
    trust: ExporterTrust, agent: str, expected: str
) -> None:
    payload = sflow(counter_sample(), agent=agent)
    assert only(payload, trust_exporter_address=trust).exporter == expected


@pytest.mark.parametrize(
    "sample",
    [
        piece(2, word(1, 3)),
        piece(4, word(1, 0, 3)),
        counter_sample(count=2),
        counter_sample(piece(1, bytes(84))),
        counter_sample(piece(1, bytes(88), 999)),
        counter_sample(piece(1, b"", 0xFFFF_FFFF)),
        piece(2, word(1, 3, 0xFFFF_FFFF)),
    ],
)
def test_counters_when_not_what_they_announce_then_a_fault_and_the_packets_count(
    sample: bytes,
) -> None:
    found = decode(sflow(FLOW, sample))
    assert found.reasons == ["sflow_cut"]
    assert len(found.rows) == 1


def test_counters_when_longer_than_we_know_then_what_we_know() -> None:
    longer = if_counters()[8:] + bytes(12)
    assert only(sflow(counter_sample(piece(1, longer)))).out_octets == 2_000_000


_SAMPLES = st.one_of(
    st.sampled_from(
        [
            FLOW,
            counter_sample(),
            counter_sample(if_counters(4), ethernet_counters()),
            expanded_counter_sample(if_counters(70_000_000)),
            counter_sample(count=3),
            counter_sample(if_counters(5)[:60]),
        ]
    ),
    st.binary(max_size=120).map(lambda octets: piece(2, octets)),
    st.binary(max_size=120).map(lambda octets: piece(4, octets)),
    st.binary(max_size=100).map(lambda octets: counter_sample(piece(1, octets))),
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.lists(_SAMPLES, max_size=4), st.integers(0, 200)), min_size=1, max_size=5)
)
def test_any_counters_when_decoded_as_one_block_then_as_one_by_one(
    plans: list[tuple[list[bytes], int]],
) -> None:
    sent = [
        sflow(*samples, sequence=number)[: -cut or None]
        for number, (samples, cut) in enumerate(plans)
    ]
    together, apart = decode(*sent), decode(*sent, one_by_one=True)
    assert set(together.interfaces) == set(apart.interfaces)
    assert Counter(together.reasons) == Counter(apart.reasons)
    assert together.counts == apart.counts


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs Debian's tshark")
def test_counters_when_read_by_tshark_then_the_same(tmp_path: Path) -> None:
    """tshark reads both forms of samples; its fields come record by record."""
    sent = [
        sflow(counter_sample(ethernet_counters(), if_counters(3, (LARGEST, 17)))),
        sflow(
            FLOW,
            expanded_counter_sample(if_counters(70_000_000, (1 << 40, 1 << 33), status=1)),
            counter_sample(if_counters(9, (5, 6), speed=400 * 10**9)),
        ),
    ]
    path = write_pcap(tmp_path / "counters.pcap", list(enumerate(sent, 1)))
    names = [f"sflow_245.{name}" for name in ("ifindex", "ifspeed", "ifinoct", "ifoutoct")]
    command = ["tshark", "-r", str(path), "-d", "udp.port==2055,sflow", "-T", "fields"]
    command += [option for name in names for option in ("-e", name)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = [
        tuple(map(int, one))
        for line in told.splitlines()
        for one in zip(*(column.split(",") for column in line.split("\t")), strict=True)
    ]
    ours = decode(*sent).interfaces
    assert sorted(theirs) == sorted(
        (one.if_index, one.speed, one.in_octets, one.out_octets) for one in ours
    )
