"""Capture files (pcap and pcapng, also gzip'ed) into UDP datagrams, for decode, import, replay
and tests. Files of IPFIX messages count as well, a message for a datagram (`message_files`).

Our own reader: dpkt leaves link types and fragments to its user, scapy builds an object tree for
each packet. Files are untrusted and read as a stream: memory is bounded by one packet and the
fragments that wait, and a file that ends early gives what it has and a warning.

References: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng (section numbers below are those of
draft 02).
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from appliance.decoding.messages.block import Datagram
from appliance.errors import CaptureError
from appliance.traffic.message_files import LOOPBACK, NoMessage, begins_message, messages_of
from appliance.traffic.packets import FRAGMENTS, OTHER_PORT, PacketParser, Skipped

CAPTURE_BLOCK_DATAGRAMS = 1024
"""The most that `blocks_of` puts together."""

MAX_PACKET_OCTETS = 262_144
"""Longest packet that is read; tcpdump never writes longer ones."""

MAX_OPTIONS_OCTETS = 65_536
"""Longest interface description that is read."""

MAX_INTERFACES = 65_536
"""Interfaces of one pcapng section."""

LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999; times beyond are set to it, times before 1970 to 0."""

_PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1_000_000),
    b"\xa1\xb2\x3c\x4d": (">", 1_000_000),
}
_PCAPNG_MAGIC = b"\n\r\r\n"
_GZIP_MAGIC = b"\x1f\x8b"

_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION = 1
_PACKET = 2
_SIMPLE_PACKET = 3
_ENHANCED_PACKET = 6
_MESSAGE = -1
"""In the place of a link type: no packet but a message of a file of messages."""

_OPTION_TSRESOL = 9
_OPTION_TSOFFSET = 14


@dataclass(frozen=True, slots=True)
class CapturedDatagram:
    """A UDP datagram from a capture; `datagram.received_ms` is the time of capture.

    Attributes
    ----------
    datagram
        Payload, sender and time.
    destination_hi, destination_lo, destination_port
        Where it went, address as 128-bit halves.
    """

    datagram: Datagram
    destination_hi: int
    destination_lo: int
    destination_port: int


class _Stream(Protocol):
    def read(self, n: int, /) -> bytes: ...


class _Packet(NamedTuple):
    link_type: int
    time_ms: int
    octets: bytes


class CaptureReader:
    """Iterates over the UDP datagrams of one file, once.

    Attributes
    ----------
    packets, datagrams
        Packets read, and datagrams handed out.
    skipped
        Packets without a wanted datagram by reason (`packets.NOT_UDP`, ...).
    warnings
        Sentences about what the file lacks.
    """

    def __init__(
        self,
        path: Path | str,
        ports: Collection[int] | None = None,
        sender: tuple[int, int] = LOOPBACK,
    ) -> None:
        """Store what to read.

        Parameters
        ----------
        ports
            Destination ports that are wanted; None takes all of UDP.
        sender
            Whose the messages of a file of messages are: halves of an address.
        """
        self.path = Path(path)
        self._sender = sender
        self._ports = None if ports is None else frozenset(ports)
        self._file: io.BufferedReader | None = None
        self._octets_read = 0
        self.packets = 0
        self.datagrams = 0
        self.skipped: Counter[str] = Counter()
        self.warnings: list[str] = []

    def __iter__(self) -> Iterator[CapturedDatagram]:
        """Read the file.

        Raises
        ------
        CaptureError
            It cannot be opened, is no capture, or is damaged beyond its last packet.
        """
        parser = PacketParser()
        for packet in self._packets():
            self.packets += 1
            try:
                found = self._datagram_of(parser, packet)
            except Skipped as skipped:
                self.skipped[skipped.reason] += 1
            else:
                if found is not None:
                    self.datagrams += 1
                    yield found
        if lost := parser.lost_assemblies + parser.waiting_assemblies:
            self.skipped[FRAGMENTS] += lost

    @property
    def octets_read(self) -> int:
        """How far the file is read, as stored; at its end the whole size, for a pipe always 0."""
        if self._file is not None and not self._file.closed:
            with suppress(OSError):
                self._octets_read = self._file.tell()
        return self._octets_read

    def _datagram_of(self, parser: PacketParser, packet: _Packet) -> CapturedDatagram | None:
        if packet.link_type == _MESSAGE:
            datagram = Datagram(packet.octets, *self._sender, 0, packet.time_ms)
            return CapturedDatagram(datagram, 0, 0, 0)
        found = parser.udp_datagram(packet.link_type, packet.octets)
        if found is None:
            return None
        if self._ports is not None and found.destination_port not in self._ports:
            raise Skipped(OTHER_PORT)
        ends = found.ends
        datagram = Datagram(
            found.payload, ends.source_hi, ends.source_lo, found.source_port, packet.time_ms
        )
        return CapturedDatagram(
            datagram, ends.destination_hi, ends.destination_lo, found.destination_port
        )

    def _packets(self) -> Iterator[_Packet]:
        with ExitStack() as opened:
            stream = self._open(opened)
            try:
                yield from _packets_of(stream)
            except EOFError:
                self.warnings.append(
                    f"{self.path}: the file ends early, after {self.packets} whole packets"
                )
            except (_Damaged, NoMessage) as damage:
                problem = f"{damage} (after {self.packets} packets)"
                raise CaptureError(self.path, problem) from None
            except (OSError, zlib.error) as error:
                raise CaptureError(self.path, _reason(error)) from error

    def _open(self, opened: ExitStack) -> _Stream:
        try:
            self._file = file = opened.enter_context(self.path.open("rb"))
            opened.callback(lambda: self.octets_read)  # the last look before it is closed
            if file.peek(2)[:2] != _GZIP_MAGIC:
                return file
        except OSError as error:
            raise CaptureError(self.path, _reason(error)) from error
        return opened.enter_context(gzip.GzipFile(fileobj=file, mode="rb"))


