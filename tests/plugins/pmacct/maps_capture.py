"""A capture with flows of every kind that filters and maps can ask for, made here."""

from __future__ import annotations

import ipaddress
import random
import struct
from pathlib import Path

from tests.decoding.building import a_set, number, template, v4, v5, v5_record, v9, write_pcap

COMMON = (
    *((7, 2), (11, 2), (4, 1), (5, 1), (6, 1), (1, 4), (2, 4), (10, 4), (14, 4), (16, 4), (17, 4)),
    *((58, 2), (56, 6), (80, 6), (61, 1)),
)
OF_V4 = ((8, 4), (12, 4), (9, 1), (13, 1), (15, 4), (18, 4), *COMMON)
OF_V6 = ((27, 16), (28, 16), (29, 1), (30, 1), (62, 16), (63, 16), *COMMON)
OF_LABELS = (
    *((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (5, 1), (1, 4), (2, 4)),
    *((245, 2), (249, 4), (231, 4), (232, 4)),
)
V4 = ("10.10.0.1", "10.10.0.2", "10.20.3.4", "203.0.113.1", "203.0.113.200", "192.168.5.47")
V6 = ("2001:db8::1", "2001:db8:1::2", "2001:db8:ffff::3")
PORTS = (25, 53, 80, 443, 1000, 50001)
MACS = (0x001122334455, 0x001122334466, 0x01005E000005)


def maps_capture(path: Path) -> Path:
    """Write 168 flows, each with another number of octets from 1001 on."""
    chance, octets = random.Random(7), iter(range(1001, 2000))
    messages = [v9(a_set(0, template(300, *OF_V4) + template(301, *OF_V6)), sequence=1)]
    for sequence in range(2, 8):
        four = b"".join(_v4(chance) + _common(chance, next(octets)) for _ in range(14))
        six = b"".join(_v6(chance) + _common(chance, next(octets)) for _ in range(10))
        messages.append(v9(a_set(300, four), a_set(301, six), sequence=sequence, count=24))
    for engine, sampling in (((3, 7), 0), ((4, 2), 0x4064)):
        records = [_v5(chance, next(octets)) for _ in range(8)]
        messages.append(v5(*records, engine=engine, sampling=sampling))
    labelled = b"".join(_labelled(chance, next(octets)) for _ in range(8))
    messages += [v9(a_set(0, template(302, *OF_LABELS)), a_set(302, labelled), sequence=8)]
    return write_pcap(path, enumerate(messages))


def lengths_capture(path: Path) -> Path:
    """Write flows with flowId (148) of 4 octets and of 8, one of each template."""
    base = ((8, 4), (1, 4), (2, 4))
    layouts = [((148, 4),), ((148, 8),)]
    records = [
        v4(f"10.9.0.{n}") + struct.pack(">II", 100, 1) + number(4711 + n, length)
        for n, ((_, length),) in enumerate(layouts, 1)
    ]
    templates = b"".join(template(300 + n, *base, *layout) for n, layout in enumerate(layouts))
    sets = [a_set(300 + n, record) for n, record in enumerate(records)]
    return write_pcap(path, enumerate((v9(a_set(0, templates)), v9(*sets, sequence=1))))


def _v4(chance: random.Random) -> bytes:
    ends = v4(chance.choice((*V4, "224.0.0.5"))) + v4(chance.choice((*V4, "224.0.0.5")))
    lengths = bytes((chance.choice((0, 16, 24)), chance.choice((0, 16, 27))))
    return ends + lengths + v4(chance.choice(("10.0.0.254", "192.0.2.99"))) + v4("10.0.0.253")


def _v6(chance: random.Random) -> bytes:
    octets = [ipaddress.ip_address(chance.choice(V6)).packed for _ in range(2)]
    lengths = bytes((chance.choice((0, 32, 48)), chance.choice((0, 32, 64))))
    hops = ipaddress.ip_address("2001:db8::fe").packed * 2
    return b"".join(octets) + lengths + hops


def _common(chance: random.Random, octets: int) -> bytes:
    protocol = chance.choice((6, 6, 17, 17, 1, 58, 47, 132))
    has_ports = protocol in (6, 17, 132)
    ports = (chance.choice(PORTS), chance.choice(PORTS)) if has_ports else (0, 0)
    head = (*ports, protocol, chance.choice((0, 8, 184)), chance.choice((2, 16, 18, 24)))
    interfaces = (chance.choice((1, 2, 3)), chance.choice((1, 2, 3)))
    systems = (chance.choice((0, 64500, 64999)), chance.choice((0, 64501, 70000)))
    counters = (octets, chance.randint(1, 9), *interfaces, *systems)
    macs = b"".join(number(chance.choice(MACS), 6) for _ in range(2))
    # nfacctd knows VLANs below 256 as ones of records, not as ones of frames.
    vlan = struct.pack(">H", chance.choice((0, 0, 10, 100)))
    return struct.pack(">HHBBB6I", *head, *counters) + vlan + macs + bytes((chance.choice((0, 1)),))


def _labelled(chance: random.Random, octets: int) -> bytes:
    """Lay a record of a customer's VLAN and a pseudowire, which counts both directions."""
    ends = v4(chance.choice(V4)) + v4(chance.choice(V4))
    ports = (chance.choice(PORTS), chance.choice(PORTS))
    counted = struct.pack(">HHBBII", *ports, 6, 8, octets, chance.randint(1, 9))
    labels = struct.pack(">HI", chance.choice((0, 10, 20)), chance.choice((0, 4711)))
    return ends + counted + labels + struct.pack(">II", octets, 7)


def _v5(chance: random.Random, octets: int) -> bytes:
    ports = (chance.choice(PORTS), chance.choice(PORTS))
    ends = (chance.choice(V4), chance.choice(V4))
    return v5_record(*ends, octets=octets, ports=ports, protocol=chance.choice((6, 17)))
