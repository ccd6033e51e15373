"""Any number of flows as CSV, JSON lines, Parquet or IPFIX, piece by piece: memory does not grow
with their number."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from appliance.flowlog.message_export import MessageWriter, fields_of
from appliance.flowlog.number_names import with_number_names
from appliance.flowlog.output import csv_octets, json_octets
from appliance.flowlog.questions import LOG_ORDER, FlowQuestion, shown_columns

if TYPE_CHECKING:
    from appliance.flowlog.search import FlowSearch

TEXT_ROWS = 4_096
GROUP_ROWS = 131_072
"""Rows of a piece of text, and of a row group of Parquet."""


class FlowExport:
    """The flows that match a question, in the order of the log, to be read once.

    Parameters
    ----------
    question
        Its order does not count.
    form
        A key of `appliance.flowlog.forms.CONTENT_TYPES`.

    Raises
    ------
    InvalidQueryError
        The form has no place for a column.

    Attributes
    ----------
    n_rows
        How many flows have been taken so far.
    """

    def __init__(self, search: FlowSearch, question: FlowQuestion, form: str) -> None:
        if form == "ipfix":
            fields_of(question.columns or shown_columns(False, ()))
        self.n_rows = 0
        self._search, self._question, self._form = search, question, form

    def most_rows(self) -> int:
        """Return how many flows there may be at most; those that do not match are counted too.

        Raises
        ------
        StorageError
            The log cannot be read.
        """
        question = self._question
        rows = self._search.rows_between(question.since_ms, question.until_ms)
        return rows if question.limit is None else min(rows, question.limit)

    def pieces(self) -> Iterator[bytes]:
        """Yield the octets of the export; the first come when the first flows were found.

        Raises
        ------
        QueryError
            The question is not understood or ran into a limit.
        StorageError
            The log cannot be read.
        """
        tables = self._tables()
        if self._form == "parquet":
            yield from _parquet(tables)
        elif self._form == "ipfix":
            yield from _messages(tables)
        else:
            yield from _text(tables, self._form)

    def _tables(self) -> Iterator[Any]:
        """Yield the flows as tables, the first without rows, and count them."""
        question = replace(self._question, order=LOG_ORDER)
        for batch in self._search.stream_flows(question):
            self.n_rows += batch.num_rows
            table = pa.Table.from_batches([batch])
            yield table if self._form == "ipfix" else with_number_names(table)


def _text(tables: Iterator[Any], form: str) -> Iterator[bytes]:
    has_heading = form == "csv"
    for table in tables:
        if has_heading:
            yield csv_octets(table.slice(0, 0))
            has_heading = False
        for start in range(0, table.num_rows, TEXT_ROWS):
            rows = table.slice(start, TEXT_ROWS)
            yield csv_octets(rows, has_heading=False) if form == "csv" else json_octets(rows)


def _messages(tables: Iterator[Any]) -> Iterator[bytes]:
    writer = MessageWriter(next(tables).column_names, int(time.time()))
    for table in tables:
        yield from writer.messages(table)


def _parquet(tables: Iterator[Any]) -> Iterator[bytes]:
    schema = next(tables).schema
    sink = _Pieces()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        group: list[Any] = []
        for table in tables:
            group.append(table)
            if sum(part.num_rows for part in group) >= GROUP_ROWS:
                writer.write_table(pa.concat_tables(group))
                group = []
                yield sink.take()
        if group:
            writer.write_table(pa.concat_tables(group))
    yield sink.take()


class _Pieces(io.RawIOBase):
    """A file to write to, from whose front the octets are taken away."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._taken = 0

    def writable(self) -> bool:
        return True

    def write(self, octets: Any) -> int:
        self._parts.append(bytes(octets))
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._taken + sum(map(len, self._parts))

    def take(self) -> bytes:
        """Return what was written since the last time."""
        octets = b"".join(self._parts)
        self._taken += len(octets)
        self._parts = []
        return octets
