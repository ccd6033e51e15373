"""UDP datagrams out of captured packets: link layer, IPv4 with fragments, IPv6 with extension
headers.

Octets in, values out. Packets come from files that nobody vouches for: every length is checked,
fragments wait in bounded room, and whatever is no whole UDP datagram is `Skipped` with one of the
fixed reasons below.

References: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 768 (UDP), and the LINKTYPE list of tcpdump.org.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from appliance.flows import V4_MAPPED

NOT_IP = "not IP"
NOT_UDP = "not UDP"
OTHER_PORT = "other port"
OTHER_LINK = "unknown link type"
CUT_SHORT = "cut short by the capture"
MALFORMED = "malformed"
FRAGMENTS = "incomplete fragments"

MAX_ASSEMBLIES = 256
"""Fragmented datagrams that wait at the same time; the oldest gives way, counted as `FRAGMENTS`."""

MAX_PIECES = 128
"""Fragments of one datagram; 65,535 octets over the usual Ethernet are 45."""

_MAX_IP_OCTETS = 65535
_MAX_TAGS = 8
_MAX_EXTENSIONS = 16
_UDP = 17
_FRAGMENT_HEADER = 44
_AUTHENTICATION_HEADER = 51
_EXTENSION_HEADERS = frozenset((0, 43, 60, 135, 139, 140, _AUTHENTICATION_HEADER))
_VLAN_TYPES = frozenset((0x8100, 0x88A8, 0x9100, 0x9200))
_IP_TYPES = frozenset((0x0800, 0x86DD))
_NULL_FAMILIES = frozenset((2, 10, 24, 28, 30))

_u16 = struct.Struct(">H").unpack_from
_u32 = struct.Struct(">I").unpack_from
_halves = struct.Struct(">QQ").unpack_from
_ports_and_length = struct.Struct(">HHH").unpack_from


class Skipped(Exception):  # noqa: N818 - an expected outcome, not an error
    """A packet holds no UDP datagram that was asked for.

    Attributes
    ----------
    reason
        One of the constants of this module.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Ends(NamedTuple):
    """Source and destination address of a packet as 128-bit halves, IPv4 as ::ffff:a.b.c.d."""

    source_hi: int
    source_lo: int
    destination_hi: int
    destination_lo: int


class UdpDatagram(NamedTuple):
    """A whole UDP datagram."""

    ends: Ends
    source_port: int
    destination_port: int
    payload: bytes


def network_offset(link_type: int, frame: bytes) -> int:
    """Return where the IP header begins.

    Raises
    ------
    Skipped
        The frame carries something else, or its link type is not known.
    """
    find = _LINK_TYPES.get(link_type)
    if find is None:
        raise Skipped(OTHER_LINK)
    return find(frame)


def _raw(frame: bytes) -> int:
    return 0


def _null(frame: bytes) -> int:
    # BSD loopback: the family in the order of the machine that captured, or (LOOP) in network
    # order.
    family = _u32(frame, 0)[0]
    if family not in _NULL_FAMILIES and int.from_bytes(frame[:4], "little") not in _NULL_FAMILIES:
        raise Skipped(NOT_IP)
    return 4


def _ethernet(frame: bytes) -> int:
    return _behind_tags(frame, 12)


def _linux_cooked(frame: bytes) -> int:
    return _behind_tags(frame, 14)


def _linux_cooked_2(frame: bytes) -> int:
    if _u16(frame, 0)[0] not in _IP_TYPES:
        raise Skipped(NOT_IP)
    return 20


def _behind_tags(frame: bytes, at: int) -> int:
    """Step over 802.1Q and 802.1ad tags; `at` is the offset of the EtherType."""
    for _ in range(_MAX_TAGS):
        ether_type = _u16(frame, at)[0]
        if ether_type in _IP_TYPES:
            return at + 2
        if ether_type not in _VLAN_TYPES:
            break
        at += 4
    raise Skipped(NOT_IP)


_LINK_TYPES: dict[int, Callable[[bytes], int]] = {
    0: _null,
    1: _ethernet,
    12: _raw,
    14: _raw,
    101: _raw,
    108: _null,
    113: _linux_cooked,
    228: _raw,
    229: _raw,
    276: _linux_cooked_2,
}


class _Fragment(NamedTuple):
    """A part of a datagram; `next_header` says what the whole is."""

    offset: int
    more: bool
    next_header: int
    octets: bytes


@dataclass(slots=True)
class _Assembly:
    """A fragmented datagram in the making."""

    next_header: int
    octets: bytearray = field(default_factory=bytearray)
    pieces: dict[int, int] = field(default_factory=dict)
    total: int | None = None

    def add(self, offset: int, piece: bytes, *, last: bool) -> bytes | None:
        """Take a fragment; return the whole when it is complete.

        Raises
        ------
        Skipped
            Fragments contradict each other; the datagram is lost.
        """
        end = offset + len(piece)
        if self.pieces.get(offset) == len(piece):
            return None  # the same fragment again
        overlaps = any(offset < at + n and at < end for at, n in self.pieces.items())
        beyond = end > (_MAX_IP_OCTETS if self.total is None else self.total)
        ends_early = last and len(self.octets) > end
        if overlaps or beyond or ends_early or len(self.pieces) >= MAX_PIECES:
            raise Skipped(MALFORMED)
        if len(self.octets) < end:
            self.octets.extend(bytes(end - len(self.octets)))
        self.octets[offset:end] = piece
        self.pieces[offset] = len(piece)
        if last:
            self.total = end
        if self.total == sum(self.pieces.values()):
            return bytes(self.octets)
        return None


