"""Who the invented exporters are, and which services their users want."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

PROTOCOLS = ("v5", "v9", "ipfix")

TCP, UDP, ICMP = 6, 17, 1

IANA_L4 = 3 << 24
CISCO_NBAR = 13 << 24
"""Engines of application ids (RFC 6759 section 4); three octets of selector follow."""


@dataclass(frozen=True, slots=True)
class ExporterProfile:
    """One invented exporter.

    Attributes
    ----------
    name
        For people.
    protocol
        One of `PROTOCOLS`.
    observation_domain_id
        v9 source id; the engine of v5.
    ipv6_share
        Part of the flows that are IPv6; v5 has none.
    sampling
        One packet of so many is looked at; told in header (v5) or options (v9 sampler, IPFIX
        selector).
    nbar
        Tell application ids in the records and their names in options.
    clients, servers
        How many hosts there are on the near and the far side.
    weight
        Its part of all flows, in proportion to the others' weights.
    unique
        No two flows have the same addresses, ports and protocol (up to 2**32 flows).
    """

    name: str
    protocol: str
    observation_domain_id: int = 0
    ipv6_share: float = 0.0
    sampling: int = 1
    nbar: bool = False
    clients: int = 2000
    servers: int = 20000
    weight: float = 1.0
    unique: bool = False


class Service(NamedTuple):
    """What a share of the flows is for.

    Packets are distributed log-normally: `packets` is the median, `spread` the standard deviation
    of the logarithm. `request_octets` and `reply_octets` are the mean sizes of a packet to and
    from the server.
    """

    name: str
    description: str
    protocol: int
    port: int
    application_id: int
    share: float
    packets: float
    spread: float
    request_octets: int
    reply_octets: int
    class_of_service: int = 0


SERVICES: tuple[Service, ...] = (
    Service("ssl", "Secure web traffic", TCP, 443, CISCO_NBAR | 453, 34, 14, 1.5, 140, 1050),
    Service("quic", "Google QUIC protocol", UDP, 443, CISCO_NBAR | 1376, 16, 20, 1.6, 160, 1180),
    Service("dns", "Domain Name Server lookup", UDP, 53, IANA_L4 | 53, 20, 1, 0.3, 70, 160),
    Service("http", "World Wide Web traffic", TCP, 80, IANA_L4 | 80, 6, 9, 1.4, 150, 980),
    Service("ms-teams", "Teams calls", UDP, 3479, CISCO_NBAR | 1559, 3, 250, 1.2, 190, 210, 0xB8),
    Service(
        "cifs", "Common Internet File System", TCP, 445, CISCO_NBAR | 494, 3, 40, 2.0, 420, 890
    ),
    Service("ssh", "Secured shell", TCP, 22, IANA_L4 | 22, 2, 25, 1.5, 110, 180, 0x10),
    Service("secure-imap", "Mail over TLS", TCP, 993, IANA_L4 | 993, 3, 12, 1.0, 120, 640),
    Service("smtp", "Simple Mail Transfer Protocol", TCP, 25, IANA_L4 | 25, 1, 18, 1.2, 720, 90),
    Service("ntp", "Network Time Protocol", UDP, 123, IANA_L4 | 123, 3, 1, 0.2, 76, 76),
    Service(
        "snmp", "Simple Network Management Protocol", UDP, 161, IANA_L4 | 161, 2, 3, 0.8, 90, 130
    ),
    Service("syslog", "System logging utility", UDP, 514, IANA_L4 | 514, 2, 2, 1.0, 240, 240),
    Service("ms-rpc", "Remote desktop", TCP, 3389, IANA_L4 | 3389, 1, 300, 1.5, 90, 460),
    Service("ping", "ICMP echo", ICMP, 0, CISCO_NBAR | 479, 2, 4, 0.5, 84, 84),
    Service("unclassified", "Unclassified traffic", TCP, 8443, CISCO_NBAR | 1, 2, 8, 1.8, 200, 700),
)

INTERFACES: tuple[tuple[str, str], ...] = (
    ("GigabitEthernet0/0/0", "uplink to the provider"),
    ("GigabitEthernet0/0/1", "office floor 1"),
    ("GigabitEthernet0/0/2", "office floor 2"),
    ("GigabitEthernet0/0/3", "servers"),
    ("GigabitEthernet0/0/4", "guests"),
)
"""Name and description by SNMP index, from 1 on; the first is the uplink."""


def invent_exporters(
    protocols: Sequence[str], n: int, *, unique: bool = False
) -> list[ExporterProfile]:
    """Return n exporters over the protocols, larger and smaller, every fifth of them sampling."""
    return [
        ExporterProfile(
            name=f"{protocols[i % len(protocols)]}-{i + 1}",
            protocol=protocols[i % len(protocols)],
            observation_domain_id=i % 256,
            ipv6_share=0.0 if protocols[i % len(protocols)] == "v5" else 0.2,
            sampling=(1, 1, 1, 1, 100)[i % 5],
            nbar=protocols[i % len(protocols)] != "v5" and i % 2 == 1,
            weight=1 / (i + 1) ** 0.5,
            unique=unique,
        )
        for i in range(n)
    ]


def demo_exporters() -> list[ExporterProfile]:
    """Return the three exporters of `appliance run --demo`."""
    return [
        ExporterProfile("branch router", "v5", clients=60, servers=800, weight=1),
        ExporterProfile("campus router", "v9", 1, nbar=True, clients=900, servers=6000, weight=3),
        ExporterProfile(
            "border router", "ipfix", 2, 0.35, sampling=100, clients=3000, servers=12000, weight=2
        ),
    ]
