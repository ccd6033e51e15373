"""Answers for programs: CSV, JSON lines, Parquet.

Times are ISO 8601 in UTC, octets as received are hexadecimal, what a record does not have is left
empty, or out in JSON. In CSV a text that a spreadsheet would take for a formula has an apostrophe
before it: names come from exporters, and whoever opens the file must not run what they say.
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

from appliance.atomic_files import atomic_write
from appliance.errors import InvalidQueryError

_CHUNK_ROWS = 10_000
_MODE = 0o640
"""Of a new file: flows tell who talked to whom."""

FORMULA_LETTERS = "=+@\t\r-"
"""What spreadsheets begin to calculate at (OWASP, CSV injection)."""


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
    refuse_terminal(form, path)
    with open_output(path) as sink:
        if form == "parquet":
            pq.write_table(table, pa.PythonFile(sink, mode="w"), compression="zstd")
        elif form == "csv":
            sink.write(csv_octets(table))
        else:
            for start in range(0, table.num_rows, _CHUNK_ROWS):
                sink.write(json_octets(table.slice(start, _CHUNK_ROWS)))


def refuse_terminal(form: str, path: Path | None) -> None:
    """Raise an InvalidQueryError where what no terminal shows would go to one."""
    if form in ("parquet", "ipfix") and path is None and sys.stdout.isatty():
        raise InvalidQueryError(f"{form} is not for a terminal: give --output FILE")


def write_text(text: str, path: Path | None) -> None:
    """Write a text to a file, or to standard output."""
    with open_output(path) as sink:
        sink.write(text.encode())


@contextmanager
def open_output(path: Path | None) -> Iterator[IO[bytes]]:
    """Open a file for an answer, or standard output.

    A file appears when it is whole; one that was there stays until then. A device or a pipe is
    written to.

    Raises
    ------
    OSError
        It cannot be written.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif path.is_file() or not path.exists():
        with atomic_write(path.resolve(), _MODE, keep=path.exists()) as file:
            yield file
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


def csv_octets(table: Any, *, has_heading: bool = True) -> bytes:
    """Return an answer as CSV (RFC 4180, lines end in \\n)."""
    texts = answer_texts(_without_formulas(table))
    sink = pa.BufferOutputStream()
    pa.csv.write_csv(texts, sink, pa.csv.WriteOptions(include_header=has_heading))
    return bytes(sink.getvalue())


def _without_formulas(table: Any) -> Any:
    for place, field in enumerate(table.schema):
        if not pa.types.is_string(field.type) or field.name.endswith("_address"):
            continue
        column = table.column(place)
        is_formula = pc.fill_null(pc.match_substring_regex(column, f"^[{FORMULA_LETTERS}]"), False)
        if pc.any(is_formula).as_py():
            quoted = pc.binary_join_element_wise("'", column, "")
            column = pc.if_else(is_formula, quoted, column)
            table = table.set_column(place, field.name, column)
    return table


def json_octets(table: Any) -> bytes:
    """Return an answer as JSON, an object and a line for each row; column by column, as a loop over
    rows takes ten times as long.
    """
    texts = answer_texts(table)
    cells = [
        pc.binary_join_element_wise(f"{json.dumps(field.name)}: ", _json_values(column), "")
        for field, column in zip(texts.schema, texts.columns, strict=True)
    ]
    if not texts.num_rows:
        return b""
    lines = pc.binary_join_element_wise(*cells, ", ", null_handling="skip")
    return "".join(f"{{{line}}}\n" for line in lines.to_pylist()).encode()


def _json_values(column: Any) -> Any:
    """Return each value as JSON text, null where there is none."""
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return pc.cast(column, pa.string())
    # Texts and broken numbers: many rows have few of them.
    encoded = pa.chunked_array([pc.dictionary_encode(column.combine_chunks())])
    chunks = []
    for chunk in encoded.chunks:
        written = [json.dumps(value, ensure_ascii=False) for value in chunk.dictionary.to_pylist()]
        chunks.append(pa.array(written, pa.string()).take(chunk.indices))
    return pa.chunked_array(chunks, pa.string())
