"""Rows of the flow log as blocks for ClickHouse: the flows themselves, and their sums by minute.

Equal rows make equal octets, so that a block that is sent again is known for the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from appliance.flowlog import Rows
from appliance.flowlog.reader import Span
from appliance.flows import COLLECTION_TIME, COLUMN, AnyArray, RecordKind, columns_of_log
from appliance.plugins.clickhouse.native import NativeColumn, encode_block
from appliance.plugins.clickhouse.schema import (
    DAY_SECONDS,
    PERIOD_SECONDS,
    SUM_KEYS,
    column_type,
    sum_columns,
)

LARGEST_COUNT = 1 << 48
"""Of one record, scaled: what claims more than 281 TB is summed up as that much, so that no sum
leaves 64 bits."""

LARGEST_RATE = 1 << 32
LAST_SECOND = (1 << 32) - 1
_SUMMED = ("octets", "packets", "flows", "rows")


@dataclass(frozen=True, slots=True)
class Block:
    """What is inserted at once.

    Attributes
    ----------
    names
        Of its columns.
    octets
        In the Native format.
    """

    names: list[str]
    octets: bytes


class FlowPiece:
    """Adjacent rows of the log, as columns.

    Attributes
    ----------
    seconds
        When each was received, UTC; uint32, as ClickHouse's DateTime.
    """

    def __init__(self, pieces: Sequence[Rows], spans: Sequence[Span]) -> None:
        self.pieces, self.spans = [p for p in pieces if p.n_rows], list(spans)
        self.n_rows = sum(piece.n_rows for piece in self.pieces)
        times, _ = self.column(COLLECTION_TIME)
        self.seconds = np.clip(times // 1000, 0, LAST_SECOND).astype(np.uint32)

    def column(self, name: str) -> tuple[AnyArray, AnyArray | None]:
        """Return the values of a column and which are absent (None: none is)."""
        if len(self.pieces) == 1:
            return _values(self.pieces[0], name)
        parts = [_values(piece, name) for piece in self.pieces]
        if not parts:
            return np.zeros(0, COLUMN[name].dtype), None
        values = np.concatenate([part for part, _ in parts])
        if all(nulls is None for _, nulls in parts):
            return values, None
        masks = [np.zeros(len(part), bool) if n is None else n for part, n in parts]
        return values, np.concatenate(masks)

    def has(self, name: str) -> bool:
        """Tell whether a row may have a value in a column."""
        return any(name in piece.arrays or name in piece.constants for piece in self.pieces)

    def day_rows(self) -> int:
        """Return how many rows from the first are of one day."""
        days = self.seconds // DAY_SECONDS
        other = np.flatnonzero(days != days[:1])
        return int(other[0]) if len(other) else self.n_rows

    def take(self, rows: AnyArray) -> FlowPiece:
        """Return a copy of some rows, by their numbers, which rise; without their places."""
        pieces, start = [], 0
        for piece in self.pieces:
            first, end = np.searchsorted(rows, (start, start + piece.n_rows))
            pieces.append(piece.take(rows[first:end] - start))
            start += piece.n_rows
        return FlowPiece(pieces, ())

    def first_rows(self, n: int) -> FlowPiece:
        """Return the first rows."""
        if n >= self.n_rows:
            return self
        pieces, spans, left = [], [], n
        for piece in self.pieces:
            pieces.append(piece.slice(0, left))
            left -= pieces[-1].n_rows
        left = n
        for span in self.spans:
            spans.append(span._replace(n_rows=min(left, span.n_rows)))
            left -= spans[-1].n_rows
        return FlowPiece(pieces, [span for span in spans if span.n_rows])


def flow_block(piece: FlowPiece, collector: str, batch: int) -> Block:
    """Return the rows of `flows`; columns that no row has are left out."""
    n = piece.n_rows
    spans = piece.spans
    rows = [np.arange(span.first, span.first + span.n_rows, dtype=np.uint32) for span in spans]
    segments = np.repeat([span.segment for span in spans], [span.n_rows for span in spans])
    columns = [
        NativeColumn("collector", "String", constant_column(collector, n)),
        NativeColumn("segment", "UInt64", segments),
        NativeColumn("row", "UInt32", np.concatenate(rows)),
        NativeColumn("batch", "UInt64", np.broadcast_to(np.uint64(batch), n)),
        NativeColumn("period", "DateTime", piece.seconds // PERIOD_SECONDS * PERIOD_SECONDS),
    ]
    return block_of([*columns, *log_columns(piece)], n)


def log_columns(piece: FlowPiece) -> list[NativeColumn]:
    """Return the columns of the flow log that a row has."""
    columns = []
    for column in columns_of_log(False):
        if piece.has(column.name):
            values, nulls = piece.column(column.name)
            columns.append(NativeColumn(column.name, column_type(column), values, nulls))
    return columns


def block_of(columns: Sequence[NativeColumn], n_rows: int) -> Block:
    """Return a block of columns."""
    return Block([column.name for column in columns], encode_block(columns, n_rows))


def sum_block(piece: FlowPiece, collector: str, batch: int) -> Block:
    """Return the rows of `sums`, and one more of zeros that marks the batch.

    Sums of several batches become one row later, and no longer tell which they are of; the marked
    row stays by itself, and is there when the others are, as a block is stored as a whole.
    """
    table = pa.table({"minute": piece.seconds // 60 * 60, **dict(_key_arrays(piece))})
    for name, values in _measures(piece).items():
        table = table.append_column(name, pa.array(values))
    grouped = table.group_by(["minute", *SUM_KEYS], use_threads=False).aggregate(
        [(name, "sum") for name in _SUMMED]
    )
    n = grouped.num_rows + 1
    columns = []
    for name, kind in sum_columns():
        if name == "collector":
            values = constant_column(collector, n)
        elif name in ("batch", "markers"):
            values = np.zeros(n, np.uint64)
            values[-1] = batch if name == "batch" else 1
        else:
            values = _with_mark(grouped, name)
        columns.append(NativeColumn(name, kind, values))
    return block_of(columns, n)


def _with_mark(grouped: Any, name: str) -> AnyArray:
    """Return a column of sums, and its value in the marked row."""
    values: AnyArray = grouped[f"{name}_sum" if name in _SUMMED else name].to_numpy()
    last = values[:1] if name == "minute" else np.zeros(1, values.dtype)
    return np.concatenate([values, last])


def _key_arrays(piece: FlowPiece) -> Iterator[tuple[str, AnyArray]]:
    for name in SUM_KEYS:
        values, nulls = piece.column(name)
        absent = COLUMN[name].dtype.type(COLUMN[name].absent)
        yield name, values if nulls is None else np.where(nulls, absent, values)


def _measures(piece: FlowPiece) -> dict[str, AnyArray]:
    kind, _ = piece.column("record_kind")
    is_flow = kind == RecordKind.FLOW
    rates, absent = piece.column("sampling_rate")
    sane = (rates >= 1) & (rates <= LARGEST_RATE)
    rates = np.where(sane if absent is None else sane & ~absent, rates, 1.0)
    measures = {"rows": np.ones(piece.n_rows, np.uint64)}
    for name, column in (("octets", "octet_delta_count"), ("packets", "packet_delta_count")):
        values, _ = piece.column(column)
        counts = np.minimum(values, np.uint64(LARGEST_COUNT))
        if (rates != 1).any():
            scaled = np.minimum(np.rint(values * rates), LARGEST_COUNT).astype(np.uint64)
            counts = np.where(rates == 1, counts, scaled)
        measures[name] = np.where(is_flow, counts, np.uint64(0))
    counts, absent = piece.column("delta_flow_count")
    counts = counts if absent is None else np.where(absent, np.uint64(1), counts)
    counts = np.minimum(counts, np.uint64(LARGEST_COUNT))
    measures["flows"] = np.where(is_flow, counts, np.uint64(0))
    return measures


def _values(piece: Rows, name: str) -> tuple[AnyArray, AnyArray | None]:
    """Return values, 0 or "" where there is none, and which these are."""
    column = COLUMN[name]
    is_text = column.dtype.kind == "O"
    if name in piece.constants:
        constant = piece.constants[name]
        return constant_column(constant, piece.n_rows, None if is_text else column.dtype), None
    if name not in piece.arrays:
        nothing = constant_column(
            "" if is_text else 0, piece.n_rows, None if is_text else column.dtype
        )
        return nothing, np.ones(piece.n_rows, bool)
    array = piece.arrays[name]
    if not array.null_count:
        return _numpy(array, column.dtype), None
    nulls = array.is_null().to_numpy(zero_copy_only=False)
    return _numpy(array.fill_null("" if is_text else 0), column.dtype), nulls


def _numpy(array: Any, dtype: np.dtype[Any]) -> AnyArray:
    is_chunked = isinstance(array, pa.ChunkedArray)
    values: AnyArray = array.to_numpy() if is_chunked else array.to_numpy(zero_copy_only=False)
    return values.astype(dtype, copy=False)


def constant_column(value: object, n: int, dtype: np.dtype[Any] | None = None) -> AnyArray:
    """Return n times the same, as objects where no dtype is named."""
    return np.broadcast_to(np.array([value], object if dtype is None else dtype), n)
