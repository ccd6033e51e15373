"""Reads pmacct's `networks_file` and looks addresses up in it, whole columns at a time.

A line is `network`, `AS,network`, `next hop,AS,network` or `label,next hop,AS,network`; an AS may
be written `peer_origin`. The longest prefix that holds an address counts. Follows nfacctd 1.7.7.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.flows import address_halves
from appliance.plugins.pmacct.configuration.config import at_line, is_comment, read_lines
from appliance.plugins.pmacct.configuration.keys import leading_number
from appliance.settings.types import Network

NO_ENTRY = 0
"""The number of the entry that an address has which no network holds; all of it is zero."""

_V4_BITS = 96
_ALL = 2**64 - 1
_KEY = "S16"
"""An address as 16 octets, which sort as the addresses do."""

UInt64 = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """One line; `next_hop` is empty where it names none."""

    network: Network
    origin_as: int = 0
    peer_as: int = 0
    next_hop: str = ""


@dataclass(frozen=True, slots=True)
class NetworksTable:
    """The networks of a file.

    Attributes
    ----------
    origin_as, peer_as
        uint32, by the number of an entry; entry `NO_ENTRY` is zero.
    length
        uint8, of its prefix.
    next_hop_hi, next_hop_lo
        uint64, the halves of its next hop; zero where it names none.
    warnings
        A sentence for each line that was ignored.
    """

    origin_as: NDArray[np.uint32]
    peer_as: NDArray[np.uint32]
    length: NDArray[np.uint8]
    next_hop_hi: UInt64
    next_hop_lo: UInt64
    warnings: tuple[str, ...] = ()
    _by_bits: tuple[tuple[int, bool, NDArray[Any], NDArray[np.int64]], ...] = field(default=())

    def entries(self, hi: UInt64, lo: UInt64) -> NDArray[np.int64]:
        """Return the number of the entry of each address, given by halves of equal length."""
        found = np.full(len(hi), NO_ENTRY, np.int64)
        is_v4 = (hi == 0) & (lo >> np.uint64(32) == np.uint64(0xFFFF))
        for bits, of_v4, keys, numbers in self._by_bits:
            rows = np.flatnonzero((found == NO_ENTRY) & (is_v4 == of_v4))
            if not len(rows):
                continue
            wanted = _keys(hi[rows], lo[rows], bits)
            places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            fits = keys[places] == wanted
            found[rows[fits]] = numbers[places[fits]]
        return found


def read_networks(path: Path) -> NetworksTable:
    """Read a file of networks.

    Raises
    ------
    SettingsError
        The file cannot be read.
    """
    entries: list[NetworkEntry] = []
    warnings: list[str] = []
    for number, text in enumerate(read_lines(path), 1):
        if is_comment(text):
            continue
        try:
            entries.append(_entry(text.strip()))
        except ValueError as problem:
            warnings.append(f"[{at_line(path, number)}] {problem} Ignoring.")
    return networks_table(entries, warnings)


def networks_table(entries: list[NetworkEntry], warnings: list[str]) -> NetworksTable:
    """Return the table of entries; of two with one network the later counts."""
    hops = [address_halves(e.next_hop) if e.next_hop else (0, 0) for e in entries]
    return NetworksTable(
        np.array([0, *(e.origin_as for e in entries)], np.uint32),
        np.array([0, *(e.peer_as for e in entries)], np.uint32),
        np.array([0, *(e.network.prefixlen for e in entries)], np.uint8),
        np.array([0, *(hi for hi, _ in hops)], np.uint64),
        np.array([0, *(lo for _, lo in hops)], np.uint64),
        tuple(warnings),
        tuple(_by_bits(entries)),
    )


def _by_bits(
    entries: list[NetworkEntry],
) -> list[tuple[int, bool, NDArray[Any], NDArray[np.int64]]]:
    """Return sorted networks and the numbers of their entries, the longest prefixes first."""
    kinds: dict[tuple[int, bool], dict[tuple[int, int], int]] = {}
    for number, entry in enumerate(entries, 1):
        of_v4 = entry.network.version == 4
        bits = entry.network.prefixlen + (_V4_BITS if of_v4 else 0)
        halves = address_halves(str(entry.network.network_address))
        kinds.setdefault((bits, of_v4), {})[halves] = number
    tables = []
    for (bits, of_v4), networks in sorted(kinds.items(), reverse=True):
        hi, lo = (np.array([h[i] for h in networks], np.uint64) for i in (0, 1))
        keys, numbers = _keys(hi, lo, bits), np.array(list(networks.values()), np.int64)
        order = np.argsort(keys)
        tables.append((bits, of_v4, keys[order], numbers[order]))
    return tables


def _keys(hi: UInt64, lo: UInt64, bits: int) -> NDArray[Any]:
    """Return addresses as octets, cut to the first bits."""
    mask = ((1 << bits) - 1) << (128 - bits)
    octets = np.empty((len(hi), 2), ">u8")
    octets[:, 0], octets[:, 1] = hi & np.uint64(mask >> 64), lo & np.uint64(mask & _ALL)
    return octets.view(_KEY).reshape(-1)


def _entry(text: str) -> NetworkEntry:
    """Return the entry of a line; `ValueError` says why there is none."""
    *before, written = text.split(",")
    if "/" not in written:
        raise ValueError("Missing '/' separator.")
    try:
        network: Network = ipaddress.ip_network(written.strip(), strict=False)
    except ValueError:
        raise ValueError(f"Invalid network '{written}'.") from None
    peer, underscore, origin = (before[-1] if before else "").strip().partition("_")
    numbers = (origin, peer) if underscore else (peer, "")
    origin_as, peer_as = (leading_number(number) for number in numbers)
    if not (0 <= origin_as < 2**32 and 0 <= peer_as < 2**32):
        raise ValueError(f"Invalid AS number '{before[-1]}'.")
    hop = before[-2].strip() if len(before) >= 2 else ""
    try:
        next_hop = str(ipaddress.ip_address(hop)) if hop else ""
    except ValueError:
        raise ValueError(f"Invalid next hop '{hop}'.") from None
    return NetworkEntry(network, origin_as, peer_as, next_hop)
