"""Data Records out of Data Sets record by record, field by field.

It serves templates with variable-length fields (RFC 7011 section 7), and is the reference that
tests hold `fixed_records` against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.messages.faults import MalformedMessage
from appliance.decoding.templates.decode_plan import NATIVE, DecodePlan, Unsigned
from appliance.decoding.templates.template import VARIABLE_LENGTH


@dataclass(frozen=True, slots=True)
class ScalarRecords:
    """Records as lists of the octets of their fields.

    Attributes
    ----------
    fields
        For each record the octets of its `plan.filled` fields.
    """

    plan: DecodePlan
    fields: list[list[bytes]]

    @property
    def n_records(self) -> int:
        """Number of Data Records."""
        return len(self.fields)

    def unsigned(self, field: int) -> Unsigned:
        """Return the field as a native unsigned integer, as wide as its template says."""
        native = NATIVE.get(self.plan.fields[field].length, np.uint64)
        numbers = (int.from_bytes(value[-8:], "big") for value in self._values(field))
        return np.fromiter(numbers, native, self.n_records)

    def halves(self, field: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the last 16 octets of the field as two numbers."""
        numbers = [int.from_bytes(value[-16:], "big") for value in self._values(field)]
        hi = np.fromiter((n >> 64 for n in numbers), np.uint64, self.n_records)
        lo = np.fromiter((n & (1 << 64) - 1 for n in numbers), np.uint64, self.n_records)
        return hi, lo

    def octets(self, field: int) -> NDArray[Any]:
        """Return the field's octets; of one length as `V<length>`."""
        values = self._values(field)
        lengths = {len(value) for value in values}
        if len(lengths) == 1 and lengths != {0}:
            return np.frombuffer(b"".join(values), f"V{lengths.pop()}")
        return as_objects(values)

    def floating(self, field: int) -> NDArray[np.float64]:
        """Return an IEEE 754 number of four or eight octets; NaN for other lengths."""
        return np.array([_float(value) for value in self._values(field)], np.float64)

    def record(self, index: int) -> list[bytes]:
        """Return the fields of one record."""
        values = self.fields[index]
        return [b"" if slot is None else values[slot] for slot in self.plan.slots]

    def _values(self, field: int) -> list[bytes]:
        slot = self.plan.slots[field]
        return [b"" if slot is None else record[slot] for record in self.fields]


def scalar_records(plan: DecodePlan, body: memoryview, limit: int) -> tuple[list[list[bytes]], int]:
    """Split one Data Set record by record.

    Parameters
    ----------
    limit
        Records to take at most; the rest counts as padding.

    Returns
    -------
    list, int
        Records as lists of the octets of their `plan.filled` fields, and the octets of padding
        that were left.

    Raises
    ------
    MalformedMessage
        A variable-length field runs past the Set. `partial` of the error holds the records before
        it.
    """
    found: list[list[bytes]] = []
    position = 0
    while len(body) - position >= plan.minimum_length and len(found) < limit:
        try:
            record, position = _one_record(plan, body, position)
        except MalformedMessage as error:
            raise CutRecord(error.detail, found) from None
        found.append(record)
    return found, len(body) - position


class CutRecord(MalformedMessage):
    """A record that runs past its Set.

    Attributes
    ----------
    partial
        The whole records before it.
    """

    def __init__(self, detail: str, partial: list[list[bytes]]) -> None:
        super().__init__("record_cut", detail)
        self.partial = partial


def _one_record(plan: DecodePlan, body: memoryview, position: int) -> tuple[list[bytes], int]:
    record: list[bytes] = []
    for field in plan.filled:
        length = field.length
        if length == VARIABLE_LENGTH:
            length, position = variable_length(body, position)
        if length > len(body) - position:
            left = len(body) - position
            raise MalformedMessage(
                "record_cut", f"element {field.element}: {length} octets, {left} left in the set"
            )
        record.append(bytes(body[position : position + length]))
        position += length
    return record, position


def variable_length(body: memoryview, position: int) -> tuple[int, int]:
    """Read the length in front of a variable-length field (RFC 7011 section 7).

    Returns
    -------
    int, int
        Octets of the value, and where it starts. One octet, or 255 and two octets; both forms are
        taken for any value.

    Raises
    ------
    MalformedMessage
        The Set ends within the length.
    """
    left = len(body) - position
    if left < 1 or (body[position] == 255 and left < 3):
        raise MalformedMessage(
            "record_cut", f"the set ends in a field's length, {left} octets left"
        )
    if body[position] < 255:
        return body[position], position + 1
    return body[position + 1] << 8 | body[position + 2], position + 3


def _float(value: bytes) -> float:
    if len(value) not in (4, 8):
        return float("nan")
    return float(np.frombuffer(value, f">f{len(value)}")[0])


def as_objects(values: list[bytes]) -> NDArray[Any]:
    """Return octets of any lengths as an array of dtype object."""
    array = np.empty(len(values), object)
    array[:] = values
    return array
