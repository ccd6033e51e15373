"""Answers for programs: CSV, JSON lines, Parquet.

Times are ISO 8601 in UTC, octets as received are hexadecimal, what a record does not have is left
empty, or out in JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from appliance.errors import InvalidQueryError

_CHUNK_ROWS = 10_000


def write_answer(table: Any, form: str, path: Path | None) -> None:
    """Write an answer to a file, or to standard output.

    Parameters
    ----------
    form
        "parquet", "csv" or "json".

    Raises
    ------
    InvalidQueryError
        Parquet would go to a terminal.
    OSError
        The file cannot be written.
    """
    if form == "parquet" and path is None and sys.stdout.isatty():
        raise InvalidQueryError("parquet is not for a terminal: give --output FILE")
    with _sink(path) as sink:
        if form == "parquet":
            pq.write_table(table, pa.PythonFile(sink, mode="w"), compression="zstd")
        elif form == "csv":
            pa.csv.write_csv(answer_texts(table), pa.PythonFile(sink, mode="w"))
        else:
            sink.writelines(_json_lines(answer_texts(table)))


def write_text(text: str, path: Path | None) -> None:
    """Write a text to a file, or to standard output."""
    with _sink(path) as sink:
        sink.write(text.encode())


@contextmanager
def _sink(path: Path | None) -> Iterator[IO[bytes]]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with path.open("wb") as file:
            yield file


def answer_texts(table: Any) -> Any:
    """Return an answer whose times and octets are texts."""
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if pa.types.is_timestamp(field.type):
            exact = pc.cast(column, pa.timestamp("ms"), safe=False)
            column = pc.strftime(exact, "%Y-%m-%dT%H:%M:%SZ")
        elif pa.types.is_binary(field.type):
            octets = [None if value is None else value.hex() for value in column.to_pylist()]
            column = pa.array(octets, pa.string())
        elif pa.types.is_decimal(field.type) and field.type.scale == 0:
            column = _integers(column)
        elif not _is_plain(field.type):
            texts = [None if value is None else str(value) for value in column.to_pylist()]
            column = pa.array(texts, pa.string())
        table = table.set_column(place, field.name, column)
    return table


def _integers(column: Any) -> Any:
    """Return sums, which SQL makes 128 bits wide, as integers; as text where one does not fit."""
    try:
        return pc.cast(column, pa.int64())
    except pa.ArrowInvalid:
        return pc.cast(column, pa.string())


def _is_plain(kind: Any) -> bool:
    """Tell whether CSV and JSON have a form for a type: text, truth, a number."""
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
    )


def _json_lines(table: Any) -> Iterator[bytes]:
    for batch in table.to_batches(max_chunksize=_CHUNK_ROWS):
        for row in batch.to_pylist():
            present = {name: value for name, value in row.items() if value is not None}
            yield json.dumps(present, ensure_ascii=False).encode() + b"\n"
