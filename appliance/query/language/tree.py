"""What a filter says, as values: read by `parsing`, turned into SQL by `duckdb` and into a mask by
`masks`.

A comparison with a column that a record lacks does not hold; its negation does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Number: TypeAlias = int | float

Range: TypeAlias = tuple[Number | None, Number | None]
"""The lowest and the highest value, both included; None where there is no bound."""


@dataclass(frozen=True, slots=True)
class Always:
    """Every record."""


@dataclass(frozen=True, slots=True)
class And:
    """All of some filters hold."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of some filters holds."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """A filter does not hold."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class InRanges:
    """A number is in one of some ranges.

    Attributes
    ----------
    columns
        One of these must be in a range: both sides of a flow, or one column. A name of `RATES`
        instead of a column is calculated.
    """

    columns: tuple[str, ...]
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class InNetworks:
    """An address is in one of some networks.

    Attributes
    ----------
    columns
        Addresses, without `_hi` and `_lo`; one of them must be inside.
    networks
        First and last address as 128-bit numbers, IPv4 as ::ffff:a.b.c.d.
    """

    columns: tuple[str, ...]
    networks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class HasBits:
    """A number has all bits of one of some masks."""

    columns: tuple[str, ...]
    masks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HasText:
    """A text is one of some texts.

    Attributes
    ----------
    part
        It contains one of them, in whatever case.
    """

    columns: tuple[str, ...]
    texts: tuple[str, ...]
    part: bool = False


Comparison: TypeAlias = InRanges | InNetworks | HasBits | HasText
Filter: TypeAlias = Always | And | Or | Not | Comparison

RATES = ("duration", "bps", "pps", "bpp")
"""Milliseconds, bits and packets a second, octets a packet; whole numbers, rounded down. The rates
of a flow without duration or packets are 0, as nfdump has it."""
