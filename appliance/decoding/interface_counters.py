"""Counters of interfaces that exporters send by themselves, such as sFlow's counter samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOT_COUNTED = (1 << 64) - 1
"""In `in_octets` and `out_octets`: the exporter does not count them."""

DOWN, UP, STATE_UNKNOWN = 0, 1, -1


@dataclass(frozen=True, slots=True)
class InterfaceCounters:
    """Counters of interfaces, in the order in which they came; arrays of shape (n,).

    Their time, the uptime of who counts and the observation domain are those of their datagrams.

    Attributes
    ----------
    version
        The protocol, as `export_protocol_version` has it.
    datagram
        int64: the row of the block that each came in.
    exporter_hi, exporter_lo
        uint64: halves of the address of the device, as its flows have it.
    if_index
        int64: the interface (RFC 2863).
    speed
        uint64: bits a second; 0 where it is not told.
    state
        int8: `UP`, `DOWN` (ifOperStatus) or `STATE_UNKNOWN`.
    in_octets, out_octets
        uint64: since the device's start; `NOT_COUNTED` where there are none.
    """

    version: int
    datagram: NDArray[np.int64]
    exporter_hi: NDArray[np.uint64]
    exporter_lo: NDArray[np.uint64]
    if_index: NDArray[np.int64]
    speed: NDArray[np.uint64]
    state: NDArray[np.int8]
    in_octets: NDArray[np.uint64]
    out_octets: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.datagram)
