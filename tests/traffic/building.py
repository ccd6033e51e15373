"""Captures for tests: packets with honest lengths, and the files around them."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.decoding.messages.block import Datagram
from appliance.traffic.captures import CapturedDatagram, CaptureReader

Read = Callable[..., tuple[list[CapturedDatagram], CaptureReader]]


def read_capture(path: Path | str) -> Iterator[Datagram]:
    """Return the UDP datagrams of a capture file in file order."""
    return (captured.datagram for captured in CaptureReader(path))


def udp(payload: bytes, source_port: int = 40000, destination_port: int = 2055) -> bytes:
    return struct.pack(">HHHH", source_port, destination_port, 8 + len(payload), 0) + payload


def ipv4(
    body: bytes,
    source: str = "192.0.2.10",
    destination: str = "192.0.2.1",
    *,
    protocol: int = 17,
    options: bytes = b"",
    number: int = 1,
    offset: int = 0,
    more: bool = False,
) -> bytes:
    octets = 20 + len(options)
    place = offset // 8 | more << 13
    head = struct.pack(
        ">BBHHHBBH", 0x40 | octets // 4, 0, octets + len(body), number, place, 64, protocol, 0
    )
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return head + ends + options + body


def ipv6(body: bytes, next_header: int = 17, source: str = "2001:db8::10") -> bytes:
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address("2001:db8::1").packed
    return struct.pack(">IHBB", 6 << 28, len(body), next_header, 64) + ends + body


def ethernet(packet: bytes, *tags: int) -> bytes:
    ether_type = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    tagged = b"".join(struct.pack(">HH", tag, 7) for tag in tags)
    return bytes(12) + tagged + struct.pack(">H", ether_type) + packet


def pcap(
    *frames: bytes,
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    link_type: int = 1,
    seconds: int = 1_700_000_000,
    units: int = 123_456,
) -> bytes:
    """Lay frames into a pcap file, one second apart."""
    octets = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    for at, frame in enumerate(frames):
        octets += struct.pack(order + "IIII", seconds + at, units, len(frame), len(frame)) + frame
    return octets


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Frame the body of a pcapng block."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type: int = 1, options: bytes = b"", snap: int = 0, order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHI", link_type, 0, snap) + options, order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def enhanced(frame: bytes, units: int, number: int = 0, order: str = "<") -> bytes:
    head = struct.pack(
        order + "IIIII", number, units >> 32, units & 0xFFFF_FFFF, len(frame), len(frame)
    )
    return block(6, head + frame, order)


def fragments(body: bytes, size: int, number: int = 1) -> list[bytes]:
    """Cut an IPv4 packet's body into fragments."""
    return [
        ipv4(body[at : at + size], number=number, offset=at, more=at + size < len(body))
        for at in range(0, len(body), size)
    ]


def payloads(found: list[CapturedDatagram]) -> list[bytes]:
    return [captured.datagram.payload for captured in found]
