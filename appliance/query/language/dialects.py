"""What every dialect of SQL makes of a filter in the same way."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.flows import COLUMN
from appliance.query.language.tree import Range

_Network = tuple[int, int]
"""First and last address as 128-bit numbers."""


def has_absent(column: str, one: Range) -> bool:
    """Tell whether a range holds the value of records without a column, which is stored as null.

    That is mostly 0, as nfdump has it: `tos 0` finds what exporters told no class of.
    """
    low, high = one
    if column not in COLUMN or COLUMN[column].dtype.kind != "u":
        return False
    absent = int(COLUMN[column].absent)
    return (low is None or low <= absent) and (high is None or absent <= high)


def bounds_within(one: Range, lowest: float, highest: float) -> Range | None:
    """Return a range without bounds that every number keeps; None where no number fits."""
    low, high = one
    if (high is not None and high < lowest) or (low is not None and low > highest):
        return None
    return (
        None if low is not None and low < lowest else low,
        None if high is not None and high > highest else high,
    )


def networks_by_length(
    networks: Sequence[_Network],
) -> tuple[dict[int, list[int]], list[_Network]]:
    """Sort networks by the length of their prefix: those of one length are a set to look into.

    Returns
    -------
    tuple
        First addresses by the number of bits that are not the network's; ranges that are none.
    """
    by_length: dict[int, list[int]] = {}
    ranges = []
    for first, last in networks:
        size = last - first + 1
        if size & (size - 1) or first % size:
            ranges.append((first, last))
        else:
            by_length.setdefault(size.bit_length() - 1, []).append(first)
    return by_length, ranges
