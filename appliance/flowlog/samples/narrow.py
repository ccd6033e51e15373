"""A column of numbers in slots, in as few octets each as its numbers need.

Most columns of flows differ in their low bits only: times of one hour, IPv4 addresses, ports,
counters. The high bits that all have in common are kept once, and a column with one value takes no
memory a slot.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from appliance.flows import AnyArray

_WIDTHS = (0, 1, 2, 4, 8)


class NarrowColumn:
    """Numbers of a column, by slot.

    Attributes
    ----------
    dtype
        Of the column: of 1, 2, 4 or 8 octets.
    common
        The bits of a number that was put, as an unsigned integer; others may differ from it in
        their low octets, as many as `low` has. None before there is one.
    low
        The low octets of each slot, unsigned; None where all numbers are `common`.
    """

    def __init__(self, dtype: np.dtype[Any], capacity: int) -> None:
        self.dtype = dtype
        self.common: int | None = None
        self.low: AnyArray | None = None
        self._capacity = capacity
        self._bits_type = np.dtype(f"u{dtype.itemsize}")

    def begin(self, value: object) -> None:
        """Take a number as what others are compared with, if there is none."""
        if self.common is None:
            self.common = int(np.array(value, self.dtype).view(self._bits_type))

    def begin_with(self, values: Any, place: int) -> None:
        """Take one number of an Arrow array as that, if there is none."""
        if self.common is None:
            self.begin(values[int(place)].as_py())

    def put(self, values: AnyArray, slots: AnyArray, n_used: int) -> None:
        """Copy numbers to slots.

        Parameters
        ----------
        values
            Of any type that the column's holds.
        slots
            int64.
        n_used
            All slots that were ever put to, these too, are below.
        """
        if not len(values):
            return
        self.begin(values[0])
        bits = np.ascontiguousarray(values, self.dtype).view(self._bits_type)
        self.widen(int(np.bitwise_or.reduce(bits ^ self._bits_type.type(self.common))), n_used)
        if self.low is not None:
            self.low[slots] = bits.astype(self.low.dtype)

    def fill(self, value: object, slots: AnyArray, n_used: int) -> None:
        """Put one number to all of some slots."""
        self.put(np.broadcast_to(np.array(value, self.dtype), (len(slots),)), slots, n_used)

    def widen(self, differing: int, n_used: int) -> None:
        """Make room for numbers that differ from `common` in some bits, if there is none."""
        width = next(width for width in _WIDTHS if differing >> (8 * width) == 0)
        former = self.low
        if width <= (0 if former is None else former.itemsize):
            return
        # Memory that no row was put to is not taken: it stays zeros of the kernel's.
        self.low = np.zeros(self._capacity, f"u{width}")
        low_bits = (1 << 8 * width) - 1
        self.low[:n_used] = (self.common or 0) & low_bits
        if former is not None:
            known_bits = (1 << 8 * former.itemsize) - 1
            self.low[:n_used] &= self.low.dtype.type(low_bits & ~known_bits)
            self.low[:n_used] |= former[:n_used]

    def take(self, slots: AnyArray) -> AnyArray:
        """Return the numbers of some slots, of the column's type."""
        bits = np.full(len(slots), self.common or 0, self._bits_type)
        if self.low is not None:
            known_bits = (1 << 8 * self.low.itemsize) - 1
            bits &= self._bits_type.type(~known_bits & ((1 << 8 * self.dtype.itemsize) - 1))
            bits |= self.low[slots]
        return bits.view(self.dtype)

    def grow(self, capacity: int, n_used: int) -> None:
        """Make room for more slots."""
        self._capacity = capacity
        if self.low is not None:
            former, self.low = self.low, np.zeros(capacity, self.low.dtype)
            self.low[:n_used] = former[:n_used]
