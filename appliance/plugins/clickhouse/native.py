"""Blocks of columns in ClickHouse's Native format: numpy arrays to octets, and back.

A block is the number of its columns and of its rows, then of each column its name, its type and its
values; numbers before them are variable-length (LEB128). Of a Nullable column an octet for each
row, 1 for NULL, stands before the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.flows import AnyArray, is_constant

_NULLABLE, _LOW_CARDINALITY = "Nullable(", "LowCardinality("
_DTYPES: Mapping[str, np.dtype[Any]] = {
    **{f"UInt{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    **{f"Int{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    "Float32": np.dtype("<f4"),
    "Float64": np.dtype("<f8"),
    "Date": np.dtype("<u2"),
    "DateTime": np.dtype("<u4"),
}
_LONGEST_NAME = 65_536


@dataclass(frozen=True, slots=True)
class NativeColumn:
    """One column of a block.

    Attributes
    ----------
    type
        ClickHouse's: a number's, `String`, or `Nullable` of these.
    values
        Shape (n_rows,); of `String` objects, `str` or `bytes`. Anything where it is NULL.
    nulls
        Which rows are NULL; None: none is.
    """

    name: str
    type: str
    values: AnyArray
    nulls: NDArray[np.bool_] | None = None


Columns = dict[str, "NativeColumn"]


def encode_block(columns: Iterable[NativeColumn], n_rows: int) -> bytes:
    """Return a block; equal columns make equal octets.

    Raises
    ------
    ValueError
        A type that is not written here.
    """
    listed = list(columns)
    parts = [_varint(len(listed)), _varint(n_rows)]
    for column in listed:
        parts += [_text(column.name), _text(column.type)]
        bare = column.type
        values = column.values
        if bare.startswith(_NULLABLE):
            bare = bare[len(_NULLABLE) : -1]
            nulls = np.zeros(n_rows, np.uint8) if column.nulls is None else column.nulls
            parts.append(nulls.astype(np.uint8).tobytes())
            if column.nulls is not None:
                values = np.where(column.nulls, "" if bare == "String" else 0, values)
        parts.append(_values(bare, values))
    return b"".join(parts)


def decode_blocks(octets: bytes) -> Columns:
    """Return the columns of all blocks, joined.

    Raises
    ------
    ValueError
        The octets are no blocks, or have a type that is not read here.
    """
    reader = _Reader(octets)
    blocks: list[list[NativeColumn]] = []
    while reader.left:
        n_columns, n_rows = reader.varint(), reader.varint()
        block = [reader.column(n_rows) for _ in range(n_columns)]
        if blocks and [c.name for c in block] != [c.name for c in blocks[0]]:
            raise ValueError("blocks have different columns")
        if n_rows or not blocks:
            blocks.append(block)
    return {parts[0].name: _joined(parts) for parts in zip(*blocks, strict=True)}


def _joined(parts: tuple[NativeColumn, ...]) -> NativeColumn:
    values = np.concatenate([part.values for part in parts])
    if all(part.nulls is None for part in parts):
        return NativeColumn(parts[0].name, parts[0].type, values)
    nulls = [np.zeros(len(p.values), bool) if p.nulls is None else p.nulls for p in parts]
    return NativeColumn(parts[0].name, parts[0].type, values, np.concatenate(nulls))


def _values(bare: str, values: AnyArray) -> bytes:
    if bare == "String":
        if is_constant(values):
            return _text(values[0]) * len(values)
        return b"".join(_text(value) for value in values.tolist())
    dtype = _DTYPES.get(bare)
    if dtype is None:
        raise ValueError(f"type {bare} is not written")
    return np.ascontiguousarray(values, dtype).tobytes()


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def _text(text: str | bytes) -> bytes:
    octets = text.encode(errors="replace") if isinstance(text, str) else text
    return _varint(len(octets)) + octets


class _Reader:
    """Reads octets from their beginning; everything is checked against their end."""

    def __init__(self, octets: bytes) -> None:
        self._octets, self._place = octets, 0

    @property
    def left(self) -> int:
        """How many octets are not read yet."""
        return len(self._octets) - self._place

    def varint(self) -> int:
        number = 0
        for shift in range(0, 64, 7):
            (octet,) = self._take(1)
            number |= (octet & 0x7F) << shift
            if octet < 0x80:
                return number
        raise ValueError("a number has more than nine octets")

    def column(self, n_rows: int) -> NativeColumn:
        name, type_name = self._name(), self._name()
        bare, nulls = type_name, None
        if bare.startswith(_LOW_CARDINALITY):
            raise ValueError(f"type {bare} is not read")
        if bare.startswith(_NULLABLE):
            bare = bare[len(_NULLABLE) : -1]
            nulls = np.frombuffer(self._take(n_rows), np.uint8).astype(bool)
        return NativeColumn(name, type_name, self._read_values(bare, n_rows), nulls)

    def _read_values(self, bare: str, n_rows: int) -> AnyArray:
        if bare == "String":
            if n_rows > self.left:
                raise ValueError("a column is cut off")
            texts = [self._take(self.varint()).decode(errors="replace") for _ in range(n_rows)]
            return np.array([*texts, None], object)[:-1]
        if bare.startswith("FixedString("):
            width = int(bare[len("FixedString(") : -1])
            octets = self._take(n_rows * width)
            pieces = [octets[i * width : (i + 1) * width] for i in range(n_rows)]
            return np.array([*pieces, None], object)[:-1]
        dtype = _DTYPES.get(bare.partition("(")[0])
        if dtype is None:
            raise ValueError(f"type {bare} is not read")
        return np.frombuffer(self._take(n_rows * dtype.itemsize), dtype)

    def _name(self) -> str:
        length = self.varint()
        if length > _LONGEST_NAME:
            raise ValueError("a name is longer than names are")
        return self._take(length).decode(errors="replace")

    def _take(self, n: int) -> bytes:
        if n > self.left:
            raise ValueError("a column is cut off")
        self._place += n
        return self._octets[self._place - n : self._place]
