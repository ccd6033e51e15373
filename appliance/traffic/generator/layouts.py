"""Wire layouts of what the invented exporters send, each as a numpy dtype and as a template.

NetFlow v5 as Cisco documents it, v9 after RFC 3954, IPFIX after RFC 7011. The records of v9 and
IPFIX have 20 fields; 25 of them (IPv4) fill a datagram of at most 1,472 octets, which Ethernet
carries unfragmented.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

MAX_PAYLOAD_OCTETS = 1472
"""UDP payload of an unfragmented Ethernet packet."""

SET_HEADER_OCTETS = 4

V5_HEADER = np.dtype(
    [
        ("version", ">u2"),
        ("count", ">u2"),
        ("uptime_ms", ">u4"),
        ("seconds", ">u4"),
        ("nanoseconds", ">u4"),
        ("sequence", ">u4"),
        ("engine_type", "u1"),
        ("engine_id", "u1"),
        ("sampling", ">u2"),
    ]
)

V9_HEADER = np.dtype(
    [
        ("version", ">u2"),
        ("count", ">u2"),
        ("uptime_ms", ">u4"),
        ("seconds", ">u4"),
        ("sequence", ">u4"),
        ("observation_domain_id", ">u4"),
    ]
)

IPFIX_HEADER = np.dtype(
    [
        ("version", ">u2"),
        ("length", ">u2"),
        ("seconds", ">u4"),
        ("sequence", ">u4"),
        ("observation_domain_id", ">u4"),
    ]
)

V5_RECORD = np.dtype(
    [
        ("source_address", ">u4"),
        ("destination_address", ">u4"),
        ("next_hop", ">u4"),
        ("ingress", ">u2"),
        ("egress", ">u2"),
        ("packets", ">u4"),
        ("octets", ">u4"),
        ("start_uptime", ">u4"),
        ("end_uptime", ">u4"),
        ("source_port", ">u2"),
        ("destination_port", ">u2"),
        ("padding_1", "u1"),
        ("tcp_flags", "u1"),
        ("protocol", "u1"),
        ("class_of_service", "u1"),
        ("source_as", ">u2"),
        ("destination_as", ">u2"),
        ("source_prefix", "u1"),
        ("destination_prefix", "u1"),
        ("padding_2", ">u2"),
    ]
)

V5_RECORDS_PER_DATAGRAM = 30
RECORDS_PER_DATAGRAM = 25
"""Most data records of a v9 or IPFIX datagram; those with IPv6 addresses have room for fewer."""


class Field(NamedTuple):
    """One field specifier: the traffic column that fills it, its element, and its wire dtype."""

    column: str
    element: int
    wire: str


class Layout:
    """Fields of a record in order, under one template id; the first `scopes` are scope fields."""

    def __init__(self, template_id: int, *fields: Field, scopes: int = 0) -> None:
        self.template_id = template_id
        self.fields = fields
        self.scopes = scopes

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Packed, big-endian; one field for each field specifier."""
        return np.dtype([(field.column, field.wire) for field in self.fields])

    def records_per_datagram(self, header: np.dtype[Any]) -> int:
        """Return how many data records share a datagram, padding to 4 octets included."""
        room = (MAX_PAYLOAD_OCTETS - header.itemsize - SET_HEADER_OCTETS) // 4 * 4
        return min(RECORDS_PER_DATAGRAM, room // self.dtype.itemsize)

    def template_record(self, version: int) -> bytes:
        """Return the template record, or options template record, without its Set."""
        lengths = [np.dtype(field.wire).itemsize for field in self.fields]
        specifiers = b"".join(
            struct.pack(">HH", field.element, length)
            for field, length in zip(self.fields, lengths, strict=True)
        )
        if not self.scopes:
            return struct.pack(">HH", self.template_id, len(self.fields)) + specifiers
        if version == 9:  # RFC 3954 section 6.1 counts octets of specifiers
            scope_octets = 4 * self.scopes
            option_octets = 4 * len(self.fields) - scope_octets
            head = struct.pack(">HHH", self.template_id, scope_octets, option_octets)
        else:  # RFC 7011 section 3.4.2.2 counts fields, scopes included
            head = struct.pack(">HHH", self.template_id, len(self.fields), self.scopes)
        return head + specifiers


def _addresses(version: int) -> tuple[Field, Field, Field]:
    if version == 4:
        return (
            Field("source_address", 8, ">u4"),
            Field("destination_address", 12, ">u4"),
            Field("next_hop", 15, ">u4"),
        )
    return (
        Field("source_address", 27, "2>u8"),
        Field("destination_address", 28, "2>u8"),
        Field("next_hop", 62, "2>u8"),
    )


def _prefixes(version: int) -> tuple[Field, Field]:
    elements = (9, 13) if version == 4 else (29, 30)
    return Field("source_prefix", elements[0], "u1"), Field("destination_prefix", elements[1], "u1")


_PORTS = (Field("source_port", 7, ">u2"), Field("destination_port", 11, ">u2"))
_PROTOCOL = (
    Field("protocol", 4, "u1"),
    Field("class_of_service", 5, "u1"),
    Field("tcp_flags", 6, "u1"),
)
_INTERFACES = (Field("ingress", 10, ">u4"), Field("egress", 14, ">u4"))
_COUNTERS = (Field("packets", 2, ">u4"), Field("octets", 1, ">u4"))
_APPLICATION = Field("application_id", 95, ">u4")


def v9_layout(version: int, *, sampled: bool) -> Layout:
    """Return the flow record of a v9 exporter for an IP version, as a Cisco router has it."""
    return Layout(
        256 + version + 10 * sampled,
        *_addresses(version),
        *_INTERFACES,
        *_COUNTERS,
        Field("end_uptime", 21, ">u4"),
        Field("start_uptime", 22, ">u4"),
        *_PORTS,
        *_PROTOCOL,
        Field("source_as", 16, ">u2"),
        Field("destination_as", 17, ">u2"),
        *_prefixes(version),
        Field("sampler", 48, "u1") if sampled else Field("direction", 61, "u1"),
        _APPLICATION,
    )


def ipfix_layout(version: int, *, sampled: bool) -> Layout:
    """Return the flow record of an IPFIX exporter for an IP version; counters have reduced size."""
    return Layout(
        300 + version + 10 * sampled,
        *_addresses(version)[:2],
        *_PORTS,
        *_PROTOCOL,
        *_INTERFACES,
        *_COUNTERS,
        Field("start_ms", 152, ">u8"),
        Field("end_ms", 153, ">u8"),
        _APPLICATION,
        *_prefixes(version),
        Field("direction", 61, "u1"),
        Field("end_reason", 136, "u1"),
        Field("vlan", 58, ">u2"),
        Field("sampler", 302, "u1") if sampled else Field("forwarding_status", 89, "u1"),
    )


# v9 scope types are numbers of their own (RFC 3954 section 6.1): 1 is the system, 2 an interface.
V9_APPLICATIONS = Layout(
    500,
    Field("system", 1, ">u4"),
    _APPLICATION,
    Field("name", 96, "S24"),
    Field("description", 94, "S55"),
    scopes=1,
)
V9_INTERFACES = Layout(
    501,
    Field("system", 1, ">u4"),
    Field("interface", 10, ">u4"),
    Field("name", 82, "S32"),
    Field("description", 83, "S64"),
    scopes=1,
)
V9_SAMPLERS = Layout(
    502,
    Field("system", 1, ">u4"),
    Field("sampler", 48, "u1"),
    Field("mode", 49, "u1"),
    Field("interval", 50, ">u4"),
    scopes=1,
)
IPFIX_APPLICATIONS = Layout(
    500, _APPLICATION, Field("name", 96, "S24"), Field("description", 94, "S55"), scopes=1
)
IPFIX_INTERFACES = Layout(
    501,
    Field("interface", 10, ">u4"),
    Field("name", 82, "S32"),
    Field("description", 83, "S64"),
    scopes=1,
)
IPFIX_SELECTORS = Layout(
    502,
    Field("sampler", 302, "u1"),
    Field("algorithm", 304, ">u2"),
    Field("interval", 305, ">u4"),
    Field("space", 306, ">u4"),
    scopes=1,
)
