"""A block of datagrams in memory: what the receiver fills and every decoder reads.

Rows are datagrams. All arrays have the same first dimension; the receiver reuses the memory, so
nothing that outlives the call to a decoder may be a view of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DatagramBlock:
    """Datagrams with who sent them and when they came.

    Attributes
    ----------
    octets
        uint8, shape (n, stride), C order; row i holds datagram i in its first `lengths[i]` octets.
    lengths
        int64, shape (n,); at most `stride`.
    address_hi, address_lo
        uint64, shape (n,): the exporter's address, IPv4 as ::ffff:a.b.c.d.
    port
        uint16 or uint64, shape (n,): the exporter's UDP port, or the number of its connection
        (`session_numbers`).
    received_ms
        int64, shape (n,): time of receipt, milliseconds UTC.
    """

    octets: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    address_hi: NDArray[np.uint64]
    address_lo: NDArray[np.uint64]
    port: NDArray[np.uint16] | NDArray[np.uint64]
    received_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: NDArray[np.intp] | slice) -> DatagramBlock:
        """Return the block of these rows; a slice copies nothing, an array what is in use."""
        stride = self.octets.shape[1]
        if not isinstance(rows, slice):
            stride = max(int(self.lengths[rows].max(initial=0)), 1)
        return DatagramBlock(
            self.octets[rows, :stride] if stride < self.octets.shape[1] else self.octets[rows],
            self.lengths[rows],
            self.address_hi[rows],
            self.address_lo[rows],
            self.port[rows],
            self.received_ms[rows],
        )

    def payload(self, row: int) -> bytes:
        """Return a copy of one datagram's octets."""
        return self.octets[row, : self.lengths[row]].tobytes()


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram by itself, as a capture file or a test has it."""

    payload: bytes
    address_hi: int
    address_lo: int
    port: int
    received_ms: int


def block_of(datagrams: Sequence[Datagram]) -> DatagramBlock:
    """Lay single datagrams into one block of exactly fitting stride."""
    n = len(datagrams)
    lengths = np.fromiter((len(d.payload) for d in datagrams), np.int64, n)
    stride = max(int(lengths.max(initial=0)), 1)
    octets = np.zeros((n, stride), np.uint8)
    for row, datagram in enumerate(datagrams):
        octets[row, : lengths[row]] = np.frombuffer(datagram.payload, np.uint8)
    return DatagramBlock(
        octets,
        lengths,
        np.fromiter((d.address_hi for d in datagrams), np.uint64, n),
        np.fromiter((d.address_lo for d in datagrams), np.uint64, n),
        _sessions(datagrams),
        np.fromiter((d.received_ms for d in datagrams), np.int64, n),
    )


def _sessions(datagrams: Sequence[Datagram]) -> NDArray[np.uint16] | NDArray[np.uint64]:
    sessions = np.fromiter((d.port for d in datagrams), np.uint64, len(datagrams))
    return sessions if sessions.max(initial=0) > 0xFFFF else sessions.astype(np.uint16)
