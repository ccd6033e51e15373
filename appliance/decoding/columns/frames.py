"""Sampled frames: the headers of a packet that a record carries, as columns of the flow.

Exporters that sample packets (RFC 5477) may send nothing but the first octets of each: of the frame
(dataLinkFrameSection 315, layer2packetSectionData 104), of the packet (ipHeaderPacketSection 313)
or of its payload (ipPayloadPacketSection 314). Such a record is one packet. Its headers fill the
columns that no element of its own fills: Ethernet (IEEE 802.3, VLAN tags of 802.1Q and 802.1ad),
MPLS (RFC 3032), IPv4 (RFC 791) and IPv6 (RFC 8200) with its extension headers, ports, TCP flags,
type and code of ICMP. A tunnel's packet counts by its outer header.

All rows of a group are walked at once, a header a step; each step is bounded, and a header counts
only when all of it is there, so hostile octets end the walk of their row and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.templates.decode_plan import DecodePlan
from appliance.flows import COLUMN, V4_MAPPED

Columns = dict[str, NDArray[Any]]
Mask = NDArray[np.bool_]
Int = NDArray[np.int64]

MAX_SECTION = 256
"""Octets of a section that are looked at; what follows is payload."""

_FRAME, _IP, _PAYLOAD = (315, 104), (313, 317), 314
_FRAME_SIZE, _FRAME_TYPE, _SECTION_OFFSET = (312, 103), 408, (409, 102)
_EXPORTED_OCTETS = 410
_ETHERNET_FRAME = 1

_VLAN_TYPES, _MAX_TAGS = (0x8100, 0x88A8, 0x9100), 4
_MPLS_TYPES, _MAX_LABELS = (0x8847, 0x8848), 16
_IPV4_TYPE, _IPV6_TYPE = 0x0800, 0x86DD
_MAX_EXTENSIONS = 8
_OPTION_HEADERS = (0, 43, 60, 135, 139, 140)
_FRAGMENT, _AUTHENTICATION = 44, 51
_ICMP, _TCP, _UDP, _ICMP_V6 = 1, 6, 17, 58
_WITH_PORTS = (_TCP, _UDP, 33, 132, 136)


@dataclass(slots=True)
class _Walk:
    """Where each row of some sections stands, and the columns that its headers filled.

    Attributes
    ----------
    octets
        uint8, shape (n, width); what is behind the end of a section is 0.
    lengths
        int64, shape (n,): octets of each section that are there.
    at
        int64, shape (n,): where the next header starts.
    """

    octets: NDArray[np.uint8]
    lengths: Int
    at: Int
    columns: Columns = field(default_factory=dict)

    def holds(self, octets: int | Int) -> Mask:
        """Tell which rows have so many more octets."""
        return self.at + octets <= self.lengths

    def number(self, offset: int, octets: int) -> NDArray[np.uint64]:
        """Read a big-endian number of up to 8 octets; a row that is too short reads anything."""
        value = np.zeros(len(self.at), np.uint64)
        rows, last = np.arange(len(self.at)), self.octets.shape[1] - 1
        for place in range(offset, offset + octets):
            value = value << np.uint64(8) | self.octets[rows, np.minimum(self.at + place, last)]
        return value

    def fill(self, name: str, values: NDArray[Any], rows: Mask) -> None:
        """Set a column in some rows."""
        column = COLUMN[name]
        if name not in self.columns:
            self.columns[name] = np.full(len(rows), column.absent, column.dtype)
        self.columns[name][rows] = values[rows]


def add_frame_columns(group: RecordGroup, columns: Columns) -> None:
    """Fill what the elements of records leave empty from the headers that the records carry."""
    if not group.plan.recall(_has_sections):
        return
    sections = [_section(group, elements) for elements in (_FRAME, _IP, (_PAYLOAD,))]
    frame, packet, payload = sections
    filled: Columns = {}
    if frame is not None:
        _walk_frame(group, frame)
        filled = frame.columns
    if packet is not None:
        everywhere = np.ones(group.n_records, np.bool_)
        _walk_packet(packet, everywhere)
        filled = _merge_columns(packet.columns, filled)
    if payload is not None:
        protocol = columns.get("protocol_identifier", filled.get("protocol_identifier"))
        if protocol is not None:
            _walk_transport(payload, protocol.astype(np.int64), payload.lengths > 0)
            filled = _merge_columns(filled, payload.columns)
    _count(group, columns, filled, [s for s in sections if s is not None])
    columns.update(_merge_columns(columns, filled))


def _has_sections(plan: DecodePlan) -> bool:
    return any(plan.index(element) is not None for element in (*_FRAME, *_IP, _PAYLOAD))


def _section(group: RecordGroup, elements: tuple[int, ...]) -> _Walk | None:
    """Lay the octets of the first of these elements out in rows."""
    at = next((i for e in elements if (i := group.index(e)) is not None), None)
    if at is None or not group.n_records:
        return None
    values = group.records.octets(at)
    if values.dtype == object:
        parts = [bytes(value[:MAX_SECTION]) for value in values.tolist()]
        lengths = np.array([len(part) for part in parts], np.int64)
        width = max(int(lengths.max()), 1)
        octets = np.frombuffer(b"".join(part.ljust(width, b"\0") for part in parts), np.uint8)
    else:
        width = values.dtype.itemsize
        octets, lengths = values.view(np.uint8), np.full(len(values), width, np.int64)
    octets = octets.reshape(group.n_records, width)[:, :MAX_SECTION]
    np.minimum(lengths, MAX_SECTION, out=lengths)
    exported = group.unsigned(_EXPORTED_OCTETS)
    if exported is not None:
        np.minimum(lengths, exported.astype(np.int64), out=lengths)
    offset = group.first_unsigned(_SECTION_OFFSET)
    if offset is not None:
        # A section from the middle of a packet does not begin with a header.
        lengths[offset != 0] = 0
    return _Walk(octets, lengths, np.zeros(group.n_records, np.int64))


def _walk_frame(group: RecordGroup, walk: _Walk) -> None:
    """Read a frame of Ethernet, its tags and labels, and what they carry."""
    rows = walk.holds(14)
    kind = group.unsigned(_FRAME_TYPE)
    if kind is not None:
        rows &= kind == _ETHERNET_FRAME
    walk.fill("destination_mac_address", walk.number(0, 6), rows)
    walk.fill("source_mac_address", walk.number(6, 6), rows)
    ether_type = np.where(rows, walk.number(12, 2), 0)
    walk.at[rows] += 14
    for depth in range(_MAX_TAGS):
        tagged = np.isin(ether_type, _VLAN_TYPES) & walk.holds(4)
        if not tagged.any():
            break
        if depth == 0:
            walk.fill("vlan_id", walk.number(0, 2) & np.uint64(0xFFF), tagged)
        ether_type = np.where(tagged, walk.number(2, 2), ether_type)
        walk.at[tagged] += 4
    packet = np.isin(ether_type, (_IPV4_TYPE, _IPV6_TYPE)) | _pop_labels(walk, ether_type)
    _walk_packet(walk, packet)


def _pop_labels(walk: _Walk, ether_type: NDArray[Any]) -> Mask:
    """Go behind a stack of labels; return the rows where it ended (RFC 3032 section 2.1)."""
    stacked = np.isin(ether_type, _MPLS_TYPES)
    ended = np.zeros(len(stacked), np.bool_)
    for _ in range(_MAX_LABELS):
        stacked = stacked & walk.holds(4)
        if not stacked.any():
            break
        is_bottom = walk.number(2, 1) & np.uint64(1) == 1
        walk.at[stacked] += 4
        ended |= stacked & is_bottom
        stacked = stacked & ~is_bottom
    return ended


def _walk_packet(walk: _Walk, rows: Mask) -> None:
    """Read the header of IP, by its version, and what follows it."""
    version = np.where(rows & walk.holds(1), walk.number(0, 1) >> np.uint64(4), 0)
    protocol = np.full(len(rows), -1, np.int64)
    for read, number in ((_read_ipv4, 4), (_read_ipv6, 6)):
        of_version = version == number
        if of_version.any():
            walk.fill("ip_version", version, of_version)
            protocol = np.where(of_version, read(walk, of_version), protocol)
    _walk_transport(walk, protocol, protocol >= 0)


def _read_ipv4(walk: _Walk, rows: Mask) -> Int:
    """Read a header of IPv4; return the protocol behind it, -1 where no header of it follows."""
    octets = (walk.number(0, 1) & np.uint64(15)).astype(np.int64) * 4
    rows = rows & walk.holds(20) & (octets >= 20)
    protocol = walk.number(9, 1)
    walk.fill("ip_class_of_service", walk.number(1, 1), rows)
    walk.fill("octet_delta_count", walk.number(2, 2), rows)
    walk.fill("protocol_identifier", protocol, rows)
    for side, offset in (("source", 12), ("destination", 16)):
        walk.fill(f"{side}_address_hi", np.zeros(len(rows), np.uint64), rows)
        walk.fill(f"{side}_address_lo", walk.number(offset, 4) | np.uint64(V4_MAPPED), rows)
    is_first = walk.number(6, 2) & np.uint64(0x1FFF) == 0
    walk.at[rows] += octets[rows]
    return np.where(rows & is_first, protocol.astype(np.int64), -1)


def _read_ipv6(walk: _Walk, rows: Mask) -> Int:
    """Read a header of IPv6 and its extensions; return as `_read_ipv4` does."""
    rows = rows & walk.holds(40)
    first = walk.number(0, 4)
    walk.fill("ip_class_of_service", first >> np.uint64(20) & np.uint64(0xFF), rows)
    walk.fill("flow_label_ipv6", first & np.uint64(0xF_FFFF), rows)
    walk.fill("octet_delta_count", walk.number(4, 2) + np.uint64(40), rows)
    for side, offset in (("source", 8), ("destination", 24)):
        walk.fill(f"{side}_address_hi", walk.number(offset, 8), rows)
        walk.fill(f"{side}_address_lo", walk.number(offset + 8, 8), rows)
    protocol = walk.number(6, 1).astype(np.int64)
    walk.at[rows] += 40
    follows = rows.copy()
    for _ in range(_MAX_EXTENSIONS):
        extended = follows & np.isin(protocol, (*_OPTION_HEADERS, _FRAGMENT, _AUTHENTICATION))
        extended &= walk.holds(8)
        if not extended.any():
            break
        protocol, follows = _skip_extension(walk, protocol, extended, follows)
    walk.fill("protocol_identifier", protocol, rows)
    return np.where(follows, protocol, -1)


def _skip_extension(walk: _Walk, protocol: Int, rows: Mask, follows: Mask) -> tuple[Int, Mask]:
    """Go behind one extension header (RFC 8200 section 4, RFC 4302 section 2)."""
    counted = walk.number(1, 1).astype(np.int64)
    octets = (counted + 1) * 8
    octets[protocol == _FRAGMENT] = 8
    authenticates = protocol == _AUTHENTICATION
    octets[authenticates] = (counted[authenticates] + 2) * 4
    # Only the first fragment has what follows.
    later = rows & (protocol == _FRAGMENT) & (walk.number(2, 2) >> np.uint64(3) > 0)
    protocol = np.where(rows, walk.number(0, 1).astype(np.int64), protocol)
    walk.at[rows] += octets[rows]
    return protocol, follows & ~later


def _walk_transport(walk: _Walk, protocol: Int, rows: Mask) -> None:
    """Read ports, TCP flags (RFC 9293 section 3.1), or type and code of ICMP."""
    ports = rows & np.isin(protocol, _WITH_PORTS) & walk.holds(4)
    if ports.any():
        walk.fill("source_transport_port", walk.number(0, 2), ports)
        walk.fill("destination_transport_port", walk.number(2, 2), ports)
    flags = rows & (protocol == _TCP) & walk.holds(14)
    if flags.any():
        walk.fill("tcp_control_bits", walk.number(13, 1), flags)
    icmp = rows & np.isin(protocol, (_ICMP, _ICMP_V6)) & walk.holds(2)
    if icmp.any():
        walk.fill("icmp_type_code", walk.number(0, 2), icmp)


def _count(group: RecordGroup, columns: Columns, filled: Columns, sections: list[_Walk]) -> None:
    """Count a packet for each record, and its octets: of IP, else of the frame."""
    sampled = np.logical_or.reduce([section.lengths > 0 for section in sections])
    if "packet_delta_count" not in columns:
        filled["packet_delta_count"] = sampled.astype(np.uint64)
    if "octet_delta_count" in columns:
        return
    size = group.first_unsigned(_FRAME_SIZE)
    if size is None:
        size = np.max([section.lengths for section in sections], axis=0)
    of_packet = filled.get("octet_delta_count", np.zeros(group.n_records, np.uint64))
    filled["octet_delta_count"] = np.where(of_packet > 0, of_packet, size.astype(np.uint64))


def _merge_columns(columns: Columns, more: Columns) -> Columns:
    """Return columns, and what more of them are filled where these are not."""
    merged = {**more, **columns}
    for name in columns.keys() & more.keys():
        if not name.endswith(("_hi", "_lo")):
            empty = columns[name] == COLUMN[name].absent
            merged[name] = np.where(empty, more[name], columns[name])
    for end in ("source_address", "destination_address"):
        halves = (f"{end}_hi", f"{end}_lo")
        if not all(half in more for half in halves) or halves[1] not in columns:
            continue
        hi = columns.get(halves[0], np.zeros(len(more[halves[0]]), np.uint64))
        lo = columns[halves[1]]
        empty = (hi == 0) & ((lo == 0) | (lo == np.uint64(V4_MAPPED)))
        for half, own in zip(halves, (hi, lo), strict=True):
            merged[half] = np.where(empty, more[half], own)
    return merged
