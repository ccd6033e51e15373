"""A template compiled into a plan, and the careful way to take Data Records out of Data Sets.

`DecodePlan` is made once for a layout. `scalar_records` walks a Data Set record by record, field
by field: it serves templates with variable-length fields (RFC 7011 section 7), and is the reference
that tests hold `records/fixed_records.py` against, which takes records of fixed length in one
numpy step. Both kinds of `Records` answer the same four questions about a field: as number, as
address halves, as raw octets, as floating point.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.messages.faults import MalformedMessage
from appliance.decoding.templates.template import VARIABLE_LENGTH, FieldSpecifier, Template

Unsigned = NDArray[Any]
T = TypeVar("T")

_CACHED_FIELDS = 128
"""Larger layouts are compiled anew for each block: what is remembered stays small."""

NATIVE = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
"""The dtype that holds a number of so many octets."""


class Records(Protocol):
    """Data Records of one layout; `field` is the index of a field specifier."""

    @property
    def n_records(self) -> int:
        """Number of Data Records."""
        ...

    def unsigned(self, field: int) -> Unsigned:
        """Return the field as uint8, 16, 32 or 64; of more than eight octets the last eight."""
        ...

    def halves(self, field: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the high and the low 64 bits of a field of up to 16 octets."""
        ...

    def octets(self, field: int) -> NDArray[Any]:
        """Return the octets: dtype `V<n>`, or object holding `bytes` where lengths differ."""
        ...

    def floating(self, field: int) -> NDArray[np.float64]:
        """Return an IEEE 754 number of four or eight octets; NaN for other lengths."""
        ...

    def record(self, index: int) -> list[bytes]:
        """Return copies of all fields of one record."""
        ...


@dataclass(frozen=True)
class DecodePlan:
    """The layout of a template, without its identifier, so that equal layouts share one plan.

    Attributes
    ----------
    version
        5, 9 or 10: which numbering the elements of vendors follow.
    minimum_length
        Octets of the shortest record; what is left of a Set below that is padding.
    """

    version: int
    fields: tuple[FieldSpecifier, ...]
    scope_count: int
    options: bool

    @cached_property
    def template(self) -> Template:
        """The layout as a template with identifier 0."""
        return Template(0, self.fields, self.scope_count, self.options)

    @property
    def minimum_length(self) -> int:
        """Octets of the shortest possible record, never 0."""
        return self.template.minimum_length

    @property
    def is_variable(self) -> bool:
        """Whether records have no common length."""
        return self.template.is_variable

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Offset of each field in a record of fixed length, octets."""
        ends = np.cumsum([0, *(f.length for f in self.fields)])
        return tuple(int(end) for end in ends[:-1])

    def index(self, element: int, enterprise: int = 0) -> int | None:
        """Return the first field of an element that has octets, None when there is none."""
        return self.first_index.get((enterprise, element))

    @cached_property
    def first_index(self) -> dict[tuple[int, int], int]:
        """(enterprise, element) to its first field with octets: the outer one of duplicates."""
        found: dict[tuple[int, int], int] = {}
        for index, field in enumerate(self.fields):
            if field.length:
                found.setdefault((field.enterprise, field.element), index)
        return found

    @cached_property
    def elements(self) -> frozenset[int]:
        """IANA's elements that `index` finds."""
        return frozenset(element for enterprise, element in self.first_index if not enterprise)

    def with_index(self, first_index: dict[tuple[int, int], int]) -> DecodePlan:
        """Return the same layout, in which elements are found at other fields."""
        plan = DecodePlan(self.version, self.fields, self.scope_count, self.options)
        plan.__dict__["first_index"] = first_index  # where cached_property keeps it
        return plan

    @cached_property
    def filled(self) -> tuple[FieldSpecifier, ...]:
        """The fields that can have octets."""
        return tuple(field for field in self.fields if field.length)

    @cached_property
    def slots(self) -> tuple[int | None, ...]:
        """Each field's index in `filled`."""
        numbers = itertools.count()
        return tuple(next(numbers) if field.length else None for field in self.fields)

    @cached_property
    def _memory(self) -> dict[Callable[[DecodePlan], Any], Any]:
        return {}

    def remembered(self, compute: Callable[[DecodePlan], T]) -> T:
        """Return what a function makes of this plan; it is called once and kept with the plan."""
        if compute not in self._memory:
            self._memory[compute] = compute(self)
        found: T = self._memory[compute]
        return found


def plan_of(
    version: int, fields: tuple[FieldSpecifier, ...], scope_count: int, options: bool
) -> DecodePlan:
    """Return the plan of a layout; equal layouts have equal plans, usual ones the very same."""
    if len(fields) > _CACHED_FIELDS:
        return DecodePlan(version, fields, scope_count, options)
    return _usual_plan(version, fields, scope_count, options)


@lru_cache(maxsize=1024)
def _usual_plan(
    version: int, fields: tuple[FieldSpecifier, ...], scope_count: int, options: bool
) -> DecodePlan:
    return DecodePlan(version, fields, scope_count, options)


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
