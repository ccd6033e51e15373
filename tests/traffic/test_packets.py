"""Captured packets: link and network layers as they come, fragments in any order and bounded."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.traffic import packets
from tests.traffic.building import Read, ethernet, fragments, ipv4, ipv6, payloads, pcap, udp

FRAME = ethernet(ipv4(udp(b"flow")))

V6 = ipv6(udp(b"flow"))
V4 = ipv4(udp(b"flow"))
SLL = struct.pack(">HHH", 0, 1, 6) + bytes(8)


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (1, ethernet(V6)),
        (1, ethernet(V4, 0x8100)),
        (1, ethernet(V4, 0x88A8, 0x8100)),
        (1, ethernet(V4) + bytes(18)),
        (1 | 4 << 28, ethernet(V4) + bytes(4)),
        (101, ipv4(udp(b"flow") + b"behind the datagram")),
        (101, ipv4(udp(b"")[:4] + bytes(4) + b"flow")),
        (101, V4),
        (101, V6),
        (228, V4),
        (229, V6),
        (113, SLL + b"\x08\x00" + V4),
        (113, SLL + b"\x81\x00\x00\x07\x86\xdd" + V6),
        (276, b"\x86\xdd" + bytes(18) + V6),
        (0, struct.pack("<I", 2) + V4),
        (0, struct.pack(">I", 30) + V6),
        (108, struct.pack(">I", 2) + V4),
        (1, ethernet(ipv4(udp(b"flow"), options=b"\x94\x04\x00\x00"))),
        (101, ipv6(bytes([60, 0, 1, 4]) + bytes(4) + bytes([17, 1]) + bytes(14) + udp(b"flow"), 0)),
        (101, ipv6(bytes([17, 4]) + bytes(22) + udp(b"flow"), 51)),
        (101, V4[:2] + bytes(2) + V4[4:]),
    ],
)
def test_read_when_link_and_network_layers_vary_then_the_payload_is_found(
    read: Read, link_type: int, frame: bytes
) -> None:
    found, reader = read(pcap(frame, link_type=link_type))
    assert payloads(found) == [b"flow"], reader.skipped


@pytest.mark.parametrize(
    ("link_type", "frame", "reason"),
    [
        (147, V4, packets.OTHER_LINK),
        (1, bytes(12) + b"\x08\x06" + bytes(28), packets.NOT_IP),
        (1, ethernet(V4, *[0x8100] * 9), packets.NOT_IP),
        (276, b"\x08\x06" + bytes(50), packets.NOT_IP),
        (0, struct.pack("<I", 99) + V4, packets.NOT_IP),
        (101, b"\x10" + V4[1:], packets.NOT_IP),
        (101, ipv4(bytes(20), protocol=6), packets.NOT_UDP),
        (101, ipv6(bytes(20), 58), packets.NOT_UDP),
        (101, V4[:-1], packets.CUT_SHORT),
        (101, V6[:-1], packets.CUT_SHORT),
        (101, b"", packets.MALFORMED),
        (101, V4[:15], packets.CUT_SHORT),
        (101, V4[:3], packets.MALFORMED),
        (101, b"\x44" + ipv4(udp(b"", 8, 0), destination="0.1.8.7")[1:], packets.MALFORMED),
        (101, ipv4(struct.pack(">HHHH", 1, 2055, 7, 0)), packets.MALFORMED),
        (101, ipv4(struct.pack(">HHHH", 1, 2055, 9, 0)), packets.MALFORMED),
        (101, ipv6(bytes([60, 0, 1, 4, 0, 0, 0, 0]) * 20 + V6[40:], 60), packets.MALFORMED),
        (101, ipv6(bytes([44, 0, 0, 0, 0, 0, 0, 0]) * 5000, 44), packets.MALFORMED),
        (101, ipv4(udp(b"flow", 1, 53)), packets.OTHER_PORT),
    ],
)
def test_read_when_packet_is_not_wanted_then_skipped_by_reason(
    read: Read, link_type: int, frame: bytes, reason: str
) -> None:
    found, reader = read(pcap(frame, FRAME, link_type=link_type), {2055})
    assert all(captured.destination_port == 2055 for captured in found)
    assert reader.skipped[reason] >= 1
    assert reader.packets == reader.datagrams + reader.skipped.total()


def fragments_v6(body: bytes, size: int) -> list[bytes]:
    return [
        ipv6(
            struct.pack(">BBHI", 17, 0, at | (at + size < len(body)), 99) + body[at : at + size], 44
        )
        for at in range(0, len(body), size)
    ]


PAYLOAD = bytes(i % 251 for i in range(9000))


@pytest.mark.parametrize("cut", [fragments, fragments_v6])
def test_read_when_fragments_come_in_any_order_then_the_datagram_is_whole(
    read: Read, cut: Callable[[bytes, int], list[bytes]]
) -> None:
    pieces = cut(udp(PAYLOAD), 1480)
    for order in (pieces, pieces[::-1], [pieces[2], pieces[2], *pieces]):
        found, reader = read(pcap(*order, FRAME[14:], link_type=101))
        assert payloads(found) == [PAYLOAD, b"flow"]
        assert reader.skipped.total() == 0


def test_read_when_later_fragments_name_another_header_then_the_first_decides(read: Read) -> None:
    one, two = fragments_v6(udp(PAYLOAD), 8000)
    found, _ = read(pcap(two[:40] + b"\x3b" + two[41:], one, link_type=101))
    assert payloads(found) == [PAYLOAD]


def test_read_when_fragments_of_two_datagrams_mix_then_each_is_whole(read: Read) -> None:
    one, two = fragments(udp(PAYLOAD), 4000, 1), fragments(udp(PAYLOAD[::-1]), 4000, 2)
    mixed = [piece for pair in zip(one, two, strict=True) for piece in pair]
    found, _ = read(pcap(*mixed, link_type=101))
    assert payloads(found) == [PAYLOAD, PAYLOAD[::-1]]


def test_read_when_a_fragment_is_missing_then_counted(read: Read) -> None:
    pieces = fragments(udp(PAYLOAD), 1480)
    found, reader = read(pcap(*pieces[:3], *pieces[4:], link_type=101))
    assert found == []
    assert reader.skipped == {packets.FRAGMENTS: 1}


@pytest.mark.parametrize(
    "pieces",
    [
        [ipv4(bytes(16), more=True), ipv4(bytes(16), offset=8)],
        [ipv4(bytes(8), offset=24, more=True), ipv4(bytes(8), offset=8)],
        [ipv4(bytes(8), offset=8), ipv4(bytes(8), offset=16)],
        [ipv4(bytes(16), offset=65528, more=True)],
        [ipv4(bytes(8), offset=at * 16, more=True) for at in range(packets.MAX_PIECES + 1)],
    ],
    ids=["overlap", "beyond the end", "two ends", "beyond 65535", "too many"],
)
def test_read_when_fragments_contradict_then_refused(read: Read, pieces: list[bytes]) -> None:
    found, reader = read(pcap(*pieces, link_type=101))
    assert found == []
    assert reader.skipped == {packets.MALFORMED: 1}


def test_read_when_fragments_flood_then_room_is_bounded_and_losses_counted(read: Read) -> None:
    flood = [ipv4(bytes(8), number=i, offset=65000, more=True) for i in range(3000)]
    tracemalloc.start()
    try:
        found, reader = read(pcap(*flood, *fragments(udp(PAYLOAD), 1480, 5000), link_type=101))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert payloads(found) == [PAYLOAD]
    assert reader.skipped == {packets.FRAGMENTS: 3000}
    assert peak < 40 << 20


@settings(max_examples=200, deadline=None)
@given(frame=st.binary(max_size=120), link_type=st.sampled_from([0, 1, 101, 108, 113, 228, 276]))
def test_udp_datagram_when_frame_is_random_then_no_other_error_than_skipped(
    frame: bytes, link_type: int
) -> None:
    with contextlib.suppress(packets.Skipped):
        packets.PacketParser().udp_datagram(link_type, frame)
