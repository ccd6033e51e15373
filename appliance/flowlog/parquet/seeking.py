"""Which sealed files may have a value in one of many ranges, told from as little as possible.

A Bloom filter says nothing of a thousand addresses: in each row group some of them seem to be. So
the values themselves are looked at: of a column with a dictionary that alone, and of one whose
octets are stored as streams only those streams that tell most values from all that is wanted.

References
----------
apache/parquet-format: Encodings.md, BYTE_STREAM_SPLIT
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.flowlog.parquet.chunks import (
    BYTE_STREAM_SPLIT,
    DATA_PAGE,
    PLAIN,
    RLE_DICTIONARY,
)
from appliance.flowlog.parquet.thrift import Struct, read_struct
from appliance.flows import AnyArray

FEW_RANGES = 2000
"""Up to so many leave most of 65,536 keys free; of more a key has three octets."""

_CODECS = {"UNCOMPRESSED": None, "ZSTD": "zstd", "LZ4": "lz4_raw"}
_PAGE_SLACK = 4096
"""So many octets a page has at most beside 9 for each row."""

_UNREADABLE = (
    pa.ArrowException, ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError,
    struct.error,
)  # fmt: skip
"""What damaged pages and footers are told by."""


class ValueRanges:
    """Ranges of numbers of 64 bits.

    Parameters
    ----------
    ranges
        First and last number of each, both included; at least one. They may overlap.
    telling_octet
        The octet, from the lowest, in which numbers differ most; it is looked at first, with one or
        two below it.
    """

    def __init__(self, ranges: Sequence[tuple[int, int]], telling_octet: int) -> None:
        firsts, lasts = (np.array(ends, np.uint64) for ends in zip(*sorted(ranges), strict=True))
        lasts = np.maximum.accumulate(lasts)
        starts = np.flatnonzero(np.append(True, firsts[1:] > lasts[:-1]))
        self._firsts, self._lasts = firsts[starts], lasts[np.append(starts[1:] - 1, -1)]
        width = 2 if len(starts) <= FEW_RANGES else 3
        self._octets = range(telling_octet - width + 1, telling_octet + 1)
        self._is_near = self._near_keys()

    def _near_keys(self) -> AnyArray:
        """Return for each value of the octets that are looked at first whether a range has it."""
        n_keys = 1 << 8 * len(self._octets)
        first, last = (
            ends >> np.uint64(8 * self._octets.start) for ends in (self._firsts, self._lasts)
        )
        if (last - first >= n_keys - 1).any():
            return np.ones(n_keys, np.bool_)
        begin, end = ((ends % np.uint64(n_keys)).astype(np.int64) for ends in (first, last))
        begin = np.append(begin, np.zeros(int((begin > end).sum()), np.int64))  # over the end
        starts, ends = (np.bincount(keys, minlength=n_keys + 1) for keys in (begin, end + 1))
        near: AnyArray = np.cumsum(starts - ends)[:n_keys] > 0
        return near

    def has_any(self, values: AnyArray) -> bool:
        """Tell whether any of some numbers is in a range; dtype uint64, shape (n,)."""
        place = np.searchsorted(self._firsts, values, "right")
        return bool(((place > 0) & (values <= self._lasts[place - 1])).any())

    def has_any_split(self, streams: AnyArray) -> bool:
        """Tell the same of numbers whose octets are apart.

        Parameters
        ----------
        streams
            dtype uint8, shape (8, n): the lowest octet of each number, then the next one.
        """
        kind = np.uint16 if len(self._octets) == 2 else np.uint32
        *lower, highest = self._octets
        keys = streams[highest].astype(kind)
        for place in reversed(lower):
            keys <<= kind(8)
            keys |= streams[place]
        rows = np.flatnonzero(self._is_near.take(keys))
        values: AnyArray = np.zeros(len(rows), np.uint64)
        for stream in streams[::-1] if len(rows) else ():
            values <<= np.uint64(8)
            values |= stream[rows]
        return bool(len(rows)) and self.has_any(values)


def may_hold(path: Path, wanted: Mapping[str, ValueRanges]) -> bool:
    """Tell whether a file may have a value of a range.

    Parameters
    ----------
    wanted
        By column of 64 bits; one value in one column is enough.

    Returns
    -------
    bool
        True also where that cannot be told: a damaged file is for others to find.
    """
    try:
        metadata = pq.read_metadata(path)
        names = metadata.schema.to_arrow_schema().names
        with path.open("rb") as file:
            return any(
                _chunk_may_hold(file, group.column(names.index(name)), ranges)
                for group in map(metadata.row_group, range(metadata.num_row_groups))
                for name, ranges in wanted.items()
                if name in names
            )
    except _UNREADABLE:
        return True


def _chunk_may_hold(file: BinaryIO, column: Any, ranges: ValueRanges) -> bool:
    """Tell whether a column chunk has a value of a range."""
    if column.physical_type != "INT64":
        return True
    for encoding, octets in _pages(file, column):
        if encoding == RLE_DICTIONARY:
            continue  # its values are in the dictionary
        n_values = len(octets) // 8
        if encoding == BYTE_STREAM_SPLIT:
            found = ranges.has_any_split(octets.reshape(8, n_values))
        elif encoding == PLAIN:
            found = ranges.has_any(octets.view(np.uint64))
        else:
            found = True
        if found:
            return True
    return False


def _pages(file: BinaryIO, column: Any) -> Iterator[tuple[int, AnyArray]]:
    """Yield the encoding and the values' octets of each page, dtype uint8; none of indices."""
    first = column.data_page_offset
    if column.has_dictionary_page:
        first = min(first, column.dictionary_page_offset)
    file.seek(first)
    chunk = file.read(column.total_compressed_size)
    codec = _CODECS[column.compression]
    most = column.num_values * 9 + _PAGE_SLACK
    place = 0
    while place < len(chunk):
        header, start = read_struct(chunk, place)
        place = start + header[3].value
        kind, size = header[1].value, header[2].value
        encoding = _encoding(kind, header)
        if encoding == RLE_DICTIONARY:
            yield encoding, np.empty(0, np.uint8)
            continue
        if not 0 <= size <= most:
            raise ValueError(f"page of {size} octets")
        page = memoryview(chunk)[start:place]
        body = page if codec is None else pa.Codec(codec).decompress(page, size)
        octets: AnyArray = np.frombuffer(body, np.uint8)
        if kind == DATA_PAGE:  # definition levels, with their length before them
            octets = octets[4 + int.from_bytes(octets[:4].tobytes(), "little") :]
        yield encoding, octets


def _encoding(kind: int, header: Struct) -> int:
    """Return the encoding of a page; any sort that we do not write is a LookupError."""
    encoding: int = header[5 if kind == DATA_PAGE else 7].value[2].value
    return encoding
