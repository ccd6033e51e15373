"""Parquet files put together from column chunks: encoded once, copied verbatim ever after.

A row group is made of three sorts of column chunk. Columns that vary are encoded by pyarrow, each
with the encoding measured to be best for it. Columns that stay the same over long runs, or are
absent, which is most of them, are written here: a dictionary and a few run lengths, some 60 octets,
no cost per row. Chunks of row groups that are already in a file are copied octet by octet, checked
by the CRC-32 kept in the footer; only offsets in the new footer differ. So merging costs a few
nanoseconds a row instead of a decode and an encode.

References
----------
apache/parquet-format: parquet.thrift, Encodings.md
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from zlib_ng import zlib_ng

from appliance.flowlog.journal import DamagedFile, write_all
from appliance.flowlog.parquet.bloom import META_FILTER
from appliance.flowlog.parquet.chunks import (
    META_DATA_PAGE,
    META_DICTIONARY_PAGE,
    META_OCTETS,
    META_PATH,
    META_PLAIN_OCTETS,
    Chunk,
    run_chunk,
)
from appliance.flowlog.parquet.encoding import encode_columns
from appliance.flowlog.parquet.thrift import (
    BINARY,
    I16,
    LIST,
    STRUCT,
    Field,
    Items,
    Struct,
    i64,
    read_struct,
    write_struct,
)
from appliance.flowlog.schema import Rows
from appliance.flows import OCTETS_PREFIX

MAGIC = b"PAR1"
MAX_FOOTER_OCTETS = 64 * 1024 * 1024
SEGMENTS_KEY, CHECKS_KEY = b"flowlog.segments", b"flowlog.row_group_crc32"

# Field numbers of parquet.thrift.
FILE_SCHEMA, FILE_ROWS, FILE_ROW_GROUPS, FILE_METADATA = 2, 3, 4, 5
GROUP_COLUMNS, GROUP_OCTETS, GROUP_ROWS = 1, 2, 3
GROUP_OFFSET, GROUP_COMPRESSED, GROUP_ORDINAL = 5, 6, 7
CHUNK_OFFSET, CHUNK_META = 2, 3


class RowGroup(NamedTuple):
    """A row group of a file: its footer entry, where its octets lie, their checksum, its rows."""

    entry: Struct
    start: int
    length: int
    check: int
    n_rows: int


@lru_cache(maxsize=64)
def _template(schema: Any) -> Struct:
    """Return the footer of an empty file with this schema, as pyarrow writes it; not to be
    changed."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink, store_schema=False)
    return read_struct(footer_octets(sink.getvalue().to_pybytes()))[0]


def _elements(footer: Struct) -> dict[str, bytes]:
    """Return the schema's columns by name, each as it is encoded in the footer."""
    _, *elements = footer[FILE_SCHEMA].value.values
    return {element[4].value.decode(): write_struct(element) for element in elements}


def footer_octets(octets: Any) -> bytes:
    """Cut the footer out of a Parquet file.

    Raises
    ------
    ValueError
        The file does not end in one.
    """
    if len(octets) < 12 or bytes(octets[-4:]) != MAGIC:
        raise ValueError("no Parquet footer at the end")
    length = struct.unpack("<I", octets[-8:-4])[0]
    if length > min(len(octets) - 12, MAX_FOOTER_OCTETS):
        raise ValueError(f"footer of {length} octets does not fit")
    return bytes(octets[-8 - length : -8])


