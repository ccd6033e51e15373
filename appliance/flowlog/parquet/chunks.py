"""Parquet column chunks written by hand: pages, headers and footer entry.

Two sorts of column are cheaper to write here than to hand to pyarrow: those of a few long runs
(constant or absent columns), which take some 60 octets whatever the number of rows, and those of
few distinct values, whose dictionary indices numpy finds and packs several times faster. Both use
only what every reader of Parquet knows: version 1 data pages with RLE levels and RLE_DICTIONARY
values.

References
----------
apache/parquet-format: parquet.thrift; Encodings.md, "RLE / Bit-Packing Hybrid"
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from appliance.flowlog.parquet.thrift import (
    BINARY,
    I32,
    LIST,
    STRUCT,
    Field,
    Items,
    Struct,
    i32,
    i64,
    varint,
    write_struct,
)
from appliance.flows import COLUMN, AnyArray
from appliance.native import columns as native
from appliance.native import library

INT32, INT64, DOUBLE, BYTE_ARRAY = 1, 2, 5, 6
PLAIN, RLE, DELTA_BINARY_PACKED, RLE_DICTIONARY, BYTE_STREAM_SPLIT = 0, 3, 5, 8, 9
UNCOMPRESSED, ZSTD, LZ4_RAW = 0, 6, 7
TRIED_OCTETS = 65_536
"""Compressed to see whether the rest is worth it."""

_CODECS = {ZSTD: ("zstd", 1), LZ4_RAW: ("lz4_raw", None)}
DATA_PAGE, DICTIONARY_PAGE = 0, 2

# Field numbers of ColumnMetaData that others need.
META_ENCODINGS, META_PATH, META_PLAIN_OCTETS, META_OCTETS = 2, 3, 6, 7
META_DATA_PAGE, META_DICTIONARY_PAGE = 9, 11


class Chunk(NamedTuple):
    """A column chunk: the parts of its pages, one behind the other, and its ColumnMetaData with
    offsets from the first page."""

    parts: tuple[Any, ...]
    meta: Struct

    @property
    def n_octets(self) -> int:
        """How many octets all parts have."""
        return sum(memoryview(part).nbytes for part in self.parts)


class Page(NamedTuple):
    """A page with its header, and what it would take uncompressed."""

    parts: tuple[Any, ...]
    n_octets: int
    plain_octets: int


NO_PAGE = Page((), 0, 0)


def run_chunk(name: str, runs: list[tuple[Any, int]], n_rows: int) -> Chunk:
    """Write a chunk of few runs of (value or None for null, count)."""
    levels = _levels([(int(value is not None), count) for value, count in runs])
    present = [(value, count) for value, count in runs if value is not None]
    place = {value: index for index, value in enumerate(dict.fromkeys(v for v, _ in present))}
    width = max(1, (len(place) - 1).bit_length())
    indices = _runs([(place[value], count) for value, count in present], width)
    nulls = n_rows - sum(count for _, count in present)
    if not place:
        return _chunk(
            name, n_rows, NO_PAGE, _data_page(n_rows, PLAIN, (levels,)), _extremes(name, [], nulls)
        )
    dictionary = _dictionary_page(b"".join(_plain(name, value) for value in place), len(place))
    page = _data_page(n_rows, RLE_DICTIONARY, (levels, bytes((width,)), indices))
    return _chunk(name, n_rows, dictionary, page, _extremes(name, list(place), nulls))


def dictionary_chunk(name: str, values: AnyArray, indices: AnyArray) -> Chunk:
    """Write a chunk without nulls: `values[indices]`.

    Parameters
    ----------
    values
        At most 65,536 distinct values of the column's dtype.
    indices
        uint8 or uint16, shape (n_rows,).
    """
    n_rows, codec = len(indices), UNCOMPRESSED
    width = _packed_width(len(values))
    packed = _pack(indices, width)
    groups = varint(-(-n_rows // 8) << 1 | 1)
    body = (no_nulls(n_rows), bytes((width,)), groups, packed)
    if width >= 8 or _is_uneven(packed):
        codec = ZSTD
    wide = values.astype("<i4") if _physical(name) == INT32 else values
    dictionary = _dictionary_page(wide.tobytes(), len(values), codec)
    page = _data_page(n_rows, RLE_DICTIONARY, body, codec)
    return _chunk(name, n_rows, dictionary, page, None, codec)


def whole_chunk(
    name: str,
    body: tuple[Any, ...],
    n_rows: int,
    encoding: int,
    codec: int = UNCOMPRESSED,
    extremes: Sequence[int] = (),
) -> Chunk:
    """Write a chunk without nulls and without a dictionary.

    Parameters
    ----------
    body
        Buffers: what `no_nulls` returns, then the values in this encoding.
    extremes
        The least and the largest value, for the statistics; empty for none.
    """
    page = _data_page(n_rows, encoding, body, codec)
    statistics = _extremes(name, list(extremes), 0) if extremes else None
    chunk = _chunk(name, n_rows, NO_PAGE, page, statistics, codec)
    return Chunk(chunk.parts, chunk.meta | {META_ENCODINGS: _encodings(RLE, encoding)})


def _encodings(*numbers: int) -> Field:
    return Field(LIST, Items(I32, list(numbers)))


def _packed_width(n_values: int) -> int:
    return next(width for width in (1, 2, 4, 8, 16) if n_values <= 1 << width)


def _is_uneven(packed: AnyArray) -> bool:
    """Tell by their start whether packed indices become smaller when they are compressed."""
    start = packed[:TRIED_OCTETS]
    return bool(pa.Codec(*_CODECS[ZSTD]).compress(start).size < len(start) * 9 // 10)


def _pack(indices: AnyArray, width: int) -> AnyArray:
    """Pack indices, lowest bits first, and zeros until they are a multiple of 8."""
    if library.IS_AVAILABLE and indices.dtype == np.uint16:
        return native.pack_codes(indices, width)
    padded: AnyArray = np.zeros(-(-len(indices) // 8) * 8, np.uint16 if width == 16 else np.uint8)
    padded[: len(indices)] = indices
    if width >= 8:
        return padded.view(np.uint8)
    if width == 1:
        return np.packbits(padded, bitorder="little")
    packed: AnyArray = padded[::2] | (padded[1::2] << width)
    if width == 2:
        packed = packed[::2] | (packed[1::2] << 4)
    return packed


def _chunk(
    name: str,
    n_rows: int,
    dictionary: Page,
    data: Page,
    statistics: Struct | None,
    codec: int = UNCOMPRESSED,
) -> Chunk:
    """Put the pages of a chunk together with their footer entry."""
    meta: Struct = {
        1: i32(_physical(name)),
        META_ENCODINGS: _encodings(PLAIN, RLE, RLE_DICTIONARY),
        META_PATH: Field(LIST, Items(BINARY, [name.encode()])),
        4: i32(codec),
        5: i64(n_rows),
        META_PLAIN_OCTETS: i64(dictionary.plain_octets + data.plain_octets),
        META_OCTETS: i64(dictionary.n_octets + data.n_octets),
        META_DATA_PAGE: i64(dictionary.n_octets),
    }
    if dictionary is not NO_PAGE:
        meta[META_DICTIONARY_PAGE] = i64(0)
    if statistics is not None:
        meta[12] = Field(STRUCT, statistics)
    return Chunk((*dictionary.parts, *data.parts), meta)


def _extremes(name: str, values: list[Any], nulls: int) -> Struct:
    """Make the statistics of a chunk: null count, and for integers maximum and minimum."""
    statistics: Struct = {3: i64(nulls)}
    if values and _physical(name) in (INT32, INT64):
        statistics[5] = Field(BINARY, _plain(name, max(values)))
        statistics[6] = Field(BINARY, _plain(name, min(values)))
    return statistics


def _data_page(
    n_rows: int, encoding: int, parts: tuple[Any, ...], codec: int = UNCOMPRESSED
) -> Page:
    header: Struct = {1: i32(n_rows), 2: i32(encoding), 3: i32(RLE), 4: i32(RLE)}
    return _page(DATA_PAGE, parts, codec, {5: Field(STRUCT, header)})


def _dictionary_page(body: bytes, n_values: int, codec: int = UNCOMPRESSED) -> Page:
    header: Struct = {1: i32(n_values), 2: i32(PLAIN)}
    return _page(DICTIONARY_PAGE, (body,), codec, {7: Field(STRUCT, header)})


def _page(kind: int, parts: tuple[Any, ...], codec: int, header: Struct) -> Page:
    plain_octets = octets = sum(memoryview(part).nbytes for part in parts)
    if codec != UNCOMPRESSED:
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        packed = pa.Codec(*_CODECS[codec]).compress(body)
        parts, octets = (packed,), packed.size
    start: Struct = {1: i32(kind), 2: i32(plain_octets), 3: i32(octets)}
    head = write_struct(start | header)
    return Page((head, *parts), len(head) + octets, len(head) + plain_octets)


def no_nulls(n_rows: int) -> bytes:
    """Return the definition levels of a column that has a value in each row."""
    return _levels([(1, n_rows)])


def _levels(runs: list[tuple[int, int]]) -> bytes:
    """Encode definition levels: 1 where there is a value, 0 for null."""
    merged = _runs(runs, 1)
    return struct.pack("<I", len(merged)) + merged


def _runs(runs: list[tuple[int, int]], width: int) -> bytes:
    """Encode (value, count) as runs of the hybrid."""
    octets = -(-width // 8)
    return b"".join(varint(count << 1) + value.to_bytes(octets, "little") for value, count in runs)


def _physical(name: str) -> int:
    if name not in COLUMN or COLUMN[name].dtype == object:
        return BYTE_ARRAY
    dtype = COLUMN[name].dtype
    if dtype.kind == "f":
        return DOUBLE
    return INT64 if dtype.itemsize == 8 else INT32


def _plain(name: str, value: Any) -> bytes:
    physical = _physical(name)
    if physical == BYTE_ARRAY:
        octets = value.encode() if isinstance(value, str) else bytes(value)
        return struct.pack("<I", len(octets)) + octets
    if physical == DOUBLE:
        return struct.pack("<d", value)
    return int(value).to_bytes(4 if physical == INT32 else 8, "little", signed=value < 0)
