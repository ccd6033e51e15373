"""Which of some ranges each address of a batch is in, at a cost of nanoseconds.

IPv4 addresses are looked up as in a router (DIR-24-8): in a table by the first 24 bits, and in one
by the last 8 for each /24 that a range divides. Whatever addresses come, each costs the same few
accesses to memory; nothing is sorted, and there is no cache that strangers could fill.
Of IPv6 the first 64 bits are searched; only where a range divides a /64, all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.flows import V4_MAPPED, AnyArray, constant, is_constant
from appliance.plugins.names.ranges import V6_KEY, AddressRanges, Numbers

_PAGE = 256
_BLOCKS = 1 << 24
_LAST_V4 = np.uint64(0xFFFF_FFFF)
_LAST_HALF = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_FEW = 10_000
"""Up to so many ranges a loop over them is quick."""


class AddressIndex:
    """Finds the number of the range that an address is in.

    Parameters
    ----------
    ranges
        For the whole internet the tables take 64 MB, and 1 kB for each /24 that is divided; for a
        few networks no more memory than what these hold.
    """

    def __init__(self, ranges: AddressRanges) -> None:
        self._blocks, self._divided = _v4_tables(ranges.v4_starts, ranges.v4_numbers)
        self._ranges = ranges
        halves = _halves_of(ranges.v6_starts)
        # Of the ranges that begin in one /64 the last one counts beyond it.
        is_last = np.append(halves[1:, 0] != halves[:-1, 0], True)
        self._hi_starts = halves[is_last, 0]
        self._hi_numbers = ranges.v6_numbers[is_last]
        # The last one stands for the end, so that each search ends at one.
        self._divided_hi = np.unique(np.append(halves[halves[:, 1] != 0, 0], _LAST_HALF))

    def numbers(self, hi: AnyArray, lo: AnyArray) -> NDArray[np.int32]:
        """Return the number of the range of each address.

        Parameters
        ----------
        hi, lo
            uint64 halves, shape (n,), at least one, IPv4 as ::ffff:a.b.c.d.
        """
        if len(lo) > 1 and is_constant(hi) and is_constant(lo):
            return constant(self.numbers(hi[:1], lo[:1]), len(lo))
        # Of what is no IPv4 address the difference is beyond 32 bits, as it wraps.
        v4 = lo - np.uint64(V4_MAPPED)
        numbers = self._v4_numbers(v4.view(np.int64))
        has_hi = not is_constant(hi) or hi[0] != 0
        if has_hi or v4.max() > _LAST_V4:
            rows = np.flatnonzero((v4 > _LAST_V4) | (hi != 0))
            numbers[rows] = self._v6_numbers(hi[rows], lo[rows])
        return numbers

    def _v4_numbers(self, v4: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return numbers of IPv4 addresses; of others any, without an error."""
        numbers: NDArray[np.int32] = self._blocks.take(v4 >> 8, mode="clip")
        if self._divided.size:
            is_divided = numbers < 0
            if is_divided.any():
                rows = np.flatnonzero(is_divided)
                pages = ~numbers[rows]
                numbers[rows] = self._divided[pages, v4[rows] & 0xFF]
        return numbers

    def _v6_numbers(self, hi: AnyArray, lo: AnyArray) -> NDArray[np.int32]:
        numbers: NDArray[np.int32] = self._hi_numbers[
            np.searchsorted(self._hi_starts, hi, "right") - 1
        ]
        is_divided = self._divided_hi[np.searchsorted(self._divided_hi, hi)] == hi
        if is_divided.any():
            rows = np.flatnonzero(is_divided)
            keys = np.empty((len(rows), 2), ">u8")
            keys[:, 0], keys[:, 1] = hi[rows], lo[rows]
            ends = np.searchsorted(self._ranges.v6_starts, keys.view(V6_KEY).reshape(-1), "right")
            numbers[rows] = self._ranges.v6_numbers[ends - 1]
        return numbers


def _halves_of(starts: AnyArray) -> NDArray[np.uint64]:
    return starts.view(">u8").reshape(-1, 2).astype(np.uint64)


def _v4_tables(
    starts: NDArray[np.uint32], numbers: Numbers
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the tables of IPv4.

    Returns
    -------
    ndarray, shape (2**24,)
        Numbers by the first 24 bits; of a /24 that a range divides ~n, its place in the other.
    ndarray, shape (n_divided, 256)
        Numbers by the last 8 bits.
    """
    wide = starts.astype(np.int64)
    blocks = _repeat_until_next(-(-wide // _PAGE), numbers, _BLOCKS)
    is_inside = wide % _PAGE != 0
    divided, rank = np.unique(wide[is_inside] // _PAGE, return_inverse=True)
    places = np.concatenate(
        [np.arange(len(divided)) * _PAGE, rank * _PAGE + wide[is_inside] % _PAGE]
    )
    values = np.concatenate([blocks[divided], numbers[is_inside]])
    order = np.argsort(places, kind="stable")
    size = len(divided) * _PAGE
    in_divided = _repeat_until_next(places[order], values[order], size).reshape(-1, _PAGE)
    blocks[divided] = ~np.arange(len(divided), dtype=np.int32)
    return blocks, in_divided


def _repeat_until_next(places: NDArray[np.int64], values: Numbers, size: int) -> NDArray[np.int32]:
    """Return an array in which each value goes from its place to the next one's."""
    ends = np.append(places, size)[1:]
    if len(values) > _FEW:
        return np.repeat(values, ends - places)
    # Memory that is not written to is not there either.
    array = np.zeros(size, np.int32)
    for place, end, value in zip(places.tolist(), ends.tolist(), values.tolist(), strict=True):
        if value:
            array[place:end] = value
    return array
