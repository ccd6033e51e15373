"""Preallocated memory for received datagrams, filled by recvmmsg(2) through ctypes or by a plain
loop.

A slot has two parts: `STRIDE` octets in a dense array, which ordinary export datagrams fit (a block
is then a view of it and stays in the cache), and the rest of what UDP can carry in an overflow area
whose pages the kernel hands out only when a larger datagram touches them. Measured on loopback,
1,464-octet datagrams received and copied once: dense rows 1.26 us a datagram, rows of 65,600 octets
1.38 us (1.52 on huge pages).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.collector.mmsghdr import (
    IOVEC,
    MESSAGES_PER_CALL,
    address_of,
    c_function,
    message_headers,
)
from appliance.flows import V4_MAPPED

STRIDE = 2112
"""Octets of a dense slot: above the usual 1,500; no power of two, for the sake of cache sets."""

SLOT_OCTETS = 65536
"""Both parts of a slot; UDP carries at most 65,507 octets over IPv4 and 65,527 over IPv6."""

_SOCKADDR = np.dtype(
    {
        "names": ["port", "v4", "hi", "lo"],
        "formats": [">u2", ">u4", ">u8", ">u8"],
        "offsets": [2, 4, 8, 16],
        "itemsize": 32,
    }
)
_SOCKADDR_OCTETS = 28


class Slots:
    """Memory for a fixed number of datagrams with their lengths and senders.

    Attributes
    ----------
    dense
        uint8, shape (n, STRIDE): the first octets of each datagram.
    overflow
        uint8, shape (n, SLOT_OCTETS - STRIDE): the octets beyond.
    lengths
        int64, shape (n,): octets of each datagram.
    address_hi, address_lo, port
        uint64, uint64 and uint16, shape (n,): the sender, IPv4 as ::ffff:a.b.c.d.
    """

    def __init__(self, n: int) -> None:
        self.dense = np.zeros((n, STRIDE), np.uint8)
        # mmap, because numpy asks for huge pages, which one large datagram would make resident.
        rest = SLOT_OCTETS - STRIDE
        memory = mmap.mmap(-1, n * rest)
        self.overflow = np.frombuffer(memory, np.uint8).reshape(n, rest)
        self.lengths = np.zeros(n, np.int64)
        self.address_hi = np.zeros(n, np.uint64)
        self.address_lo = np.zeros(n, np.uint64)
        self.port = np.zeros(n, np.uint16)

    def __len__(self) -> int:
        return len(self.lengths)


class SlotReader(Protocol):
    """Fills slots from a socket without waiting."""

    def read(self, sock: socket.socket, first: int) -> tuple[int, int]:
        """Fill slots from number `first` on.

        Returns
        -------
        tuple of int
            How many slots were filled, and how many of the datagrams were cut off by the kernel.

        Raises
        ------
        OSError
            The socket failed; having nothing to read is not a failure.
        """
        ...


_recvmmsg = c_function(
    "recvmmsg", ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p
)


def has_recvmmsg() -> bool:
    """Tell whether the C library has recvmmsg(2)."""
    return _recvmmsg is not None


class RecvmmsgReader:
    """Takes up to 1,024 datagrams a system call."""

    def __init__(self, slots: Slots) -> None:
        if _recvmmsg is None:
            raise RuntimeError("this platform has no recvmmsg")
        self._recvmmsg = _recvmmsg
        n = len(slots)
        self._slots = slots
        self._names = np.zeros(n, _SOCKADDR)
        self._iovecs = np.zeros((n, 2), IOVEC)
        rows = np.arange(n, dtype=np.uintp)
        for part, array in enumerate((slots.dense, slots.overflow)):
            self._iovecs["base"][:, part] = address_of(array) + rows * array.strides[0]
            self._iovecs["length"][:, part] = array.shape[1]
        self._headers = message_headers(self._iovecs)
        self._headers["header"]["name"] = address_of(self._names) + rows * _SOCKADDR.itemsize
        self._name_length = self._headers["header"]["name_length"]
        self._flags = self._headers["header"]["flags"]

    def read(self, sock: socket.socket, first: int) -> tuple[int, int]:
        """Fill slots from number `first` on; see `SlotReader.read`."""
        taken = truncated = 0
        while (wanted := min(len(self._slots) - first - taken, MESSAGES_PER_CALL)) > 0:
            rows = slice(first + taken, first + taken + wanted)
            n = self._call(sock, rows)
            rows = slice(rows.start, rows.start + n)
            self._decode(rows, sock.family)
            truncated += int(np.count_nonzero(self._flags[rows] & socket.MSG_TRUNC))
            taken += n
            if n < wanted:
                break
        return taken, truncated

    def _call(self, sock: socket.socket, rows: slice) -> int:
        self._name_length[rows] = _SOCKADDR_OCTETS
        n = self._recvmmsg(
            sock.fileno(),
            address_of(self._headers, rows.start),
            rows.stop - rows.start,
            socket.MSG_DONTWAIT,
            None,
        )
        if n >= 0:
            return n
        error = ctypes.get_errno()
        try:
            raise OSError(error, os.strerror(error))
        except (BlockingIOError, InterruptedError):
            return 0

    def _decode(self, rows: slice, family: int) -> None:
        slots, names = self._slots, self._names[rows]
        slots.lengths[rows] = self._headers["length"][rows]
        slots.port[rows] = names["port"]
        if family == socket.AF_INET6:
            slots.address_hi[rows] = names["hi"]
            slots.address_lo[rows] = names["lo"]
        else:
            slots.address_hi[rows] = 0
            slots.address_lo[rows] = names["v4"] | np.uint64(V4_MAPPED)


class LoopReader:
    """Takes one datagram a system call; for platforms without recvmmsg(2)."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def read(self, sock: socket.socket, first: int) -> tuple[int, int]:
        """Fill slots from number `first` on; see `SlotReader.read`."""
        truncated = 0
        for row in range(first, len(self._slots)):
            parts = [memoryview(self._slots.dense[row]), memoryview(self._slots.overflow[row])]
            try:
                length, _, flags, name = sock.recvmsg_into(parts, 0, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                return row - first, truncated
            truncated += bool(flags & socket.MSG_TRUNC)
            self._keep(row, length, sock.family, name)
        return len(self._slots) - first, truncated

    def _keep(self, row: int, length: int, family: int, name: Any) -> None:
        slots = self._slots
        octets = socket.inet_pton(family, name[0].partition("%")[0])
        number = int.from_bytes(octets) | (V4_MAPPED if len(octets) == 4 else 0)
        slots.lengths[row] = length
        slots.address_hi[row] = number >> 64
        slots.address_lo[row] = number & 0xFFFF_FFFF_FFFF_FFFF
        slots.port[row] = name[1]


def wide_rows(slots: Slots, rows: NDArray[np.intp], room: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay the chosen slots out as one array whose rows hold even their largest datagram.

    Parameters
    ----------
    rows
        Slot numbers.
    room
        Reused memory of at least `len(rows) * SLOT_OCTETS` octets.

    Returns
    -------
    ndarray of uint8, shape (len(rows), stride), a view of `room`
        The stride is the largest length, rounded up to a multiple of 64.
    """
    lengths = slots.lengths[rows]
    stride = -(-max(int(lengths.max(initial=0)), STRIDE) // 64) * 64
    wide = room[: len(rows) * stride].reshape(len(rows), stride)
    wide[:, :STRIDE] = slots.dense[rows]
    for at in np.flatnonzero(lengths > STRIDE):
        wide[at, STRIDE : lengths[at]] = slots.overflow[rows[at], : lengths[at] - STRIDE]
    return wide
