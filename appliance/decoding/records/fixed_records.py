"""Data Records of fixed length, out of any number of Data Sets in a single step.

`fixed_records` finds the records of one layout, wherever their Sets lie in a block (RFC 7011
section 3.4.3); their fields become columns. Layouts with variable-length fields are left to
`records/scalar_records.py`, which is also the reference for these.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.records.scalar_records import as_objects
from appliance.decoding.templates.decode_plan import NATIVE, DecodePlan, Unsigned
from appliance.native import library
from appliance.native.records import read_numbers

Int = NDArray[np.int64]
_Span = tuple[int, int]
"""Offset of a number in its record, and its width."""

_WIRE = {length: np.dtype(f">u{length}") for length in NATIVE}


class FixedRecords:
    """Records of one length, in the memory that they came in.

    Numbers of a field are read when they are first asked for, together with those that were asked
    for of earlier records of this layout.

    Attributes
    ----------
    n_records
        Number of Data Records.
    """

    def __init__(self, plan: DecodePlan, flat: NDArray[np.uint8], starts: Int, counts: Int) -> None:
        """Store where records are.

        Parameters
        ----------
        flat, starts, counts
            As `fixed_records` takes and returns them; what is in `flat` must not change before all
            was read.
        """
        self.plan, self.n_records = plan, int(counts.sum())
        self._flat, self._starts, self._counts = flat, starts, counts
        self._numbers: dict[_Span, NDArray[Any]] = {}

    @cached_property
    def raw(self) -> NDArray[np.uint8]:
        """A copy of the records: uint8, shape (n_records, record length)."""
        return _gather(self._flat, self._starts, self._counts, self.plan.minimum_length)

    def unsigned(self, field: int) -> Unsigned:
        """Return the field as a native unsigned integer (reduced-size encoding included).

        Everybody gets the same array, which is not to be written into.
        """
        at, length = self.plan.offsets[field], self.plan.fields[field].length
        return self._number((at, length)) if length in NATIVE else self.halves(field)[1]

    def halves(self, field: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the last 16 octets of the field as two numbers, not to be written into."""
        at, length = self.plan.offsets[field], self.plan.fields[field].length
        if length == 16:
            return self._number((at, 8)), self._number((at + 8, 8))
        padded = np.zeros((self.n_records, 16), np.uint8)
        used = min(length, 16)
        padded[:, 16 - used :] = self.raw[:, at + length - used : at + length]
        pair = padded.reshape(-1).view(">u8").astype(np.uint64).reshape(-1, 2)
        return pair[:, 0], pair[:, 1]

    def _number(self, span: _Span) -> NDArray[Any]:
        if span not in self._numbers:
            wanted = self.plan.recall(_wanted_spans)
            wanted.add(span)
            self._read([each for each in wanted if each not in self._numbers])
        return self._numbers[span]

    def _read(self, spans: list[_Span]) -> None:
        if library.IS_AVAILABLE:
            size = self.plan.minimum_length
            columns = read_numbers(self._flat, self._starts, self._counts, size, spans)
        else:
            wire = (self.raw[:, at : at + width].view(_WIRE[width])[:, 0] for at, width in spans)
            columns = [column.astype(column.dtype.newbyteorder("=")) for column in wire]
        for span, column in zip(spans, columns, strict=True):
            column.flags.writeable = False
            self._numbers[span] = column

    def octets(self, field: int) -> NDArray[Any]:
        """Return a copy of the field's octets, dtype `V<length>`."""
        at, length = self.plan.offsets[field], self.plan.fields[field].length
        if length == 0:
            return as_objects([b""] * self.n_records)
        return np.ascontiguousarray(self.raw[:, at : at + length]).reshape(-1).view(f"V{length}")

    def floating(self, field: int) -> NDArray[np.float64]:
        """Return an IEEE 754 number of four or eight octets; NaN for other lengths."""
        length = self.plan.fields[field].length
        if length not in (4, 8):
            return np.full(self.n_records, np.nan)
        with np.errstate(invalid="ignore"):
            return self.unsigned(field).view(f"f{length}").astype(np.float64)

    def record(self, index: int) -> list[bytes]:
        """Return copies of all fields of one record."""
        row = self.raw[index].tobytes()
        fields = zip(self.plan.offsets, self.plan.fields, strict=True)
        return [row[at : at + field.length] for at, field in fields]


def fixed_records(
    plan: DecodePlan, flat: NDArray[np.uint8], starts: Int, lengths: Int
) -> tuple[FixedRecords, Int]:
    """Find the Data Records of many Data Sets of one fixed-length layout.

    Parameters
    ----------
    flat
        uint8, one dimension: the memory that the Sets lie in.
    starts, lengths
        int64, shape (n_sets,): offset of each Set's body in `flat`, and its octets.

    Returns
    -------
    FixedRecords, NDArray[int64]
        The records in the order of the Sets, and how many each Set held, shape (n_sets,).

    References
    ----------
    RFC 7011 sections 3.3.1 (padding) and 3.4.3.
    """
    size = plan.minimum_length
    counts = lengths // size
    return FixedRecords(plan, flat, starts, counts), counts


def _gather(flat: NDArray[np.uint8], starts: Int, counts: Int, size: int) -> NDArray[np.uint8]:
    if len(counts) and (counts == counts[0]).all():
        # Sets of one shape: whole bodies are copied, not single records.
        body = size * int(counts[0])
        if not body:
            return np.zeros((0, size), np.uint8)
        if len(starts) == 1:
            start = int(starts[0])
            return flat[start : start + body].reshape(-1, size).copy()
        bodies = np.ndarray((flat.size - body + 1,), f"V{body}", flat, 0, (1,))[starts]
        return bodies.view(np.uint8).reshape(-1, size)
    first = np.cumsum(counts) - counts
    total = int(counts.sum())
    at = np.repeat(starts - first * size, counts) + np.arange(total) * size
    if not total:
        return np.zeros((0, size), np.uint8)
    records = np.ndarray((flat.size - size + 1,), f"V{size}", flat, 0, (1,))[at]
    return records.view(np.uint8).reshape(-1, size)


def _wanted_spans(_plan: DecodePlan) -> set[_Span]:
    """Begin to collect what is asked for of a layout, for the one thread that decodes; what was
    asked for once is read ever after."""
    return set()
