"""Rows to Parquet column chunks: how each column of a row group is encoded.

Measured per column on a million flows (`tests/benchmarks/bench_flowlog.py`). Runs and columns of
few values are written by `chunks`. For the rest, BYTE_STREAM_SPLIT with lz4 or zstd takes half the
octets of plain zstd in a third of its time, and times need no compression behind
DELTA_BINARY_PACKED. pyarrow writes what has nulls or is no integer, and all of the rest where there
are no kernels in C.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from appliance.flowlog.parquet.bloom import with_filter
from appliance.flowlog.parquet.chunks import (
    BYTE_STREAM_SPLIT,
    DELTA_BINARY_PACKED,
    LZ4_RAW,
    META_DATA_PAGE,
    META_DICTIONARY_PAGE,
    META_OCTETS,
    ZSTD,
    Chunk,
    dictionary_chunk,
    no_nulls,
    run_chunk,
    whole_chunk,
)
from appliance.flowlog.parquet.thrift import Struct, i64, read_struct
from appliance.flowlog.schema import Rows, arrow_type
from appliance.flows import COLLECTION_TIME, COLUMN, AnyArray
from appliance.native import columns as native
from appliance.native import library

SAMPLE_ROWS = 4096
MAX_DICTIONARY = 65_536
TABLE_VALUES = 65_536
"""Values below this are counted in a table instead of being hashed."""

SOUGHT = frozenset(
    f"{prefix}{end}_address_lo" for prefix in ("", "post_nat_") for end in ("source", "destination")
)
"""Columns in which single values are looked for; they get Bloom filters."""

_COUNTERS = ("octet_delta_count", "packet_delta_count")


def encode_columns(pieces: list[Rows], schema: Any) -> Iterator[Chunk]:
    """Encode rows as one chunk a column, in the order of the schema."""
    n_rows = sum(piece.n_rows for piece in pieces)
    scratch = np.empty(n_rows, np.uint64)  # One for all: fresh memory costs more than the copies.
    for name in schema.names:
        runs = _runs(name, pieces)
        if runs is not None and len(runs) <= max(1, n_rows // 16):
            yield run_chunk(name, runs, n_rows)
        else:
            yield _encode(name, pieces, scratch)


def _encode(name: str, pieces: list[Rows], scratch: AnyArray) -> Chunk:
    values = _numbers(name, pieces, scratch)
    if values is None:
        arrays = [piece.array(name) for piece in pieces]
        return _by_pyarrow(name, pa.chunked_array(arrays, arrow_type(name)))
    distinct = few_values(values) if values.dtype.kind == "u" and name not in _COUNTERS else None
    if distinct is not None:
        chunk = dictionary_chunk(name, *distinct)
        return with_filter(chunk, distinct[0]) if name in SOUGHT else chunk
    if library.IS_AVAILABLE:
        chunk = _natively(name, values)
    else:
        chunk = _by_pyarrow(name, pa.chunked_array([pa.array(values)]))
    return with_filter(chunk, values) if name in SOUGHT else chunk


def _numbers(name: str, pieces: list[Rows], scratch: AnyArray) -> AnyArray | None:
    """Put the numbers of a column into `scratch`; None where it has no numbers or lacks some."""
    if name not in COLUMN or COLUMN[name].dtype.kind not in "iu":
        return None
    values = scratch.view(COLUMN[name].dtype)
    end = 0
    for piece in pieces:
        start, end = end, end + piece.n_rows
        array = piece.arrays.get(name)
        if array is None and piece.constants.get(name) is None and piece.n_rows:
            return None
        if array is None:
            values[start:end] = piece.constants.get(name) or 0
        elif array.null_count:
            return None
        else:
            values[start:end] = array.to_numpy()
    return values[:end]


def _runs(name: str, pieces: list[Rows]) -> list[tuple[Any, int]] | None:
    """Return (value or None, count) when each piece has one value of the column, else None."""
    runs: list[tuple[Any, int]] = []
    for piece in pieces:
        if name in piece.arrays:
            return None
        value = piece.constants.get(name)
        if runs and runs[-1][0] == value:
            runs[-1] = (value, runs[-1][1] + piece.n_rows)
        elif piece.n_rows:
            runs.append((value, piece.n_rows))
    return runs


def few_values(values: AnyArray) -> tuple[AnyArray, AnyArray] | None:
    """Find the distinct values of a column, at most 256 of small numbers and `MAX_DICTIONARY` of
    others, and the place of each row's value among them; None when there are more."""
    is_wide = values.dtype.itemsize == 8
    if is_wide and not _looks_few(values):
        return None
    if library.IS_AVAILABLE:
        return native.few_values(values, MAX_DICTIONARY if is_wide else 256)
    return _by_hash(values) if is_wide else _by_table(values)


