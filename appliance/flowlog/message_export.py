"""Flows as IPFIX messages, one behind the other: a file that others read (RFC 5655).

A column is the element of IANA that fills it first; one without such an element is refused, never
left out silently. Records of IPv4 and IPv6 have templates of their own. A value that a flow does
not have is the one that stands for absent, as `appliance.flows.COLUMNS` has it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from appliance.errors import InvalidQueryError
from appliance.flows import COLUMN
from appliance.information_elements import element_by_id

VERSION, HEADER_OCTETS, SET_HEADER_OCTETS = 10, 16, 4
MAX_MESSAGE_OCTETS = 65_535
TEMPLATE_SET, FIRST_TEMPLATE = 2, 256

_UNSIGNED_OCTETS = {"unsigned8": 1, "unsigned16": 2, "unsigned32": 4, "unsigned64": 8}
_OWN_ADDRESSES = {"exporter_address": (130, 131)}
_OWN_NUMBERS = {"sampling_rate": (34, 4)}
"""Elements of columns that decoders fill in another way: exporterIPv4Address, samplingInterval."""

_BY_VERSION = ("icmp_type_code", "source_prefix_length", "destination_prefix_length")
"""Columns whose element depends on the version of IP; they are not written."""

MOST_NAMED = 5
_MAC_OCTETS = 6


@dataclass(frozen=True, slots=True)
class _Field:
    """A column in records.

    Attributes
    ----------
    elements
        One for a number, a time or a MAC address; those of IPv4 and of IPv6 for an address.
    """

    name: str
    elements: tuple[int, ...]
    octets: int = 0

    @property
    def is_address(self) -> bool:
        """Whether it is an IP address."""
        return len(self.elements) == 2


def fields_of(columns: Sequence[str]) -> list[_Field]:
    """Return the fields of columns.

    Raises
    ------
    InvalidQueryError
        A column has no element of IANA's that holds its values.
    """
    fields = [_field(name) for name in columns]
    missing = [name for name, field in zip(columns, fields, strict=True) if field is None]
    if missing:
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        named = ", ".join(missing[:MOST_NAMED])
        raise InvalidQueryError(f"ipfix has no element for {named}{more}: name other columns")
    return [field for field in fields if field is not None]


def _field(name: str) -> _Field | None:
    if name in _OWN_ADDRESSES:
        return _Field(name, _OWN_ADDRESSES[name])
    if name in _OWN_NUMBERS:
        element, octets = _OWN_NUMBERS[name]
        return _Field(name, (element,), octets)
    if (halves := COLUMN.get(f"{name}_hi")) is not None:
        lower = COLUMN[f"{name}_lo"]
        return _Field(name, (lower.elements[-1], halves.elements[0]))
    column = COLUMN.get(name)
    if column is None or not column.elements or name in _BY_VERSION:
        return None
    if column.letters or column.has_names or column.options_only:
        return None
    registered = element_by_id(0, column.elements[0])
    data_type = "" if registered is None else registered.data_type
    if data_type == "macAddress":
        return _Field(name, column.elements[:1], _MAC_OCTETS)
    if data_type == "dateTimeMilliseconds":
        return _Field(name, column.elements[:1], 8)
    octets = _UNSIGNED_OCTETS.get(data_type, 0)
    if octets < column.dtype.itemsize:
        return None
    # RFC 7011 section 6.2: a number may have fewer octets than its type.
    return _Field(name, column.elements[:1], column.dtype.itemsize)


class MessageWriter:
    """Makes messages of tables; a template is in the first message that needs it.

    Parameters
    ----------
    export_seconds
        When the messages are written, seconds since 1970.
    """

    def __init__(self, columns: Sequence[str], export_seconds: int) -> None:
        self._fields = fields_of(columns)
        self._export_seconds = export_seconds
        self._announced: set[int] = set()
        self._sequence = 0

    def messages(self, table: pa.Table) -> Iterator[bytes]:
        """Yield the flows of a table, IPv4 and IPv6 apart."""
        if not table.num_rows:
            return
        values = {field.name: _values(field, table[field.name]) for field in self._fields}
        families = np.zeros(table.num_rows, np.int64)
        for bit, field in enumerate(f for f in self._fields if f.is_address):
            families |= values[field.name][1].astype(np.int64) << bit
        for family in np.unique(families).tolist():
            rows = np.flatnonzero(families == family)
            yield from self._of_family(family, rows, values)

    def _of_family(
        self, family: int, rows: NDArray[np.intp], values: dict[str, Any]
    ) -> Iterator[bytes]:
        """Yield the flows whose addresses are of the same versions."""
        layout, bit = [], 0
        for field in self._fields:
            if field.is_address:
                is_v6, bit = family >> bit & 1, bit + 1
                layout.append((field, field.elements[is_v6], 16 if is_v6 else 4))
            else:
                layout.append((field, field.elements[0], field.octets))
        records = np.zeros(len(rows), [(f.name, _dtype(f, octets)) for f, _, octets in layout])
        for field, _, octets in layout:
            of_rows = (values[field.name][0] if field.is_address else values[field.name])[rows]
            records[field.name] = of_rows[:, -octets:] if of_rows.ndim == 2 else of_rows
        template = [(element, octets) for _, element, octets in layout]
        yield from self._messages(FIRST_TEMPLATE + family, template, records)

    def _messages(
        self, number: int, template: list[tuple[int, int]], records: NDArray[Any]
    ) -> Iterator[bytes]:
        announcement = b""
        if number not in self._announced:
            self._announced.add(number)
            specifiers = b"".join(struct.pack("!HH", *field) for field in template)
            record = struct.pack("!HH", number, len(template)) + specifiers
            announcement = _set(TEMPLATE_SET, record)
        front = HEADER_OCTETS + SET_HEADER_OCTETS + len(announcement)
        at = 0
        while at < len(records):
            n = (MAX_MESSAGE_OCTETS - front) // records.dtype.itemsize
            data = _set(number, records[at : at + n].tobytes())
            length = HEADER_OCTETS + len(announcement) + len(data)
            header = (VERSION, length, self._export_seconds, self._sequence % (1 << 32), 0)
            yield struct.pack("!HHIII", *header) + announcement + data
            self._sequence += len(records[at : at + n])
            announcement, front, at = b"", HEADER_OCTETS + SET_HEADER_OCTETS, at + n


def _set(number: int, body: bytes) -> bytes:
    return struct.pack("!HH", number, SET_HEADER_OCTETS + len(body)) + body


def _dtype(field: _Field, octets: int) -> Any:
    if field.is_address or octets == _MAC_OCTETS:
        return np.uint8, (octets,)
    return f">u{octets}"


def _values(field: _Field, column: pa.ChunkedArray) -> Any:
    """Return the values of a column: numbers, rows of octets, or octets and which are of IPv6."""
    if field.is_address:
        texts, places = _dictionary(column, "0.0.0.0")  # noqa: S104 - stands for absent
        v6 = np.array([":" in text for text in texts], np.bool_)
        return np.array([_address(text) for text in texts], np.uint8)[places], v6[places]
    if field.octets == _MAC_OCTETS:
        texts, places = _dictionary(column, "00:00:00:00:00:00")
        return np.array([list(bytes.fromhex(t.replace(":", ""))) for t in texts], np.uint8)[places]
    if pa.types.is_timestamp(column.type):
        moments = pc.fill_null(column.cast(pa.timestamp("us")).cast(pa.int64()), 0)
        return np.maximum(moments.to_numpy() // 1000, 0)
    absent = COLUMN[field.name].absent
    numbers = pc.fill_null(column, pa.scalar(absent, column.type)).to_numpy()
    return np.rint(numbers) if numbers.dtype.kind == "f" else numbers


def _dictionary(column: pa.ChunkedArray, absent: str) -> tuple[list[str], NDArray[np.intp]]:
    """Return the different texts of a column, and which of them each row has."""
    encoded = pc.fill_null(column, absent).combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.intp)


def _address(text: str) -> list[int]:
    """Return 16 octets, of IPv4 the last four."""
    if ":" in text:
        return list(socket.inet_pton(socket.AF_INET6, text))
    return [0] * 12 + list(socket.inet_aton(text))