def blocks_of(datagrams: Iterable[Datagram]) -> Iterator[list[Datagram]]:
    """Put datagrams together that came within a second, as a receiver would have."""
    block: list[Datagram] = []
    for datagram in datagrams:
        if block and (
            len(block) == CAPTURE_BLOCK_DATAGRAMS
            or not 0 <= datagram.received_ms - block[0].received_ms < 1000
        ):
            yield block
            block = []
        block.append(datagram)
    if block:
        yield block


class _Damaged(Exception):  # noqa: N818 - becomes a CaptureError at the border of this module
    """The file says something impossible; the text says what."""


def _reason(error: OSError | zlib.error) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return f"cannot be read: {text}".lower()


def _exactly(stream: _Stream, n: int) -> bytes:
    octets = stream.read(n)
    if len(octets) < n:
        raise EOFError
    return octets


def _packets_of(stream: _Stream) -> Iterator[_Packet]:
    magic = stream.read(4)
    if magic in _PCAP_MAGIC:
        return _pcap(stream, *_PCAP_MAGIC[magic])
    if magic == _PCAPNG_MAGIC:
        return _Pcapng(stream).packets()
    if begins_message(magic):
        found = messages_of(partial(_exactly, stream), magic, stream.read)
        return (_Packet(_MESSAGE, *message) for message in found)
    expected = "expected a pcap, pcapng or IPFIX file, found other octets"
    raise _Damaged(expected if magic else "empty file")


def _pcap(stream: _Stream, order: str, units_per_ms: int) -> Iterator[_Packet]:
    link_type = struct.unpack(order + "I", _exactly(stream, 20)[16:])[0] & 0xFFFF
    header = struct.Struct(order + "IIII")
    units_per_second = units_per_ms * 1000
    while octets := stream.read(header.size):
        if len(octets) < header.size:
            raise EOFError
        seconds, units, captured, _ = header.unpack(octets)
        time_ms = (seconds * units_per_second + units) // units_per_ms
        yield _Packet(link_type, time_ms, _packet_octets(stream, captured))


def _packet_octets(stream: _Stream, captured: int) -> bytes:
    if captured > MAX_PACKET_OCTETS:
        raise _Damaged(f"packet of {captured} octets, at most {MAX_PACKET_OCTETS} expected")
    return _exactly(stream, captured)


class _Interface(NamedTuple):
    """How to read the packets of one pcapng interface; times are in 1/`resolution` seconds."""

    link_type: int
    snap_octets: int
    resolution: int
    offset_seconds: int

    def time_ms(self, high: int, low: int) -> int:
        units = high << 32 | low
        time_ms = units * 1000 // self.resolution + self.offset_seconds * 1000
        return min(max(time_ms, 0), LATEST_MS)


