"""UDP packets that keep the address and port of who sent them first, for raw sockets.

Headers are made for many packets at once: RFC 791 section 3.1, RFC 8200 section 3, RFC 768. Raw
sockets need CAP_NET_RAW, see raw(7).
"""

from __future__ import annotations

import contextlib
import socket
from ipaddress import ip_address

import numpy as np
from numpy.typing import NDArray

from appliance.flows import V4_MAPPED
from appliance.settings.types import ListenAddress

HOP_LIMIT = 64
IP_TRANSPARENT, IPV6_TRANSPARENT = 19, 75
"""linux/in.h and linux/in6.h; Python's `socket` does not name them."""

_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _NEVER = 10, 23, 0

_UDP = [("source_port", ">u2"), ("port", ">u2"), ("udp_length", ">u2"), ("udp_checksum", ">u2")]
_V4 = np.dtype(
    [
        ("version", "u1"),
        ("service", "u1"),
        # Total length, identification and header checksum are filled in by the kernel.
        ("length", ">u2"),
        ("identification", ">u2"),
        ("fragment", ">u2"),
        ("hops", "u1"),
        ("protocol", "u1"),
        ("checksum", ">u2"),
        ("source", ">u4"),
        ("destination", ">u4"),
        *_UDP,
    ]
)
_V6 = np.dtype(
    [
        ("version", ">u4"),
        ("length", ">u2"),
        ("protocol", "u1"),
        ("hops", "u1"),
        ("source", ">u8", 2),
        ("destination", ">u8", 2),
        *_UDP,
    ]
)
_UDP_OCTETS = 8


def padded_stride(longest: int) -> int:
    """Return octets for rows of such datagrams: whole words, and one more to be zeroed."""
    return -(-longest // 4) * 4 + 4


class OriginalSource:
    """Makes the headers of packets to one target.

    Parameters
    ----------
    target
        Its address is a literal one.
    """

    def __init__(self, target: ListenAddress) -> None:
        address = ip_address(target.host)
        self._port, self.version = target.port, address.version
        self._is_local = address.is_loopback
        number = int(address)
        self._destination = (number >> 64, number & 0xFFFF_FFFF_FFFF_FFFF)

    def can_keep(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Tell of which exporters a packet to this target can bear the address.

        Not of those of the other IP version, and not, to another machine, of addresses that only
        mean something on this one (loopback, link-local): the network drops such packets.
        """
        is_v4 = (hi == 0) & (lo >> np.uint64(32) == V4_MAPPED >> 32)
        top = (lo >> np.uint64(24)) & np.uint64(0xFF)
        is_near = ((hi >> np.uint64(54)) == 0xFE80 >> 6) | ((hi == 0) & (lo <= 1))
        keeps = is_v4 & (top != 127) if self.version == 4 else ~is_v4 & ~is_near
        if self._is_local:
            keeps = is_v4 if self.version == 4 else ~is_v4
        return np.asarray(keeps, np.bool_)

    def headers(
        self,
        octets: NDArray[np.uint8],
        lengths: NDArray[np.int64],
        sender: tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint16]],
    ) -> NDArray[np.uint8]:
        """Return the IP and UDP headers of datagrams.

        Parameters
        ----------
        octets
            uint8, shape (n, stride), C order, stride as of `padded_stride`; the octets behind each
            datagram are changed.
        sender
            Halves of addresses, and ports.

        Returns
        -------
        ndarray of uint8, shape (n, 28 or 48)
        """
        hi, lo, port = sender
        headers = np.zeros(len(lengths), _V4 if self.version == 4 else _V6)
        headers["hops"], headers["protocol"] = HOP_LIMIT, socket.IPPROTO_UDP
        headers["source_port"], headers["port"] = port, self._port
        headers["udp_length"] = lengths + _UDP_OCTETS
        if self.version == 4:
            headers["version"] = 0x45
            headers["source"] = lo & np.uint64(0xFFFF_FFFF)
            headers["destination"] = self._destination[1]
        else:
            headers["version"] = 6 << 28
            headers["length"] = headers["udp_length"]
            headers["source"] = np.stack([hi, lo], axis=1)
            headers["destination"] = self._destination
        rows = headers.view(np.uint8).reshape(len(lengths), headers.dtype.itemsize)
        headers["udp_checksum"] = self._checksums(octets, lengths, rows)
        return rows

    def _checksums(
        self, octets: NDArray[np.uint8], lengths: NDArray[np.int64], rows: NDArray[np.uint8]
    ) -> NDArray[np.uint16]:
        """Return the checksums over pseudo header, UDP header and datagram (RFC 768)."""
        # Addresses and UDP header as they stand, then the rest of the pseudo header.
        covered = rows[:, 12 if self.version == 4 else 8 :].copy().view(">u2")
        sums = covered.sum(axis=1, dtype=np.uint64) + np.uint64(socket.IPPROTO_UDP)
        sums += (lengths + _UDP_OCTETS).astype(np.uint64)
        # A sum of 16-bit words does not depend on the order of octets (RFC 1071), nor on how many
        # words are added at once: four octets at a time, in this machine's order.
        folded = _fold(_word_sums(octets, lengths))
        total = _fold(sums + folded.astype("<u2").view(">u2").astype(np.uint64))
        checksum = ~total & np.uint16(0xFFFF)
        # RFC 768: zero means that there is none.
        return np.where(checksum == 0, np.uint16(0xFFFF), checksum)


def _word_sums(octets: NDArray[np.uint8], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the sum of each datagram's words of four octets, the last one padded by zeros."""
    n, stride = octets.shape
    tail = lengths[:, None] + np.arange(4)
    octets[np.arange(n)[:, None], tail] = 0
    words = octets.view("<u4").reshape(-1)
    ends = np.empty(2 * n, np.int64)
    ends[::2] = np.arange(n) * (stride // 4)
    ends[1::2] = ends[::2] + (lengths + 3) // 4
    sums: NDArray[np.uint64] = np.add.reduceat(words, ends, dtype=np.uint64)[::2]
    return np.where(lengths > 0, sums, np.uint64(0))


def _fold(sums: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Add the carries of ones' complement sums until 16 bits are left."""
    for bits in (32, 16, 16, 16):
        sums = (sums & np.uint64((1 << bits) - 1)) + (sums >> np.uint64(bits))
    return sums.astype(np.uint16)


def open_raw_socket(target: ListenAddress) -> socket.socket:
    """Open a socket that sends whole packets to a target.

    Raises
    ------
    PermissionError
        The process has no CAP_NET_RAW.
    OSError
        There is no way to the target.
    """
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW))
        # Nothing is read from it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.connect((target.host, 0))
        undo.pop_all()
    return sock


def send_in_fragments(payload: memoryview, source: tuple[str, int], target: ListenAddress) -> None:
    """Send one datagram that is larger than the way allows: the kernel makes fragments of it.

    A raw socket cannot do that. A socket that is bound to the exporter's address can, but serves
    one exporter only.

    Raises
    ------
    OSError
        The kernel does not do it.
    """
    is_v6 = ":" in target.host
    family = socket.AF_INET6 if is_v6 else socket.AF_INET
    level = socket.IPPROTO_IPV6 if is_v6 else socket.IPPROTO_IP
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(level, IPV6_TRANSPARENT if is_v6 else IP_TRANSPARENT, 1)
        sock.setsockopt(level, _IPV6_MTU_DISCOVER if is_v6 else _IP_MTU_DISCOVER, _NEVER)
        sock.bind(source)
        sock.sendto(payload, (target.host, target.port))
