"""NetFlow v1 and v7: what they have of version 5, and what they have not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.traffic.captures import CaptureReader
from tests.decoding.building import EXPORT_MS, UPTIME_MS, decode, v1, v1_record, v7, v7_record

DATA = Path(__file__).parents[1] / "data"
COMMON = {
    "source_address": "10.0.0.1",
    "destination_address": "10.0.0.2",
    "ip_next_hop_address": "10.0.0.254",
    "ingress_interface": 1,
    "egress_interface": 2,
    "packet_delta_count": 3,
    "octet_delta_count": 300,
    "flow_start_milliseconds": EXPORT_MS - 1000,
    "flow_end_milliseconds": EXPORT_MS,
    "source_transport_port": 1024,
    "destination_transport_port": 80,
    "protocol_identifier": 6,
    "ip_class_of_service": 0x20,
    "tcp_control_bits": 0x18,
}


def test_v1_when_decoded_then_every_field_and_no_losses() -> None:
    found = decode(v1(v1_record(), v1_record("10.0.0.9", octets=1)), v1(v1_record()))
    assert found.rows[0].items() >= {**COMMON, "export_protocol_version": 1}.items()
    assert [row["octet_delta_count"] for row in found.rows] == [300, 1, 300]
    assert not found.faults


def test_v7_when_decoded_then_every_field_and_losses_are_counted() -> None:
    found = decode(v7(v7_record(), v7_record()), v7(v7_record(), sequence=7))
    assert (
        found.rows[0].items()
        >= {
            **COMMON,
            "export_protocol_version": 7,
            "bgp_source_as_number": 64500,
            "bgp_destination_as_number": 64501,
            "source_prefix_length": 24,
            "destination_prefix_length": 16,
        }.items()
    )
    [exporter] = found.states.exporters.values()
    [state] = exporter.sequences.values()
    assert state.lost == 5


@pytest.mark.parametrize(("make", "record"), [(v1, v1_record), (v7, v7_record)])
def test_count_when_larger_than_the_datagram_then_what_is_there(
    make: Callable[..., bytes], record: Callable[..., bytes]
) -> None:
    found = decode(make(record(), record(), count=9))
    assert len(found.rows) == 2
    assert found.reasons == ["count_too_large"]
    found = decode(make(record(), count=40000))
    assert not found.rows
    assert found.reasons[0].startswith("count_not_of_v")


def test_capture_of_softflowd_when_v1_then_its_flows() -> None:
    found = decode(*(one.datagram for one in CaptureReader(DATA / "netflow_v1.pcap", {2055})))
    assert not found.faults
    assert len(found.rows) == 142
    # As softflowd's own statistics have it.
    sums = [sum(row[f"{unit}_delta_count"] for row in found.rows) for unit in ("packet", "octet")]
    assert sums == [402, 122_403]
    assert all(row["flow_end_milliseconds"] > UPTIME_MS for row in found.rows)
