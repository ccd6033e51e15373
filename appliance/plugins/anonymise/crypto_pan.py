"""Crypto-PAn: addresses to other addresses, so that two that share a prefix still do.

J. Xu, J. Fan, M. Ammar, S. Moon, "Prefix-preserving IP address anonymization" (ICNP 2002): bit i of
an address is flipped by the first bit of a block cipher of the i bits before it, padded. The
cipher is AES-128 with the first half of the key; the padding is its output of the second half.
Addresses of IPv6 are done alike, as nfanon and yacryptopan do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

BLOCK_OCTETS = 16
V4_BITS, HALF_BITS = 32, 64
_TABLE_BITS = 16
_WHOLE = (1 << HALF_BITS) - 1
_PREFIXES = np.array([_WHOLE ^ (_WHOLE >> n) for n in range(HALF_BITS)], np.uint64)
"""Masks of the bits before each bit."""

V4 = NDArray[np.uint32]
Half = NDArray[np.uint64]


class CryptoPan:
    """The flips of bits that one key makes; `address ^ flips` is the new address.

    Parameters
    ----------
    key
        32 octets.
    """

    def __init__(self, key: bytes) -> None:
        # The paper's algorithm: each block is by itself, and nobody sees more than one bit of it.
        self._cipher: Any = Cipher(algorithms.AES(key[:16]), modes.ECB())  # noqa: S305
        self._pad = np.frombuffer(self._encrypted(key[16:]), np.uint8)
        self._table = self._first_flips()

    def flips_v4(self, addresses: V4) -> V4:
        """Return the flips of IPv4 addresses; flips of the first 16 bits come from a table."""
        first = self._table[addresses >> np.uint32(_TABLE_BITS)].astype(np.uint32)
        rest = self._v4_bits(addresses, range(_TABLE_BITS, V4_BITS))
        low = _packed(rest).view(">u2")[:, 0]
        return np.asarray((first << np.uint32(_TABLE_BITS)) | low, np.uint32)

    def flips_v6(self, hi: Half, lo: Half, first: int = 0) -> tuple[Half, Half]:
        """Return the flips of IPv6 addresses by halves; those of bits before `first` may be 0.

        Those of the upper half depend on it alone, and are computed once for each network.
        """
        upper = np.zeros_like(hi)
        if first < HALF_BITS:
            distinct, places = np.unique(hi, return_inverse=True)
            upper = self._half_flips(None, distinct)[places]
        return upper, self._half_flips(hi, lo)

    def _half_flips(self, before: Half | None, half: Half) -> Half:
        """Return the flips of a half; `before` is the upper half where it is the lower one."""
        pad = self._pad.view(">u8").astype(np.uint64)
        place = 0 if before is None else 1
        blocks = np.empty((len(half), HALF_BITS, 2), ">u8")
        blocks[:, :, 1 - place] = pad[1] if before is None else before[:, None]
        blocks[:, :, place] = (half[:, None] & _PREFIXES) | (pad[place] & ~_PREFIXES)
        return _packed(self._first_bits(blocks)).view(">u8")[:, 0].astype(np.uint64)

    def _first_flips(self) -> NDArray[np.uint16]:
        """Return the flips of the first 16 bits, by these."""
        prefixes = np.arange(1 << _TABLE_BITS, dtype=np.uint32) << np.uint32(_TABLE_BITS)
        bits = np.empty((1 << _TABLE_BITS, _TABLE_BITS), np.uint8)
        for place in range(_TABLE_BITS):
            # As many addresses as there are prefixes of that length; each stands for some more.
            step = 1 << (_TABLE_BITS - place)
            few = self._v4_bits(prefixes[::step], range(place, place + 1))[:, 0]
            bits[:, place] = np.repeat(few, step)
        flips: NDArray[np.uint16] = _packed(bits).view(">u2")[:, 0].astype(np.uint16)
        return flips

    def _v4_bits(self, addresses: V4, places: range) -> NDArray[np.uint8]:
        """Return the flips of some bits, one octet each; shape (n, len(places))."""
        pad = self._pad.view(">u4").astype(np.uint32)
        blocks = np.empty((len(addresses), len(places), 4), ">u4")
        blocks[:, :, 1:] = pad[1:]
        for at, place in enumerate(places):
            mask = np.uint32(0xFFFF_FFFF ^ (0xFFFF_FFFF >> place))
            blocks[:, at, 0] = (addresses & mask) | (pad[0] & ~mask)
        return self._first_bits(blocks)

    def _first_bits(self, blocks: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the first bit of each encrypted block; shape of all but the last dimension."""
        shape = blocks.shape[:-1]
        encrypted = np.frombuffer(self._encrypted(blocks.tobytes()), np.uint8)
        return np.asarray(encrypted[::BLOCK_OCTETS] >> 7, np.uint8).reshape(shape)

    def _encrypted(self, octets: bytes) -> bytes:
        result: bytes = self._cipher.encryptor().update(octets)
        return result


def _packed(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return rows of bits as octets, the first bit the highest."""
    return np.packbits(bits, axis=1)
