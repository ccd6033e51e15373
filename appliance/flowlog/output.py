"""Answers as text or files: a table for people, CSV, JSON lines, Parquet.

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
from appliance.protocols import PROTOCOL_NAMES

FORMATS = ("table", "csv", "json", "parquet")
_CHUNK_ROWS = 10_000
_SHORTER = (
    ("_milliseconds", ""),
    ("_transport_port", "_port"),
    ("_delta_count", "s"),
    ("_identifier", ""),
)


def write_answer(table: Any, form: str, path: Path | None) -> None:
    """Write an answer to a file, or to standard output.

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
            pa.csv.write_csv(_texts(table), pa.PythonFile(sink, mode="w"))
        elif form == "json":
            for line in _json_lines(_texts(table)):
                sink.write(line)
        else:
            sink.write(_rich_text(_texts(table), path is None).encode())


@contextmanager
def _sink(path: Path | None) -> Iterator[IO[bytes]]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with path.open("wb") as file:
            yield file


def _texts(table: Any) -> Any:
    """Turn times and octets into text."""
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if pa.types.is_timestamp(field.type):
            exact = pc.cast(column, pa.timestamp("ms"), safe=False)
            column = pc.strftime(exact, "%Y-%m-%dT%H:%M:%SZ")
        elif pa.types.is_binary(field.type):
            octets = [None if value is None else value.hex() for value in column.to_pylist()]
            column = pa.array(octets, pa.string())
        table = table.set_column(place, field.name, column)
    return table


def _json_lines(table: Any) -> Iterator[bytes]:
    for batch in table.to_batches(max_chunksize=_CHUNK_ROWS):
        for row in batch.to_pylist():
            present = {name: value for name, value in row.items() if value is not None}
            yield json.dumps(present, ensure_ascii=False).encode() + b"\n"


def _rich_text(table: Any, terminal: bool) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False)
    for field in table.schema:
        is_text = pa.types.is_string(field.type)
        shown.add_column(_heading(field.name), justify="left" if is_text else "right", no_wrap=True)
    names = table.schema.names
    for row in table.to_pylist():
        shown.add_row(*(Text(_cell(name, row[name])) for name in names))
    console = Console(color_system="auto" if terminal and sys.stdout.isatty() else None)
    if not console.is_terminal or not terminal:
        console.width = 10_000  # never cut a value that goes into a pipe or file
    with console.capture() as captured:
        console.print(shown)
    lines = (line.rstrip() for line in captured.get().splitlines())
    return "".join(f"{line}\n" for line in lines)


def _heading(name: str) -> str:
    for long, short in _SHORTER:
        name = name.removesuffix(long) + short if name.endswith(long) else name
    return name.replace("_", " ")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "protocol_identifier":
        return PROTOCOL_NAMES.get(value, str(value))
    return f"{value:g}" if isinstance(value, float) else str(value)
