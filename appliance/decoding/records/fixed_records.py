"""Data Records of fixed length, out of any number of Data Sets in a single numpy step.

`fixed_records` gathers the records of one layout, wherever their Sets lie in a block, into one
contiguous array (RFC 7011 section 3.4.3). Layouts with variable-length fields are left to
`scalar_records` of `decoding/templates/decode_plan.py`, which is also the reference for these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.records.scalar_records import as_objects
from appliance.decoding.templates.decode_plan import NATIVE, DecodePlan, Unsigned

Int = NDArray[np.int64]

_WIRE = {length: np.dtype(f">u{length}") for length in NATIVE}


@dataclass(frozen=True, slots=True)
class FixedRecords:
    """Records of one length as a contiguous array.

    Attributes
    ----------
    raw
        uint8, shape (n_records, record length); owned, not a view of the receive buffer.
    """

    plan: DecodePlan
    raw: NDArray[np.uint8]

    @property
    def n_records(self) -> int:
        """Number of Data Records."""
        return len(self.raw)

    def unsigned(self, field: int) -> Unsigned:
        """Return the field as a native unsigned integer (reduced-size encoding included)."""
        at, length = self.plan.offsets[field], self.plan.fields[field].length
        native = NATIVE.get(length)
        if native is None:
            return self.halves(field)[1]
        column: Unsigned = self.raw[:, at : at + length].view(_WIRE[length])[:, 0].astype(native)
        return column

    def halves(self, field: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the last 16 octets of the field as two numbers."""
        at, length = self.plan.offsets[field], self.plan.fields[field].length
        if length == 16:
            both = self.raw[:, at : at + 16].view(_WIRE[8])
            return both[:, 0].astype(np.uint64), both[:, 1].astype(np.uint64)
        padded = np.zeros((self.n_records, 16), np.uint8)
        used = min(length, 16)
        padded[:, 16 - used :] = self.raw[:, at + length - used : at + length]
        pair = padded.reshape(-1).view(">u8").astype(np.uint64).reshape(-1, 2)
        return pair[:, 0], pair[:, 1]

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
    """Gather the Data Records of many Data Sets of one fixed-length layout.

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
    if len(counts) and (counts == counts[0]).all():
        # Sets of one shape: whole bodies are copied, not single records.
        body = size * int(counts[0])
        if not body:
            return FixedRecords(plan, np.zeros((0, size), np.uint8)), counts
        if len(starts) == 1:
            start = int(starts[0])
            return FixedRecords(plan, flat[start : start + body].reshape(-1, size).copy()), counts
        bodies = np.ndarray((flat.size - body + 1,), f"V{body}", flat, 0, (1,))[starts]
        return FixedRecords(plan, bodies.view(np.uint8).reshape(-1, size)), counts
    first = np.cumsum(counts) - counts
    total = int(counts.sum())
    at = np.repeat(starts - first * size, counts) + np.arange(total) * size
    if not total:
        return FixedRecords(plan, np.zeros((0, size), np.uint8)), counts
    records = np.ndarray((flat.size - size + 1,), f"V{size}", flat, 0, (1,))[at]
    return FixedRecords(plan, records.view(np.uint8).reshape(-1, size)), counts
