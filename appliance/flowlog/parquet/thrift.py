"""Thrift's compact protocol, as far as a Parquet footer needs it: octets to plain values and back.

Nothing of Parquet is known here: a structure is a dictionary from field number to `Field`, so what
a newer writer adds survives a read and a write. Input is untrusted: lengths and depth are checked,
and every fault is a ValueError.

References
----------
thrift/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

TRUE, FALSE, I8, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)

MAX_DEPTH = 16


class Field(NamedTuple):
    """A value with its Thrift type; TRUE stands for both booleans."""

    type: int
    value: Any


class Items(NamedTuple):
    """A list: the Thrift type of its items, and the items."""

    type: int
    values: list[Any]


Struct = dict[int, Field]


def i32(value: int) -> Field:
    """Make a 32-bit integer field."""
    return Field(I32, value)


def i64(value: int) -> Field:
    """Make a 64-bit integer field."""
    return Field(I64, value)


def varint(value: int) -> bytes:
    """Encode an unsigned number in groups of seven bits, lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_struct(octets: bytes, offset: int = 0) -> tuple[Struct, int]:
    """Decode one structure; return it with the offset behind it.

    Raises
    ------
    ValueError
        The octets are no structure of the compact protocol.
    """
    try:
        reader = _Reader(octets, offset)
        return reader.struct(0), reader.offset
    except (IndexError, struct.error) as error:
        raise ValueError("thrift structure is cut short") from error


def write_struct(value: Struct) -> bytes:
    """Encode a structure."""
    out = bytearray()
    _write_struct(out, value)
    return bytes(out)


class _Reader:
    def __init__(self, octets: bytes, offset: int) -> None:
        self.octets, self.offset = octets, offset

    def byte(self) -> int:
        self.offset += 1
        return self.octets[self.offset - 1]

    def number(self) -> int:
        result = shift = 0
        while True:
            octet = self.octets[self.offset]
            self.offset += 1
            result |= (octet & 0x7F) << shift
            if octet < 0x80:
                return result
            shift += 7
            if shift > 63:
                raise ValueError("thrift number is longer than 64 bits")

    def signed(self) -> int:
        number = self.number()
        return (number >> 1) ^ -(number & 1)

    def binary(self) -> bytes:
        length = self.number()
        start = self.offset
        if length > len(self.octets) - start:
            raise ValueError(f"thrift text of {length} octets, {len(self.octets) - start} left")
        self.offset = start + length
        return bytes(self.octets[start : self.offset])

    def struct(self, depth: int) -> Struct:
        if depth > MAX_DEPTH:
            raise ValueError(f"thrift structures nest deeper than {MAX_DEPTH}")
        result: Struct = {}
        number = 0
        while header := self.byte():
            delta, kind = header >> 4, header & 15
            number = number + delta if delta else self.signed()
            if kind in (TRUE, FALSE):
                result[number] = Field(TRUE, kind == TRUE)
            else:
                result[number] = Field(kind, self.value(kind, depth))
        return result

    def value(self, kind: int, depth: int) -> Any:
        if kind in (I16, I32, I64):
            return self.signed()
        if kind == BINARY:
            return self.binary()
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, SET):
            return self.items(depth + 1)
        if kind in (TRUE, FALSE, I8):
            return self.byte()
        if kind == DOUBLE:
            self.offset += 8
            return struct.unpack_from("<d", self.octets, self.offset - 8)[0]
        raise ValueError(f"thrift type {kind} is not used in Parquet")

    def items(self, depth: int) -> Items:
        header = self.byte()
        size, kind = header >> 4, header & 15
        if size == 15:
            size = self.number()
        if size > len(self.octets) - self.offset or depth > MAX_DEPTH:
            raise ValueError(f"thrift list of {size} items does not fit")
        return Items(kind, [self.value(kind, depth) for _ in range(size)])


def _write_struct(out: bytearray, value: Struct) -> None:
    last = 0
    for number, (kind, content) in value.items():
        wire_kind = FALSE if kind == TRUE and not content else kind
        if 0 < number - last < 16:
            out.append((number - last) << 4 | wire_kind)
        else:
            out.append(wire_kind)
            out += _zigzag(number)
        last = number
        if kind != TRUE:
            _write_value(out, kind, content)
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in (I16, I32, I64):
        out += _zigzag(value)
    elif kind == BINARY:
        out += varint(len(value))
        out += value
    elif kind == STRUCT:
        _write_struct(out, value)
    elif kind in (LIST, SET):
        size = len(value.values)
        out += bytes((size << 4 | value.type,)) if size < 15 else bytes((0xF0 | value.type,))
        if size >= 15:
            out += varint(size)
        for item in value.values:
            _write_value(out, value.type, item)
    elif kind == DOUBLE:
        out += struct.pack("<d", value)
    else:
        out.append(value)


def _zigzag(value: int) -> bytes:
    return varint((value << 1) ^ (value >> 63))