class ParquetWriter:
    """One new file of the log: row groups appended, footer last.

    Parameters
    ----------
    path
        Created; must not exist under its final name yet, so that a reader never sees half of it.
    schema
        Of the family; columns of rows that it does not have are left out.
    """

    def __init__(self, path: Path, schema: Any) -> None:
        self.path, self.schema = path, schema
        self.rows = 0
        self._groups: list[Struct] = []
        self._checks: list[int] = []
        self._offset = len(MAGIC)
        self._descriptor = os.open(
            path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o640
        )
        write_all(self._descriptor, MAGIC)

    def encode(self, pieces: list[Rows], let_go: Callable[[], None] | None = None) -> None:
        """Encode rows as one row group.

        Parameters
        ----------
        let_go
            Called after each column, which is not looked at again.
        """
        n_rows = sum(piece.n_rows for piece in pieces)
        if not n_rows:
            return
        check, columns, start = 0, [], self._offset
        for chunk in encode_columns(pieces, self.schema):
            column, check = self._append(chunk, check)
            columns.append(column)
            if let_go is not None:
                let_go()
        self._add(columns, start, n_rows, check)

    def copy(self, source: ParquetFile, group: RowGroup) -> None:
        """Append a row group of another file verbatim; columns that it lacks become null.

        Raises
        ------
        DamagedFile
            Its octets are not the ones that were written.
        """
        octets = source.octets(group)
        start, check = self._offset, group.check
        write_all(self._descriptor, octets)
        entries = group.entry[GROUP_COLUMNS].value.values
        present = {_column_name(entry): _shift(entry, start - group.start) for entry in entries}
        self._offset += group.length
        columns = []
        for name in self.schema.names:
            if name in present:
                columns.append(present[name])
                continue
            chunk = run_chunk(name, [(None, group.n_rows)], group.n_rows)
            column, check = self._append(chunk, check)
            columns.append(column)
        self._add(columns, start, group.n_rows, check)

    def _append(self, chunk: Chunk, check: int) -> tuple[Struct, int]:
        """Write a chunk; return its entry, and the checksum of what it is appended to."""
        for part in chunk.parts:
            write_all(self._descriptor, part)
            check = zlib_ng.crc32(part, check)
        entry: Struct = {CHUNK_OFFSET: i64(0), CHUNK_META: Field(STRUCT, chunk.meta)}
        entry = _shift(entry, self._offset)
        self._offset += chunk.n_octets
        return entry, check

    def _add(self, columns: list[Struct], start: int, n_rows: int, check: int) -> None:
        metas = [column[CHUNK_META].value for column in columns]
        entry: Struct = {
            GROUP_COLUMNS: Field(LIST, Items(STRUCT, columns)),
            GROUP_OCTETS: i64(sum(meta[META_PLAIN_OCTETS].value for meta in metas)),
            GROUP_ROWS: i64(n_rows),
            GROUP_OFFSET: i64(start),
            GROUP_COMPRESSED: i64(self._offset - start),
            GROUP_ORDINAL: Field(I16, min(len(self._groups), 32767)),
        }
        self._groups.append(entry)
        self._checks.append(check)
        self.rows += n_rows

    def finish(self, segments: list[tuple[int, int]]) -> None:
        """Write the footer and make the file durable; `segments` lists (segment, rows) in order."""
        footer = dict(_template(self.schema))
        metadata = {SEGMENTS_KEY: json.dumps(segments), CHECKS_KEY: json.dumps(self._checks)}
        pairs: list[Struct] = [
            {1: Field(BINARY, key), 2: Field(BINARY, text.encode())}
            for key, text in metadata.items()
        ]
        footer[FILE_ROWS] = i64(self.rows)
        footer[FILE_ROW_GROUPS] = Field(LIST, Items(STRUCT, self._groups))
        footer[FILE_METADATA] = Field(LIST, Items(STRUCT, pairs))
        octets = write_struct(dict(sorted(footer.items())))
        # The checksum of the footer lies before it, where no other reader looks.
        check = struct.pack("<I", zlib_ng.crc32(octets))
        write_all(self._descriptor, check + octets + struct.pack("<I", len(octets)) + MAGIC)
        os.fsync(self._descriptor)
        self.close()

    def close(self) -> None:
        """Close the file; without `finish` it is not whole."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class ParquetFile:
    """A file of the log opened for copying and for reading parts of it.

    Raises
    ------
    DamagedFile
        The footer is not one of ours.
    OSError
        It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            try:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise DamagedFile(path, "file is empty") from error
        try:
            self._load()
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise DamagedFile(path, f"unusable footer: {error}") from error

    def _load(self) -> None:
        octets = footer_octets(self._map)
        limit = len(self._map) - len(octets) - 8 - 4
        if limit < 0 or self._map[limit : limit + 4] != struct.pack("<I", zlib_ng.crc32(octets)):
            raise ValueError("its checksum is wrong")
        footer, _ = read_struct(octets)
        metadata = {pair[1].value: pair[2].value for pair in footer[FILE_METADATA].value.values}
        self.segments = _segments(json.loads(metadata[SEGMENTS_KEY]))
        checks = json.loads(metadata[CHECKS_KEY])
        entries = footer[FILE_ROW_GROUPS].value.values
        self.groups = [
            _row_group(entry, int(check), limit)
            for entry, check in zip(entries, checks, strict=True)
        ]
        self.n_rows = sum(group.n_rows for group in self.groups)
        if not self.n_rows == sum(rows for _, rows in self.segments) == footer[FILE_ROWS].value:
            raise ValueError("row counts disagree")
        self._elements = _elements(footer)
        self.octets_columns = [name for name in self._elements if name.startswith(OCTETS_PREFIX)]

    def fits(self, schema: Any) -> bool:
        """Tell whether row groups can be copied to a file of this schema: it has all their
        columns."""
        return self._elements.items() <= _elements(_template(schema)).items()

    def octets(self, group: RowGroup) -> memoryview:
        """Return the octets of a row group, checked; valid while this file is open.

        Raises
        ------
        DamagedFile
            They are not the ones that were written.
        """
        view = memoryview(self._map)[group.start : group.start + group.length]
        if zlib_ng.crc32(view) != group.check:
            raise DamagedFile(self.path, "checksum of a row group is wrong")
        return view

    def read(self, index: int, columns: Sequence[str] | None = None) -> Rows:
        """Decode one row group; columns written as a single run cost nothing.

        Raises
        ------
        DamagedFile
            Its octets are not the ones that were written.
        """
        group = self.groups[index]
        self.octets(group).release()
        try:
            reader = pq.ParquetFile(pa.py_buffer(self._map), pre_buffer=False)
            return _read_group(reader, index, columns)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DamagedFile(self.path, str(error)) from error

    def close(self) -> None:
        """Give the mapping up; arrays that were read stay valid."""
        try:
            self._map.close()
        except BufferError:  # somebody still views it: it goes with the last view
            del self._map


