"""Which addresses become which: Crypto-PAn within networks, remembered for those seen often."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance import Settings, SettingsError
from appliance.flows import V4_MAPPED
from appliance.plugins.anonymise.anonymise_settings import KEY_FILE, NETWORKS, networks_of
from appliance.plugins.anonymise.crypto_pan import CryptoPan
from appliance.plugins.anonymise.key_files import read_key
from appliance.settings.types import Network

CACHE_BITS = 17
PIECE_ADDRESSES = 4096
"""So many new addresses are computed at once, some 10 MB of blocks of a cipher."""

Half = NDArray[np.uint64]
Halves = tuple[Half, Half]
_LOW = 0xFFFF_FFFF_FFFF_FFFF
_V4_NETWORK_BITS = 96
_TOP = np.uint64(32)


@dataclass(frozen=True, slots=True)
class _Masked:
    """A network in 128 bits, IPv4 as ::ffff:a.b.c.d, by halves; `host` are the bits that change."""

    mask: tuple[np.uint64, np.uint64]
    base: tuple[np.uint64, np.uint64]
    host: tuple[np.uint64, np.uint64]
    is_v4: bool


class _Way:
    """Places for addresses: each has one, where the last one that needs it stands.

    Which place that is is secret, so that nobody makes all addresses need the same. There are two
    ways, so that two that are seen often seldom have no other place.
    """

    def __init__(self) -> None:
        n = 1 << CACHE_BITS
        self._known, self._replaced = np.zeros((2, n), np.uint64), np.zeros((2, n), np.uint64)
        self._factors = [np.uint64(secrets.randbits(64) | 1) for _ in range(3)]
        self._shift = np.uint64(64 - CACHE_BITS)

    def find(self, hi: Half, lo: Half) -> tuple[Half, Half, NDArray[np.bool_]]:
        """Return what stands for addresses, and for which of them that is so."""
        places = self._places(hi, lo)
        is_known = (self._known[1][places] == lo) & (self._known[0][places] == hi)
        return self._replaced[0][places], self._replaced[1][places], is_known

    def keep(self, addresses: Halves, replaced: Halves) -> None:
        """Remember distinct addresses."""
        places = self._places(*addresses)
        # Of two with one place any may stand there, but all halves of the same one.
        _, rows = np.unique(places, return_index=True)
        for half in (0, 1):
            self._known[half][places[rows]] = addresses[half][rows]
            self._replaced[half][places[rows]] = replaced[half][rows]

    def _places(self, hi: Half, lo: Half) -> Half:
        """Return where addresses stand; mixed twice, as they have many bits in common."""
        mixed = hi * self._factors[0] + lo * self._factors[1]
        mixed ^= mixed >> _TOP
        return (mixed * self._factors[2]) >> self._shift


class AddressMap:
    """Replaces the addresses of some networks; used by one thread.

    The bits of a network's prefix stay, so that no address leaves its network, and no two become
    the same. That there is no address (:: and 0.0.0.0) stays so.

    Parameters
    ----------
    networks
        Of both IP versions, none within another.
    """

    def __init__(self, pan: CryptoPan, networks: Sequence[Network]) -> None:
        self._pan = pan
        self._networks = [_masked(network) for network in networks]
        v6_lengths = [network.prefixlen for network in networks if network.version == 6]
        self._first_v6_bit = min(v6_lengths, default=128)
        self._ways = (_Way(), _Way())
        self._random = np.random.default_rng()

    def replace(self, hi: Half, lo: Half) -> Halves:
        """Return what stands for addresses, IPv4 as ::ffff:a.b.c.d, by halves."""
        first, second = self._ways
        new_hi, new_lo, is_known = first.find(hi, lo)
        if is_known.all():
            return new_hi, new_lo
        rows = np.flatnonzero(~is_known)
        new_hi[rows], new_lo[rows], is_known = second.find(hi[rows], lo[rows])
        if not is_known.all():
            rows = rows[~is_known]
            new_hi[rows], new_lo[rows] = self._distinct(hi[rows], lo[rows])
        return new_hi, new_lo

    def _distinct(self, hi: Half, lo: Half) -> Halves:
        """Compute each distinct address once, and remember it."""
        keys = np.empty((len(lo), 2), ">u8")
        keys[:, 0], keys[:, 1] = hi, lo
        # As 16 octets they sort as numbers; of one length, so that final zeros make no difference.
        _, first, inverse = np.unique(
            keys.view("S16").reshape(-1), return_index=True, return_inverse=True
        )
        hi, lo = hi[first], lo[first]
        pieces = [
            self.computed(hi[start : start + PIECE_ADDRESSES], lo[start : start + PIECE_ADDRESSES])
            for start in range(0, len(lo), PIECE_ADDRESSES)
        ]
        new_hi, new_lo = (np.concatenate([piece[half] for piece in pieces]) for half in (0, 1))
        # By chance: two that push each other out find places in time.
        chosen = self._random.integers(0, 2, len(lo))
        for number, way in enumerate(self._ways):
            rows = np.flatnonzero(chosen == number)
            way.keep((hi[rows], lo[rows]), (new_hi[rows], new_lo[rows]))
        return new_hi[inverse], new_lo[inverse]

    def computed(self, hi: Half, lo: Half) -> Halves:
        """Return what stands for addresses, without what is remembered."""
        keep = self._changing_bits(hi, lo)
        flips = np.zeros_like(hi), np.zeros_like(lo)
        is_v4 = _is_v4(hi, lo)
        changes = (keep[0] | keep[1]) != 0
        if (rows := np.flatnonzero(is_v4 & changes)).size:
            flips[1][rows] = self._pan.flips_v4(lo[rows].astype(np.uint32))
        if (rows := np.flatnonzero(~is_v4 & changes)).size:
            flips[0][rows], flips[1][rows] = self._pan.flips_v6(
                hi[rows], lo[rows], self._first_v6_bit
            )
        return hi ^ (flips[0] & keep[0]), lo ^ (flips[1] & keep[1])

    def _changing_bits(self, hi: Half, lo: Half) -> Halves:
        """Return the bits of each address that may change: those of the host in its network."""
        bits = np.zeros_like(hi), np.zeros_like(lo)
        is_v4 = _is_v4(hi, lo)
        for network in self._networks:
            inside = (hi & network.mask[0] == network.base[0]) & (
                lo & network.mask[1] == network.base[1]
            )
            inside &= is_v4 == network.is_v4
            for half in (0, 1):
                bits[half][inside] = network.host[half]
        nothing = (hi == 0) & ((lo == 0) | (lo == np.uint64(V4_MAPPED)))
        for half in (0, 1):
            bits[half][nothing] = 0
        return bits


def _is_v4(hi: Half, lo: Half) -> NDArray[np.bool_]:
    return np.asarray((hi == 0) & (lo >> _TOP == np.uint64(V4_MAPPED >> 32)), np.bool_)


def _masked(network: Network) -> _Masked:
    is_v4 = network.version == 4
    length = network.prefixlen + (_V4_NETWORK_BITS if is_v4 else 0)
    host = (1 << (128 - length)) - 1
    base = int(network.network_address) | (V4_MAPPED if is_v4 else 0)
    return _Masked(_split(~host & (1 << 128) - 1), _split(base), _split(host), is_v4)


def _split(number: int) -> tuple[np.uint64, np.uint64]:
    return np.uint64(number >> 64), np.uint64(number & _LOW)


def address_map_of(settings: Settings) -> AddressMap:
    """Return the map that is configured.

    Raises
    ------
    SettingsError
        There is no key, or no network behind a word.
    """
    networks = networks_of(settings)
    if not networks:
        problem = "inside stands for networks and local_networks, and neither names a network"
        raise SettingsError(problem, file=settings.file, key=NETWORKS.name)
    try:
        key = read_key(settings[KEY_FILE])
    except SettingsError as error:
        raise SettingsError(error.problem, file=settings.file, key=error.key) from None
    return AddressMap(CryptoPan(key), networks)