def _by_hash(values: AnyArray) -> tuple[AnyArray, AnyArray] | None:
    if not _begins_few(values):
        return None
    hashed = pa.array(values).dictionary_encode()
    if len(hashed.dictionary) > MAX_DICTIONARY:
        return None
    return hashed.dictionary.to_numpy(), hashed.indices.to_numpy().astype(np.uint16)


def _by_table(values: AnyArray) -> tuple[AnyArray, AnyArray] | None:
    """Find distinct small values by counting."""
    if int(values.max()) >= TABLE_VALUES:
        return None
    if values.dtype.itemsize > 1 and not _looks_few(values, 256):
        return None
    distinct = np.flatnonzero(np.bincount(values))
    if len(distinct) > 256:
        return None
    table = np.zeros(int(distinct[-1]) + 1, np.uint8)
    table[distinct] = np.arange(len(distinct), dtype=np.uint8)
    return distinct.astype(values.dtype), table.take(values)


def _looks_few(values: AnyArray, most: int = MAX_DICTIONARY) -> bool:
    """Estimate from a sample (Chao's estimator) whether there are few distinct values."""
    sample = values[:: max(1, len(values) // SAMPLE_ROWS)]
    counts = np.unique(sample, return_counts=True)[1]
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    estimate = len(counts) + once * once / (2 * max(twice, 1))
    return estimate <= min(most, max(256, len(values) // 8))


def _begins_few(values: AnyArray) -> bool:
    """Count an eighth of the values: a few that are very frequent hide many rare ones from an
    estimate, and a dictionary that becomes too big was made for nothing."""
    first = values[: len(values) // 8]
    return len(first) <= MAX_DICTIONARY or len(pc.unique(pa.array(first))) <= MAX_DICTIONARY // 2


def _natively(name: str, values: AnyArray) -> Chunk:
    n_rows = len(values)
    head = no_nulls(n_rows)
    if values.dtype.kind == "i":
        extremes = [int(values.min()), int(values.max())] if name == COLLECTION_TIME else []
        body = (head, native.pack_deltas(values))
        return whole_chunk(name, body, n_rows, DELTA_BINARY_PACKED, extremes=extremes)
    whole = native.split_bytes(values, max(values.dtype.itemsize, 4), head)
    codec = ZSTD if _is_worth_zstd(name, values.dtype) else LZ4_RAW
    return whole_chunk(name, (whole,), n_rows, BYTE_STREAM_SPLIT, codec)


def _by_pyarrow(name: str, column: Any) -> Chunk:
    encoding, codec = encoding_of_varying(name, column)
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table({name: column}),
        sink,
        row_group_size=len(column),
        use_dictionary=encoding == "dictionary",
        column_encoding=None if encoding == "dictionary" else {name: encoding},
        compression=codec,
        compression_level=1 if codec == "zstd" else None,
        write_statistics=name == COLLECTION_TIME,
        store_schema=False,
    )
    return _only_chunk(memoryview(sink.getvalue()))


def encoding_of_varying(name: str, column: Any) -> tuple[str, str]:
    """Choose encoding and compression of a column that varies."""
    if pa.types.is_int64(column.type):
        return "DELTA_BINARY_PACKED", "none"
    if pa.types.is_unsigned_integer(column.type):
        is_worth_zstd = _is_worth_zstd(name, column.type.to_pandas_dtype())
        return "BYTE_STREAM_SPLIT", "zstd" if is_worth_zstd else "lz4"
    return "dictionary", "zstd"


def _is_worth_zstd(name: str, dtype: Any) -> bool:
    """Tell whether zstd saves enough for its time: of addresses it saves a sixth for half as much
    again, of ports a quarter."""
    return name in _COUNTERS or np.dtype(dtype).itemsize < 8


def _only_chunk(octets: memoryview) -> Chunk:
    """Cut the chunk out of a file of one column and one row group, as pyarrow wrote it."""
    length = struct.unpack("<I", octets[-8:-4])[0]
    footer, _ = read_struct(bytes(octets[-8 - length : -8]))
    (group,) = footer[4].value.values
    (column,) = group[1].value.values
    meta: Struct = dict(column[3].value)
    pages = [number for number in (META_DATA_PAGE, META_DICTIONARY_PAGE) if number in meta]
    start = min(meta[number].value for number in pages)
    for number in pages:
        meta[number] = i64(meta[number].value - start)
    return Chunk((octets[start : start + meta[META_OCTETS].value],), meta)