def _read_group(reader: Any, index: int, columns: Sequence[str] | None) -> Rows:
    meta = reader.metadata.row_group(index)
    rows = Rows(meta.num_rows)
    varying = []
    for number in range(meta.num_columns):
        column = meta.column(number)
        name, statistics = column.path_in_schema, column.statistics
        if columns is not None and name not in columns:
            continue
        if statistics is not None and statistics.null_count == meta.num_rows:
            continue
        if statistics is not None and statistics.null_count == 0 and statistics.has_min_max:
            low = statistics.min
            if low == statistics.max and not isinstance(low, (str, bytes)):
                rows.constants[name] = low
                continue
        varying.append(name)
    if varying:
        table = reader.read_row_group(index, columns=varying, use_threads=False)
        for name in varying:
            rows.arrays[name] = table.column(name).combine_chunks()
    return rows


def _segments(pairs: Any) -> list[tuple[int, int]]:
    segments = [(int(segment), int(rows)) for segment, rows in pairs]
    if any(rows < 0 for _, rows in segments) or segments != sorted(segments):
        raise ValueError("list of segments is out of order")
    return segments


def _row_group(entry: Struct, check: int, limit: int) -> RowGroup:
    start, length = entry[GROUP_OFFSET].value, entry[GROUP_COMPRESSED].value
    if not (len(MAGIC) <= start and length >= 0 and start + length <= limit):
        raise ValueError(f"row group at {start} of {length} octets lies outside the file")
    for column in entry[GROUP_COLUMNS].value.values:
        meta = column[CHUNK_META].value
        first = _first_page(meta)
        if not start <= first <= first + meta[META_OCTETS].value <= start + length:
            raise ValueError("column chunk lies outside its row group")
        if META_FILTER in meta and not start <= meta[META_FILTER].value < start + length:
            raise ValueError("Bloom filter lies outside its row group")
    n_rows = entry[GROUP_ROWS].value
    if n_rows < 0:
        raise ValueError(f"row group of {n_rows} rows")
    return RowGroup(entry, start, length, check, n_rows)


def _first_page(meta: Struct) -> int:
    dictionary = meta.get(META_DICTIONARY_PAGE)
    data: int = meta[META_DATA_PAGE].value
    return data if dictionary is None else min(data, dictionary.value)


def _column_name(entry: Struct) -> str:
    name: bytes = entry[CHUNK_META].value[META_PATH].value.values[0]
    return name.decode()


def _shift(column: Struct, shift: int) -> Struct:
    meta: Struct = dict(column[CHUNK_META].value)
    for number in (META_DATA_PAGE, META_DICTIONARY_PAGE, META_FILTER):
        if number in meta:
            meta[number] = i64(meta[number].value + shift)
    return {CHUNK_OFFSET: i64(0), CHUNK_META: Field(STRUCT, meta)}
