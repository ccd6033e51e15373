"""What is known of ranges of addresses, flattened into sorted arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance.flows import V4_MAPPED, AnyArray

NOTHING = 0
"""The number of what is known of an address in no range."""

_LOW_32 = 0xFFFFFFFF
V6_KEY = "S16"
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
        The same of all addresses, of `V6_KEY`.
    """

    v4_starts: NDArray[np.uint32]
    v4_numbers: Numbers
    v6_starts: AnyArray
    v6_numbers: Numbers


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


def merge_ranges(many: Sequence[AddressRanges]) -> tuple[AddressRanges, list[Numbers]]:
    """Return ranges that no boundary of several others divides.

    Returns
    -------
    AddressRanges
        Each has a number for what is known together.
    list
        For each of `many`: its numbers, by the number of the merged ranges.
    """
    v4_starts = np.unique(np.concatenate([ranges.v4_starts for ranges in many]))
    v6_starts = np.unique(np.concatenate([ranges.v6_starts for ranges in many]))
    own = [
        np.concatenate(
            [
                ranges.v4_numbers[np.searchsorted(ranges.v4_starts, v4_starts, "right") - 1],
                ranges.v6_numbers[np.searchsorted(ranges.v6_starts, v6_starts, "right") - 1],
            ]
        )
        for ranges in many
    ]
    together = np.zeros(len(v4_starts) + len(v6_starts), np.int64)
    for numbers in own:
        # Made small again each time, so that no product is too large.
        together = np.unique(together * (int(numbers.max()) + 1) + numbers, return_inverse=True)[1]
    firsts = np.unique(together, return_index=True)[1]
    v4_numbers, v6_numbers = np.split(together.astype(np.int32), [len(v4_starts)])
    merged = AddressRanges(v4_starts, v4_numbers, v6_starts, v6_numbers)
    return merged, [numbers[firsts] for numbers in own]


def _from_starts(starts: list[int], numbers: list[int]) -> AddressRanges:
    v6_starts = np.frombuffer(b"".join(s.to_bytes(16) for s in starts), V6_KEY)
    v6_numbers = np.array(numbers, np.int32)
    # The pieces of ::ffff:0:0/96, the first from its beginning.
    bounds = [V4_MAPPED.to_bytes(16), (V4_MAPPED | _LOW_32).to_bytes(16)]
    first, end = np.searchsorted(v6_starts, np.array(bounds, V6_KEY), "right")
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
