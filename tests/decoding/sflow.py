"""sFlow datagrams octet by octet, after "sFlow Version 5" (sflow.org, July 2004)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import ip_address

AGENT = "192.0.2.77"
UPTIME_MS = 60_000


def address(text: str) -> bytes:
    parsed = ip_address(text)
    return word(1 if parsed.version == 4 else 2) + parsed.packed


def word(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def piece(number: int, body: bytes, length: int | None = None) -> bytes:
    return word(number, len(body) if length is None else length) + body + bytes(-len(body) % 4)


def sflow(
    *samples: bytes,
    agent: str = AGENT,
    sub_agent: int = 0,
    sequence: int = 1,
    uptime: int = UPTIME_MS,
    count: int | None = None,
) -> bytes:
    n = len(samples) if count is None else count
    return word(5) + address(agent) + word(sub_agent, sequence, uptime, n) + b"".join(samples)


def flow_sample(
    *records: bytes,
    rate: int = 100,
    source: int = 3,
    interfaces: tuple[int, int] = (3, 4),
    count: int | None = None,
) -> bytes:
    n = len(records) if count is None else count
    return piece(1, word(1, source, rate, 1000, 0, *interfaces, n) + b"".join(records))


def expanded_sample(
    *records: bytes,
    rate: int = 100,
    source: int = 3,
    ingress: tuple[int, int] = (0, 3),
    egress: tuple[int, int] = (0, 4),
) -> bytes:
    body = word(1, 0, source, rate, 1000, 0, *ingress, *egress, len(records))
    return piece(3, body + b"".join(records))


def header(octets: bytes, protocol: int = 1, size: int | None = None) -> bytes:
    size = len(octets) + 4 if size is None else size
    return piece(1, word(protocol, size, 4, len(octets)) + octets + bytes(-len(octets) % 4))


def ipv4_packet(source: str, destination: str, length: int = 1000) -> bytes:
    ends = ip_address(source).packed + ip_address(destination).packed
    return piece(3, word(length, 6) + ends + word(4000, 443, 0x18, 0x20))


def ipv6_packet(source: str, destination: str, length: int = 1000) -> bytes:
    ends = ip_address(source).packed + ip_address(destination).packed
    return piece(4, word(length, 17) + ends + word(53, 5353, 0, 0))


def switch(vlan_in: int, vlan_out: int) -> bytes:
    return piece(1001, word(vlan_in, 0, vlan_out, 0))


def router(hop: str, source_length: int, destination_length: int) -> bytes:
    return piece(1002, address(hop) + word(source_length, destination_length))


def gateway(hop: str, own: int, source: int, *segments: Iterable[int]) -> bytes:
    path = [list(segment) for segment in segments]
    listed = b"".join(word(2, len(segment), *segment) for segment in path)
    return piece(1003, address(hop) + word(own, source, source, len(path)) + listed + word(0, 100))


def hyper(number: int) -> bytes:
    return number.to_bytes(8, "big")


def if_counters(
    if_index: int = 3,
    octets: tuple[int, int] = (1_000_000, 2_000_000),
    *,
    speed: int = 10**9,
    status: int = 0b11,
    if_type: int = 6,
) -> bytes:
    """Generic counters of an interface: packets and errors are told as 7 each."""
    received, sent = octets
    body = word(if_index, if_type) + hyper(speed) + word(1, status)
    return piece(1, body + hyper(received) + word(*[7] * 6) + hyper(sent) + word(*[7] * 6))


def ethernet_counters() -> bytes:
    return piece(2, word(*range(13)))


def counter_sample(*records: bytes, source: int = 3, count: int | None = None) -> bytes:
    listed = records or (if_counters(),)
    n = len(listed) if count is None else count
    return piece(2, word(1, source, n) + b"".join(listed))


def expanded_counter_sample(*records: bytes, source: int = 3) -> bytes:
    listed = records or (if_counters(),)
    return piece(4, word(1, 0, source, len(listed)) + b"".join(listed))
