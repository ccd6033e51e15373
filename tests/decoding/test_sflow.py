"""sFlow version 5: sampled packets as flows, with what devices say beside them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.decoding.results import DecodeOptions, ExporterTrust
from appliance.flows import address_halves
from appliance.traffic.captures import CaptureReader
from tests.decoding.building import EXPORTER, RECEIVED_MS, decode, multiset, write_pcap
from tests.decoding.sflow import (
    AGENT,
    counter_sample,
    expanded_sample,
    flow_sample,
    gateway,
    header,
    ipv4_packet,
    ipv6_packet,
    piece,
    router,
    sflow,
    switch,
    word,
)
from tests.traffic.building import ethernet, ipv4, udp

DATA = Path(__file__).parents[1] / "data"
FRAME = ethernet(ipv4(udp(bytes(72), 5000, 53), "10.1.1.1"))


def only(*payloads: bytes, **options: Any) -> dict[str, Any]:
    found = decode(*payloads, options=DecodeOptions(**options) if options else None)
    assert not found.faults
    [row] = found.rows
    return row


def test_sample_when_it_has_a_header_then_a_flow_of_one_packet() -> None:
    row = only(sflow(flow_sample(header(FRAME, size=1500))))
    packet = len(FRAME) - 14
    assert (
        row.items()
        >= {
            "exporter_address": AGENT,
            "export_protocol_version": 105,
            "sampling_rate": 100.0,
            "packet_delta_count": 1,
            "octet_delta_count": packet,
            "source_address": "10.1.1.1",
            "source_transport_port": 5000,
            "destination_transport_port": 53,
            "protocol_identifier": 17,
            "ingress_interface": 3,
            "egress_interface": 4,
            "flow_direction": 0,
            "flow_start_milliseconds": RECEIVED_MS,
            "flow_end_milliseconds": RECEIVED_MS,
        }.items()
    )


@pytest.mark.parametrize("of", [flow_sample, expanded_sample])
def test_sample_when_taken_where_the_packet_left_then_it_went_out(of: Any) -> None:
    assert only(sflow(of(header(FRAME), source=4)))["flow_direction"] == 1
    assert "flow_direction" not in only(sflow(of(header(FRAME), source=9)))


def test_interface_when_it_is_no_ifindex_then_not_known() -> None:
    several, itself = 2 << 30 | 5, 0x3FFF_FFFF
    row = only(sflow(flow_sample(header(FRAME), interfaces=(itself, several))))
    assert not {"ingress_interface", "egress_interface", "dropped"} & row.keys()
    row = only(sflow(expanded_sample(header(FRAME), ingress=(0, 70_000), egress=(2, 5))))
    assert row["ingress_interface"] == 70_000
    assert "egress_interface" not in row


@pytest.mark.parametrize(
    "sample",
    [
        flow_sample(header(FRAME), interfaces=(3, 1 << 30 | 257)),
        expanded_sample(header(FRAME), egress=(1, 257)),
    ],
)
def test_packet_when_the_device_dropped_it_then_the_flow_says_so(sample: bytes) -> None:
    row = only(sflow(sample))
    assert row["dropped"] == 1
    assert "egress_interface" not in row


def test_packet_when_the_device_read_it_then_its_fields() -> None:
    found = decode(
        sflow(
            flow_sample(ipv4_packet("10.0.0.1", "10.0.0.2")),
            flow_sample(ipv6_packet("2001:db8::1", "2001:db8::2", 77)),
        )
    )
    four, six = found.rows
    assert (four["source_address"], four["destination_address"]) == ("10.0.0.1", "10.0.0.2")
    assert (four["octet_delta_count"], four["packet_delta_count"]) == (1000, 1)
    assert (four["tcp_control_bits"], four["ip_class_of_service"]) == (0x18, 0x20)
    assert (six["source_address"], six["destination_address"]) == ("2001:db8::1", "2001:db8::2")
    assert (six["octet_delta_count"], six["source_transport_port"]) == (77, 53)


def test_packet_when_told_twice_then_counted_once_by_its_header() -> None:
    row = only(sflow(flow_sample(ipv4_packet("10.0.0.9", "10.0.0.2"), header(FRAME))))
    assert row["source_address"] == "10.1.1.1"


@pytest.mark.parametrize(("protocol", "cut"), [(11, 14), (12, 14)])
def test_header_when_without_a_frame_then_read_as_a_packet(protocol: int, cut: int) -> None:
    assert only(sflow(flow_sample(header(FRAME[cut:], protocol))))["source_address"] == "10.1.1.1"


def test_header_when_of_another_link_then_only_its_size() -> None:
    row = only(sflow(flow_sample(header(FRAME, protocol=7, size=900))))
    assert (row["octet_delta_count"], row["packet_delta_count"]) == (900, 1)
    assert "source_address" not in row


@pytest.mark.parametrize("octets", [14, 20, 34, 35, 37, 38, 200, 300])
def test_header_when_cut_anywhere_then_what_is_whole_of_it(octets: int) -> None:
    whole = ethernet(ipv4(udp(bytes(400), 5000, 53), "10.1.1.1"))
    row = only(sflow(flow_sample(header(whole[:octets], size=len(whole)))))
    assert ("source_address" in row) == (octets >= 34)
    assert ("source_transport_port" in row) == (octets >= 38)
    assert row["octet_delta_count"] == len(whole) - 14 * (octets >= 34)


def test_device_when_it_tells_vlans_hop_and_systems_then_columns() -> None:
    path = ([64500, 64501], [64502, 64510])
    row = only(
        sflow(
            flow_sample(
                switch(10, 20),
                header(FRAME),
                router("198.51.100.1", 24, 16),
                gateway("198.51.100.2", 65000, 64496, *path),
            )
        )
    )
    assert (
        row.items()
        >= {
            "vlan_id": 10,
            "post_vlan_id": 20,
            "ip_next_hop_address": "198.51.100.1",
            "bgp_next_hop_address": "198.51.100.2",
            "source_prefix_length": 24,
            "destination_prefix_length": 16,
            "bgp_source_as_number": 64496,
            "bgp_destination_as_number": 64510,
        }.items()
    )


@pytest.mark.parametrize("hop", ["198.51.100.1", "2001:db8::9"])
def test_hop_when_some_samples_have_one_then_the_others_have_none(hop: str) -> None:
    found = decode(sflow(flow_sample(header(FRAME)), flow_sample(header(FRAME), router(hop, 1, 2))))
    assert [row.get("ip_next_hop_address") for row in found.rows] == [None, hop]


def test_path_when_empty_or_endless_then_no_destination_system() -> None:
    row = only(sflow(flow_sample(header(FRAME), gateway("10.0.0.1", 65000, 64496))))
    assert "bgp_destination_as_number" not in row
    lies = piece(1003, word(1, 0x0A000001, 65000, 64496, 0, 0xFFFFFFFF, 2, 0xFFFFFFFF, 1, 0, 0))
    row = only(sflow(flow_sample(header(FRAME), lies)))
    assert row["bgp_source_as_number"] == 64496
    assert "bgp_destination_as_number" not in row


@pytest.mark.parametrize(
    ("trust", "agent", "expected"),
    [
        (ExporterTrust.OPTIONS, AGENT, AGENT),
        (ExporterTrust.OPTIONS, "2001:db8::77", "2001:db8::77"),
        (ExporterTrust.OPTIONS, "0.0.0.0", EXPORTER),
        (ExporterTrust.OFF, AGENT, EXPORTER),
    ],
)
def test_agent_when_trusted_then_it_is_the_exporter(
    trust: ExporterTrust, agent: str, expected: str
) -> None:
    payload = sflow(flow_sample(header(FRAME)), agent=agent)
    assert only(payload, trust_exporter_address=trust)["exporter_address"] == expected


def test_rate_when_not_told_then_that_of_the_settings() -> None:
    payload = sflow(flow_sample(header(FRAME), rate=0), flow_sample(header(FRAME), rate=7))
    rates = {address_halves(EXPORTER): 8.0}
    found = decode(payload, options=DecodeOptions(rates=rates))
    assert [row["sampling_rate"] for row in found.rows] == [8.0, 7.0]


def test_samples_when_not_of_packets_then_counted() -> None:
    other = piece(4300 << 12 | 7, bytes(12))
    packet = flow_sample(header(FRAME))
    found = decode(sflow(counter_sample(), other, flow_sample(switch(1, 2)), packet))
    assert found.counts["sflow_counter_samples"] == 1
    assert found.counts["sflow_samples_of_unknown_format"] == 1
    assert found.counts["sflow_samples_without_packet"] == 1
    assert len(found.rows) == 1


def test_datagrams_when_lost_then_counted_by_sub_agent() -> None:
    sample = flow_sample(header(FRAME))
    sent = [sflow(sample, sub_agent=a, sequence=s) for a, s in ((0, 1), (1, 9), (0, 5), (1, 10))]
    found = decode(*sent)
    [exporter] = found.states.exporters.values()
    assert sorted(state.lost for state in exporter.sequences.values()) == [0, 3]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (word(5, 1)[:7], "header_cut"),
        (word(4) + sflow()[4:], "sflow_version"),
        (word(5, 3) + bytes(40), "sflow_agent"),
        (sflow(piece(1, bytes(8), 400)), "sflow_cut"),
        (sflow(piece(1, bytes(8))), "sflow_cut"),
        (sflow(count=1), "sflow_cut"),
        (sflow(flow_sample(piece(1, bytes(16), 999))), "sflow_cut"),
        (sflow(flow_sample(count=1)), "sflow_cut"),
    ],
)
def test_datagram_when_not_what_it_announces_then_a_fault_and_no_flow(
    payload: bytes, reason: str
) -> None:
    found = decode(payload)
    assert found.reasons == [reason]
    assert not found.rows


def test_samples_when_a_later_one_is_cut_then_those_before_count() -> None:
    found = decode(sflow(flow_sample(header(FRAME)), piece(1, bytes(8), 400)))
    assert found.reasons == ["sflow_cut"]
    assert len(found.rows) == 1


_SAMPLES = st.sampled_from(
    [
        flow_sample(header(FRAME)),
        flow_sample(header(FRAME[:33]), switch(3, 4)),
        expanded_sample(header(FRAME[14:], 11), router("2001:db8::9", 8, 9)),
        flow_sample(ipv4_packet("10.0.0.1", "10.0.0.2"), gateway("10.0.0.3", 1, 2, [3], [4, 5])),
        expanded_sample(ipv6_packet("2001:db8::1", "2001:db8::2")),
        counter_sample(),
        flow_sample(),
    ]
)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(_SAMPLES, max_size=4), st.integers(0, 300), st.integers(0, 2)),
        min_size=1,
        max_size=6,
    )
)
def test_any_datagrams_when_decoded_as_one_block_then_as_one_by_one(
    plans: list[tuple[list[bytes], int, int]],
) -> None:
    sent = [
        sflow(*samples, sequence=number, sub_agent=sub_agent)[: -cut or None]
        for number, (samples, cut, sub_agent) in enumerate(plans)
    ]
    together, apart = decode(*sent), decode(*sent, one_by_one=True)
    assert multiset(together.rows) == multiset(apart.rows)
    assert Counter(together.reasons) == Counter(apart.reasons)
    assert together.counts == apart.counts


def test_capture_of_pmacctd_when_decoded_then_the_packets_that_it_saw() -> None:
    sent = [found.datagram for found in CaptureReader(DATA / "sflow.pcap", {2055})]
    found = decode(*sent)
    assert not found.faults
    assert found.counts["sflow_counter_samples"] == 1
    assert found.counts["sflow_counters_without_interface"] == 1
    assert (len(found.rows), sum(row["octet_delta_count"] for row in found.rows)) == (599, 198_407)


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs Debian's tshark")
def test_capture_of_pmacctd_when_decoded_then_as_tshark_has_it() -> None:
    """tshark reads the sampled headers too; its fields come sample by sample."""
    fields = ("ipv6.src", "ipv6.dst", "ipv6.plen", "ip.src", "ip.dst", "ip.len")
    command = ["tshark", "-r", str(DATA / "sflow.pcap"), "-d", "udp.port==2055,sflow"]
    command += ["-T", "fields", *(option for field in fields for option in ("-e", field))]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs: Counter[tuple[str, str, int]] = Counter()
    for line in told.splitlines():
        columns = [column.split(",") if column else [] for column in line.split("\t")]
        six, four = (
            columns[:3],
            [column[1:] for column in columns[3:]],
        )  # the first is the datagram's
        theirs.update((a, b, int(n) + 40) for a, b, n in zip(*six, strict=True))
        theirs.update((a, b, int(n)) for a, b, n in zip(*four, strict=True))
    sent = [found.datagram for found in CaptureReader(DATA / "sflow.pcap", {2055})]
    ends = ("source_address", "destination_address", "octet_delta_count")
    ours = Counter(tuple(row[name] for name in ends) for row in decode(*sent).rows)
    assert ours == theirs


def test_datagram_when_explained_then_its_samples_are_told(tmp_path: Path) -> None:
    path = write_pcap(tmp_path / "one.pcap", [(1, sflow(flow_sample(header(FRAME))))])
    run = subprocess.run(
        [sys.executable, "-m", "appliance", "decode", "--explain", str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "sFlow v5" in run.stdout
    assert "samplingInterval = 100" in run.stdout
    assert "dataLinkFrameSection" in run.stdout