class PacketParser:
    """Finds the UDP datagrams in captured packets; remembers fragments between them.

    Attributes
    ----------
    lost_assemblies
        Fragmented datagrams given up because others needed the room.
    """

    def __init__(self) -> None:
        self._assemblies: dict[tuple[Ends, int], _Assembly] = {}
        self.lost_assemblies = 0

    @property
    def waiting_assemblies(self) -> int:
        """Fragmented datagrams that are not complete yet."""
        return len(self._assemblies)

    def udp_datagram(self, link_type: int, frame: bytes) -> UdpDatagram | None:
        """Return the UDP datagram that a packet carries or completes.

        Parameters
        ----------
        link_type
            LINKTYPE number of the capture.

        Returns
        -------
        UdpDatagram or None
            None for a fragment that others must complete.

        Raises
        ------
        Skipped
            There is none in it.
        """
        try:
            at = network_offset(link_type, frame)
            version = frame[at] >> 4
            if version == 4:
                return self._ipv4(frame, at)
            if version == 6:
                return self._ipv6(frame, at)
        except (struct.error, IndexError):
            raise Skipped(MALFORMED) from None
        raise Skipped(NOT_IP)

    def _ipv4(self, frame: bytes, at: int) -> UdpDatagram | None:
        header_octets = (frame[at] & 15) * 4
        # Segmentation offload leaves a length of 0 in what the sending machine captures.
        total = _u16(frame, at + 2)[0] or len(frame) - at
        if header_octets < 20:
            raise Skipped(MALFORMED)
        if frame[at + 9] != _UDP:
            raise Skipped(NOT_UDP)
        body = _exactly(frame, at + header_octets, at + total)
        source, destination = _u32(frame, at + 12)[0], _u32(frame, at + 16)[0]
        ends = Ends(0, V4_MAPPED | source, 0, V4_MAPPED | destination)
        place = _u16(frame, at + 6)[0]
        if place & 0x3FFF:
            fragment = _Fragment((place & 0x1FFF) * 8, bool(place & 0x2000), _UDP, body)
            whole = self._assemble((ends, _u16(frame, at + 4)[0]), fragment)
            return None if whole is None else _udp(ends, whole[1])
        return _udp(ends, body)

    def _ipv6(self, frame: bytes, at: int) -> UdpDatagram | None:
        body = _exactly(frame, at + 40, at + 40 + _u16(frame, at + 4)[0])
        ends = Ends(*_halves(frame, at + 8), *_halves(frame, at + 24))
        return self._ipv6_body(ends, frame[at + 6], body, 0)

    def _ipv6_body(
        self, ends: Ends, next_header: int, body: bytes, extensions: int
    ) -> UdpDatagram | None:
        """Step over extension headers (RFC 8200 section 4)."""
        while next_header in _EXTENSION_HEADERS:
            octets = (
                (body[1] + 2) * 4 if next_header == _AUTHENTICATION_HEADER else (body[1] + 1) * 8
            )
            next_header, body, extensions = body[0], body[octets:], extensions + 1
            if extensions > _MAX_EXTENSIONS:
                raise Skipped(MALFORMED)
        if next_header == _UDP:
            return _udp(ends, body)
        if next_header != _FRAGMENT_HEADER:
            raise Skipped(NOT_UDP)
        if extensions > _MAX_EXTENSIONS:
            raise Skipped(MALFORMED)
        place = _u16(body, 2)[0]
        fragment = _Fragment(place & 0xFFF8, bool(place & 1), body[0], body[8:])
        whole = self._assemble((ends, _u32(body, 4)[0]), fragment)
        return None if whole is None else self._ipv6_body(ends, *whole, extensions + 1)

    def _assemble(self, key: tuple[Ends, int], fragment: _Fragment) -> tuple[int, bytes] | None:
        """Return next header and octets of a datagram that this fragment completes."""
        assembly = self._assemblies.pop(key, None) or _Assembly(fragment.next_header)
        if fragment.offset == 0:
            assembly.next_header = fragment.next_header
        whole = assembly.add(fragment.offset, fragment.octets, last=not fragment.more)
        if whole is not None:
            return assembly.next_header, whole
        if len(self._assemblies) >= MAX_ASSEMBLIES:
            del self._assemblies[next(iter(self._assemblies))]
            self.lost_assemblies += 1
        self._assemblies[key] = assembly
        return None


def _exactly(frame: bytes, start: int, end: int) -> bytes:
    if end > len(frame):
        raise Skipped(CUT_SHORT)
    return frame[start:end]


def _udp(ends: Ends, body: bytes) -> UdpDatagram:
    source_port, destination_port, length = _ports_and_length(body, 0)
    # 0 stands for "all there is": jumbograms, and segmentation offload on the sending machine.
    length = length or len(body)
    if not 8 <= length <= len(body):
        raise Skipped(MALFORMED)
    return UdpDatagram(ends, source_port, destination_port, body[8:length])
