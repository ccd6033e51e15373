"""Sampled frames (elements 315, 104, 313, 314, 317) fill the columns of the flow."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.decoding.building import (
    IPFIX,
    VARIABLE,
    Decoded,
    a_set,
    decode,
    number,
    template,
    v4,
    variable,
)

ETHERNET = bytes.fromhex("182ad36e503fb402165592f4")
TCP = struct.pack(">HHIIBBHHH", 1024, 443, 1, 2, 0x50, 0x1B, 100, 0, 0)
UDP = struct.pack(">HHHH", 53, 5353, 8, 0)
IPV4, IPV6, MPLS = (struct.pack(">H", kind) for kind in (0x0800, 0x86DD, 0x8847))
_NAMES = (
    *("source_address", "destination_address", "source_transport_port"),
    *("destination_transport_port", "protocol_identifier", "octet_delta_count"),
)


def tag(vlan: int, kind: int = 0x8100) -> bytes:
    return struct.pack(">HH", kind, vlan)


def label(value: int, is_bottom: bool = False) -> bytes:
    return struct.pack(">I", value << 12 | is_bottom << 8 | 64)


def ipv4(protocol: int, payload: bytes, fragment: int = 0, options: bytes = b"") -> bytes:
    first, total = 0x45 + len(options) // 4, 20 + len(options) + len(payload)
    head = struct.pack(">BBHHHBBH", first, 0x48, total, 1, fragment, 64, protocol, 0)
    return head + v4("10.0.0.1") + v4("10.0.0.2") + options + payload


def ipv6(next_header: int, payload: bytes) -> bytes:
    head = struct.pack(">IHBB", 0x6481_2345, len(payload), next_header, 64)
    ends = (socket.inet_pton(socket.AF_INET6, f"2001:db8::{n}") for n in (1, 2))
    return head + b"".join(ends) + payload


def sections(*frames: bytes, element: int = 315, length: int = VARIABLE) -> Decoded:
    """Decode records of an interface, a frame's size and a section."""
    elements = ((10, 4), (312, 2), (element, length))
    body = b"".join(
        number(place, 4)
        + number(len(frame) + 4, 2)
        + (variable(frame) if length == VARIABLE else frame[:length].ljust(length, b"\0"))
        for place, frame in enumerate(frames, 1)
    )
    return decode(IPFIX.message(IPFIX.templates(template(300, *elements)), a_set(300, body)))


