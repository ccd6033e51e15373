"""What is known of ranges of addresses, flattened into sorted arrays and looked up for whole
batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.flows import V4_MAPPED, AnyArray, is_constant

NOTHING = 0
"""The number of what is known of an address in no range."""

_V4_HIGH = V4_MAPPED >> 32
_LOW_32 = 0xFFFFFFFF
_V6_KEY = "S16"
"""128 bits, big-endian, so that octets are in the order of numbers."""

Numbers = NDArray[np.int32]


class AddressRange(NamedTuple):
    """Addresses from one to another, both included, as 128-bit numbers; IPv4 is ::ffff:a.b.c.d."""

    first: int
    last: int
    number: int


@dataclass(frozen=True, slots=True)
class AddressRanges:
    """Disjoint ranges that cover every address.

    Attributes
    ----------
    v4_starts
        Where each range of IPv4 begins, uint32, sorted, the first 0.
    v4_numbers
        The number of each.
    v6_starts, v6_numbers
        The same of all addresses, of `_V6_KEY`.
    """

    v4_starts: NDArray[np.uint32]
    v4_numbers: Numbers
    v6_starts: AnyArray
    v6_numbers: Numbers

    def values(self, addresses: SortedAddresses, values: AnyArray) -> AnyArray:
        """Return a value for each address of a batch.

        Parameters
        ----------
        values
            By the number of a range.
        """
        v4 = self.v4_numbers[np.searchsorted(self.v4_starts, addresses.v4, "right") - 1]
        v6 = self.v6_numbers[np.searchsorted(self.v6_starts, addresses.v6, "right") - 1]
        return addresses.expand(values[v4], values[v6])


class SortedAddresses:
    """The addresses of a batch, each once, and where each is; sorted once for several lookups.

    Sorting numbers that have their place in their low half takes a fraction of what sorting places
    does, and few distinct addresses are looked for.

    Attributes
    ----------
    v4
        Distinct IPv4 addresses, uint32, sorted; of other addresses the low 32 bits.
    v6
        Addresses that are not IPv4, of `_V6_KEY`, in the order of the batch.
    """

    def __init__(self, hi: AnyArray, lo: AnyArray) -> None:
        n = len(lo)
        keys = (lo << np.uint64(32)) | np.arange(n, dtype=np.uint64)
        keys.sort()
        sorted_v4 = (keys >> np.uint64(32)).astype(np.uint32)
        self._order = (keys & np.uint64(_LOW_32)).astype(np.intp)
        is_first = np.ones(n, np.bool_)
        np.not_equal(sorted_v4[1:], sorted_v4[:-1], out=is_first[1:])
        firsts = np.flatnonzero(is_first)
        self._counts = np.diff(np.append(firsts, n))
        self.v4 = sorted_v4[firsts]
        self._v6_rows = _rows_of_v6(hi, lo)
        halves = np.empty((len(self._v6_rows), 2), ">u8")
        halves[:, 0], halves[:, 1] = hi[self._v6_rows], lo[self._v6_rows]
        self.v6 = halves.view(_V6_KEY).reshape(-1)

    def expand(self, v4: AnyArray, v6: AnyArray) -> AnyArray:
        """Return a value for each address of the batch, from those of `v4` and `v6`."""
        values = np.empty(len(self._order), v4.dtype)
        values[self._order] = np.repeat(v4, self._counts)
        values[self._v6_rows] = v6
        return values


def _rows_of_v6(hi: AnyArray, lo: AnyArray) -> NDArray[np.intp]:
    is_v6 = lo >> np.uint64(32) != np.uint64(_V4_HIGH)
    if not (is_constant(hi) and len(hi) and hi[0] == 0):
        is_v6 |= hi != 0
    return np.flatnonzero(is_v6)


def flatten(ranges: Iterable[AddressRange]) -> AddressRanges:
    """Return disjoint ranges; of nested ones the smallest that holds an address counts."""
    starts, numbers = [0], [NOTHING]
    for start, number in _pieces(ranges):
        if start == starts[-1]:
            numbers[-1] = number
        elif number != numbers[-1]:
            starts.append(start)
            numbers.append(number)
    return _from_starts(starts, numbers)


def _from_starts(starts: list[int], numbers: list[int]) -> AddressRanges:
    v6_starts = np.frombuffer(b"".join(s.to_bytes(16) for s in starts), _V6_KEY)
    v6_numbers = np.array(numbers, np.int32)
    # The pieces of ::ffff:0:0/96, the first from its beginning.
    bounds = [V4_MAPPED.to_bytes(16), (V4_MAPPED | _LOW_32).to_bytes(16)]
    first, end = np.searchsorted(v6_starts, np.array(bounds, _V6_KEY), "right")
    v4_starts = np.array([0, *(s & _LOW_32 for s in starts[first:end])], np.uint32)
    return AddressRanges(v4_starts, v6_numbers[first - 1 : end], v6_starts, v6_numbers)


def _pieces(ranges: Iterable[AddressRange]) -> Iterator[tuple[int, int]]:
    """Yield where another number begins, in order; of several for one start the last counts."""
    open_ranges: list[AddressRange] = []
    for new in sorted(ranges, key=lambda r: (r.first, -r.last)):
        yield from _close_ranges(open_ranges, new.first)
        yield new.first, new.number
        open_ranges.append(new)
    yield from _close_ranges(open_ranges, 1 << 128)


def _close_ranges(open_ranges: list[AddressRange], before: int) -> Iterator[tuple[int, int]]:
    """Close the ranges that end before an address; what is around each goes on."""
    while open_ranges and open_ranges[-1].last < before:
        ended = open_ranges.pop()
        if ended.last + 1 < 1 << 128:
            yield ended.last + 1, open_ranges[-1].number if open_ranges else NOTHING
