"""Conditions on flows, evaluated on whole columns: what the rules of maps and filters are made of.

A `Predicate` names the columns of `appliance.flows` that it reads and turns them into a mask of
rows; `&`, `|` and `~` combine predicates. How a condition is written is left to its readers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.flows import address_halves, octets_column
from appliance.settings.types import Network

Columns = Callable[[str], Any]
"""Return a column by its name: an array with a value for each row, or one value for all of them.
The octets of an element are read as a number; behind `PRESENT` their name asks whether they are
there."""

PRESENT = "present_"

Mask = NDArray[np.bool_]

SOURCE, DESTINATION = "source_address", "destination_address"
_ALL = 2**64 - 1
_V4_PREFIX = np.uint64(0xFFFF)
_BITS_OF_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition on flows.

    Attributes
    ----------
    columns
        The columns that it reads.
    mask
        Returns which rows fulfil it, of the shape that the columns have: () where each of them is
        one value for all rows.
    """

    columns: frozenset[str]
    mask: Callable[[Columns], Mask]

    def __and__(self, other: Predicate) -> Predicate:
        """Return a predicate that both must fulfil."""
        return Predicate(
            self.columns | other.columns, lambda columns: self.mask(columns) & other.mask(columns)
        )

    def __or__(self, other: Predicate) -> Predicate:
        """Return a predicate that one of them must fulfil."""
        return Predicate(
            self.columns | other.columns, lambda columns: self.mask(columns) | other.mask(columns)
        )

    def __invert__(self) -> Predicate:
        """Return the opposite."""
        return Predicate(self.columns, lambda columns: ~self.mask(columns))


def everything() -> Predicate:
    """Return a predicate that each row fulfils."""
    return Predicate(frozenset(), lambda columns: np.asarray(True))


def is_one_of(column: str, values: Sequence[int]) -> Predicate:
    """Return a predicate: the column has one of the values."""
    numbers = tuple(values)

    def mask(columns: Columns) -> Mask:
        found = np.asarray(columns(column))
        if len(numbers) == 1:
            return np.asarray(found == numbers[0])
        return np.isin(found, numbers)

    return Predicate(frozenset((column,)), mask)


def has_element(element: int) -> Predicate:
    """Return a predicate: the record has an element of IANA's, whatever its value."""
    name = octets_column(0, element)
    return Predicate(
        frozenset((name,)), lambda columns: np.asarray(columns(PRESENT + name), np.bool_)
    )


def is_between(column: str, low: int, high: int) -> Predicate:
    """Return a predicate: low <= column <= high."""

    def mask(columns: Columns) -> Mask:
        found = np.asarray(columns(column))
        return np.asarray((found >= low) & (found <= high))

    return Predicate(frozenset((column,)), mask)


def has_bits(column: str, bits: int) -> Predicate:
    """Return a predicate: the column has one of the bits at least."""

    def mask(columns: Columns) -> Mask:
        return np.asarray(np.asarray(columns(column)).astype(np.uint64) & np.uint64(bits) != 0)

    return Predicate(frozenset((column,)), mask)


def is_inside(address: str, network: Network) -> Predicate:
    """Return a predicate: an address is in a network.

    Parameters
    ----------
    address
        The columns of it, without `_hi` and `_lo`. An IPv4 address is in no IPv6 network, not even
        in ::/0.
    """
    hi, lo = (np.uint64(half) for half in address_halves(str(network.network_address)))
    length = network.prefixlen + (96 if network.version == 4 else 0)
    bits = ((1 << length) - 1) << (128 - length)
    high, low = np.uint64(bits >> 64), np.uint64(bits & _ALL)
    family = is_v4(address) if network.version == 4 else ~is_v4(address)
    names = halves(address)

    def mask(columns: Columns) -> Mask:
        hi_column, lo_column = (np.asarray(columns(name), np.uint64) for name in names)
        inside = (hi_column & high == hi) & (lo_column & low == lo)
        return np.asarray(inside) & family.mask(columns)

    return Predicate(frozenset(names), mask)


def is_v4(address: str) -> Predicate:
    """Return a predicate: an address is one of IPv4."""
    hi, lo = halves(address)

    def mask(columns: Columns) -> Mask:
        mapped = np.asarray(columns(lo), np.uint64) >> _BITS_OF_HALF == _V4_PREFIX
        return np.asarray((np.asarray(columns(hi), np.uint64) == 0) & mapped)

    return Predicate(frozenset((hi, lo)), mask)


def is_ip(version: int) -> Predicate:
    """Return a predicate: the flow is one of IPv4 or of IPv6, by its addresses."""
    v4 = is_v4(SOURCE) | is_v4(DESTINATION)
    return v4 if version == 4 else ~v4


def halves(address: str) -> tuple[str, str]:
    """Return the columns of an address."""
    return f"{address}_hi", f"{address}_lo"