V4_TCP = ("10.0.0.1", "10.0.0.2", 1024, 443, 6, 40)
V6_TCP = ("2001:db8::1", "2001:db8::2", 1024, 443, 6)
FRAMES = {
    "ipv4": (ETHERNET + IPV4 + ipv4(6, TCP), V4_TCP),
    "options": (ETHERNET + IPV4 + ipv4(6, TCP, options=bytes(8)), (*V4_TCP[:5], 48)),
    "vlan": (ETHERNET + tag(100) + IPV4 + ipv4(6, TCP), V4_TCP),
    "two vlans": (ETHERNET + tag(100, 0x88A8) + tag(7) + IPV4 + ipv4(6, TCP), V4_TCP),
    "mpls": (ETHERNET + MPLS + label(16) + label(17, True) + ipv4(6, TCP), V4_TCP),
    "ipv6": (ETHERNET + IPV6 + ipv6(6, TCP), (*V6_TCP, 60)),
    "ipv6 in mpls": (ETHERNET + MPLS + label(16, True) + ipv6(6, TCP), (*V6_TCP, 60)),
    "hop-by-hop": (ETHERNET + IPV6 + ipv6(0, b"\6" + bytes(7) + TCP), (*V6_TCP, 68)),
    "first fragment": (ETHERNET + IPV6 + ipv6(44, b"\6\0\0\1" + bytes(4) + TCP), (*V6_TCP, 68)),
    "authentication": (ETHERNET + IPV6 + ipv6(51, b"\6\4" + bytes(22) + TCP), (*V6_TCP, 84)),
    "later fragment": (
        ETHERNET + IPV4 + ipv4(17, UDP, fragment=100),
        ("10.0.0.1", "10.0.0.2", None, None, 17, 28),
    ),
    "tunnel": (
        ETHERNET + IPV4 + ipv4(4, ipv4(17, UDP)),
        ("10.0.0.1", "10.0.0.2", None, None, 4, 48),
    ),
    "arp": (ETHERNET + b"\x08\x06" + bytes(28), (None, None, None, None, None, 46)),
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("element", [315, 104])
def test_frame_when_sampled_then_its_headers_are_the_flow(name: str, element: int) -> None:
    frame, expected = FRAMES[name]
    row = sections(frame, element=element).row
    assert tuple(row.get(column) for column in _NAMES) == expected
    assert (row["packet_delta_count"], row.get("record_kind")) == (1, None)
    assert row["source_mac_address"] == 0xB402165592F4
    assert row["destination_mac_address"] == 0x182AD36E503F
    assert row.get("vlan_id") == (100 if "vlan" in name else None)
    if row.get("protocol_identifier") == 6:
        assert (row["tcp_control_bits"], row["ip_class_of_service"]) == (0x1B, 0x48)
        assert row.get("flow_label_ipv6") == (0x12345 if "2001" in row["source_address"] else None)


def test_frames_when_many_are_walked_at_once_then_each_as_if_alone() -> None:
    frames = [frame for frame, _ in FRAMES.values()]
    alone = [sections(frame).row for frame in frames]
    assert [{**row, "ingress_interface": 1} for row in sections(*frames).rows] == alone
    fixed = sections(*frames, length=128).rows
    assert [{**row, "ingress_interface": 1} for row in fixed] == alone


def test_frame_when_of_icmp_then_type_and_code() -> None:
    four, six = ipv4(1, bytes([8, 1, 0, 0])), ipv6(58, bytes([128, 0, 0, 0]))
    found = sections(ETHERNET + IPV4 + four, ETHERNET + IPV6 + six)
    assert found.column("icmp_type_code") == [0x0801, 0x8000]
    assert found.column("protocol_identifier") == [1, 58]


def test_packet_when_header_and_payload_are_two_sections_then_one_flow() -> None:
    elements = ((10, 4), (313, 20), (314, 20))
    body = number(1, 4) + ipv4(6, TCP)
    row = decode(IPFIX.message(IPFIX.templates(template(300, *elements)), a_set(300, body))).row
    assert tuple(row.get(column) for column in _NAMES) == V4_TCP
    assert row["tcp_control_bits"] == 0x1B


def test_payload_when_the_record_tells_the_protocol_then_its_ports() -> None:
    elements = ((8, 4), (12, 4), (4, 1), (314, VARIABLE))
    body = v4("10.0.0.1") + v4("10.0.0.2") + b"\x11" + variable(UDP)
    row = decode(IPFIX.message(IPFIX.templates(template(300, *elements)), a_set(300, body))).row
    assert tuple(row.get(column) for column in _NAMES[:5]) == ("10.0.0.1", "10.0.0.2", 53, 5353, 17)


def test_packet_when_section_begins_with_ip_then_the_flow() -> None:
    for element in (313, 317):
        row = sections(ipv4(6, TCP), element=element).row
        assert tuple(row.get(column) for column in _NAMES) == V4_TCP


def test_frame_when_the_record_has_its_own_elements_then_these_count() -> None:
    elements = ((8, 4), (12, 4), (7, 2), (1, 4), (2, 4), (315, VARIABLE))
    own = v4("192.0.2.1") + v4("0.0.0.0") + number(9, 2) + number(5000, 4) + number(10, 4)
    body = own + variable(FRAMES["ipv4"][0])
    row = decode(IPFIX.message(IPFIX.templates(template(300, *elements)), a_set(300, body))).row
    assert tuple(row.get(c) for c in _NAMES) == ("192.0.2.1", "10.0.0.2", 9, 443, 6, 5000)
    assert row["packet_delta_count"] == 10


def test_frame_when_it_is_no_ethernet_or_from_the_middle_then_not_read() -> None:
    for element, octets, value in ((408, 2, 2), (409, 2, 14)):
        elements = ((element, octets), (312, 2), (315, VARIABLE))
        body = number(value, octets) + number(100, 2) + variable(FRAMES["ipv4"][0])
        told = IPFIX.templates(template(300, *elements))
        row = decode(IPFIX.message(told, a_set(300, body))).row
        assert "source_address" not in row
        assert "source_mac_address" not in row


def _shape(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "ingress_interface"}


@given(
    cuts=st.lists(
        st.tuples(
            st.sampled_from([frame for frame, _ in FRAMES.values()]),
            st.integers(0, 130),
            st.lists(st.tuples(st.integers(0, 129), st.integers(0, 255)), max_size=6),
        ),
        min_size=1,
        max_size=6,
    )
)
@example(cuts=[(ETHERNET + tag(1) * 60, 250, []), (ETHERNET + MPLS + label(3) * 60, 250, [])])
@example(cuts=[(ETHERNET + IPV6 + ipv6(0, bytes(200)), 250, [])])
@settings(max_examples=200, deadline=None)
def test_frame_when_octets_lie_or_end_anywhere_then_only_its_own_row_shows_it(
    cuts: list[tuple[bytes, int, list[tuple[int, int]]]],
) -> None:
    frames = []
    for frame, end, changes in cuts:
        octets = bytearray(frame)
        for place, value in changes:
            octets[place % len(octets)] = value
        frames.append(bytes(octets[:end]))
    together = sections(*frames)
    alone = [row for frame in frames for row in sections(frame).rows]
    assert [_shape(row) for row in together.rows] == [_shape(row) for row in alone]


def test_frame_when_cut_anywhere_then_what_is_whole_is_read() -> None:
    frame, _ = FRAMES["ipv4"]
    for end in range(len(frame) + 1):
        row = sections(frame[:end]).row
        assert ("source_mac_address" in row) == (end >= 14)
        assert ("source_address" in row) == (end >= 34)
        assert ("source_transport_port" in row) == (end >= 38)
        assert ("tcp_control_bits" in row) == (end >= 48)