class _Pcapng:
    """The blocks of a pcapng file whose first four octets are read."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._order = "<"
        self._interfaces: list[_Interface] = []
        self._time_ms = 0

    def packets(self) -> Iterator[_Packet]:
        """Yield the packets of all sections."""
        self._section()
        while start := self._stream.read(8):
            if len(start) < 8:
                raise EOFError
            kind, total = struct.unpack(self._order + "II", start)
            if kind == _SECTION_HEADER:
                self._section(start[4:])
            else:
                yield from self._block(kind, total)

    def _section(self, length: bytes = b"") -> None:
        """Read a section header behind its type (section 4.1); it sets the octet order."""
        octets = length + _exactly(self._stream, 8 - len(length))
        if octets[4:] not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
            raise _Damaged("section header without byte-order magic")
        self._order = "<" if octets[4] == 0x4D else ">"
        self._interfaces = []
        self._skip(self._body_octets(*struct.unpack(self._order + "I", octets[:4])) - 4)

    def _body_octets(self, total: int) -> int:
        """Return how much of a block lies between its head and the repeated length."""
        if total < 12 or total % 4:
            raise _Damaged(f"block of {total} octets, expected a multiple of 4 from 12 on")
        return total - 12

    def _skip(self, n: int) -> None:
        if n < 0:
            raise _Damaged("section header shorter than 28 octets")
        n += 4
        while n > 0:
            n -= len(_exactly(self._stream, min(n, MAX_OPTIONS_OCTETS)))

    def _block(self, kind: int, total: int) -> Iterator[_Packet]:
        """Read a block behind its head; blocks of other kinds are stepped over."""
        body = self._body_octets(total)
        used = 0
        if kind == _INTERFACE_DESCRIPTION:
            used = self._interface(body)
        elif kind in (_ENHANCED_PACKET, _PACKET):
            packet = self._packet(kind, body)
            used = 20 + len(packet.octets)
            yield packet
        elif kind == _SIMPLE_PACKET:
            packet = self._simple_packet(body)
            used = 4 + len(packet.octets)
            yield packet
        self._skip(body - used)

    def _head(self, body: int, layout: str) -> tuple[int, ...]:
        head = struct.Struct(self._order + layout)
        if body < head.size:
            raise _Damaged(f"block of {body + 12} octets, expected at least {head.size + 12}")
        return head.unpack(_exactly(self._stream, head.size))

    def _interface(self, body: int) -> int:
        """Read an interface description (section 4.2); return its octets."""
        if body > MAX_OPTIONS_OCTETS or len(self._interfaces) >= MAX_INTERFACES:
            raise _Damaged(f"interface description of {body} octets, or too many of them")
        link_type, _, snap_octets = self._head(body, "HHI")
        options = self._options(_exactly(self._stream, body - 8))
        resolution = options.get(_OPTION_TSRESOL, b"\6")[:1] or b"\6"
        base = 2 if resolution[0] & 0x80 else 10
        order: Literal["little", "big"] = "little" if self._order == "<" else "big"
        offset = int.from_bytes(options.get(_OPTION_TSOFFSET, b"")[:8], order, signed=True)
        self._interfaces.append(
            _Interface(link_type, snap_octets, base ** (resolution[0] & 0x7F), offset)
        )
        return body

    def _options(self, octets: bytes) -> dict[int, bytes]:
        """Return options by code (section 3.5); what does not fit ends the list."""
        options: dict[int, bytes] = {}
        at = 0
        while at + 4 <= len(octets):
            code, length = struct.unpack_from(self._order + "HH", octets, at)
            if code == 0:
                break
            options[code] = octets[at + 4 : at + 4 + length]
            at += 4 + length + -length % 4
        return options

    def _packet(self, kind: int, body: int) -> _Packet:
        """Read an enhanced packet (section 4.3), or its obsolete forerunner."""
        layout = "IIIII" if kind == _ENHANCED_PACKET else "HxxIIII"
        number, high, low, captured, _ = self._head(body, layout)
        if captured > body - 20:
            raise _Damaged(f"packet of {captured} octets in a block with room for {body - 20}")
        interface = self._interface_of(number)
        self._time_ms = interface.time_ms(high, low)
        octets = _packet_octets(self._stream, captured)
        return _Packet(interface.link_type, self._time_ms, octets)

    def _simple_packet(self, body: int) -> _Packet:
        """Read a simple packet (section 4.4); it has no time, so the last one known stands in."""
        (original,) = self._head(body, "I")
        interface = self._interface_of(0)
        captured = min(original, body - 4, interface.snap_octets or original)
        octets = _packet_octets(self._stream, captured)
        return _Packet(interface.link_type, self._time_ms, octets)

    def _interface_of(self, number: int) -> _Interface:
        if number >= len(self._interfaces):
            found = len(self._interfaces)
            raise _Damaged(f"packet of interface {number}, {found} are described")
        return self._interfaces[number]
