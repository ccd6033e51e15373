"""What DuckDB reads of a flow log: sealed files, which are held open, and rows of journals."""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are parameters.

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from appliance.flowlog.names import LogFile
from appliance.flowlog.parquet import ParquetFile
from appliance.flowlog.questions import Statement
from appliance.flowlog.samples.files import SampleFile, SamplePiece
from appliance.flowlog.schema import Rows, arrow_type, family_schema
from appliance.flows import COLLECTION_TIME

PINNED_FILES = 256
"""So many of the newest files are held open while a question runs; older ones are not merged any
more."""

DESCRIPTORS = Path("/proc/self/fd")


class Source(NamedTuple):
    """Where the records of a family are: paths of sealed files, and rows of journals.

    Attributes
    ----------
    copies
        Whether the rows are copied into DuckDB, which says how far it is only in what it owns.
    """

    paths: list[str]
    rows: list[Rows]
    copies: bool = False


def sample_select(connection: Any, path: str, piece: SamplePiece, columns: list[str]) -> str:
    """Return the SELECT over what is read of one sample."""
    source = Source([path], [])
    sealed = sealed_columns(connection, source)
    selected = [
        name if name in sealed else f"NULL::{_sql_type(name)} AS {name}" for name in columns
    ]
    time = f"{COLLECTION_TIME} >= {piece.from_ms} AND {COLLECTION_TIME} < {piece.to_ms}"
    return f"SELECT {', '.join(selected)} FROM {_sealed_sql(source)} WHERE {time}"


def pin_files(files: Sequence[LogFile | SampleFile], held: ExitStack) -> list[str]:
    """Return paths that DuckDB can open whatever is deleted meanwhile."""
    paths = [str(file.path) for file in files[:-PINNED_FILES]]
    for file in files[-PINNED_FILES:]:
        descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        held.callback(os.close, descriptor)
        paths.append(str(DESCRIPTORS / str(descriptor)) if DESCRIPTORS.exists() else str(file.path))
    return paths


def _sealed_sql(source: Source) -> str:
    """Return what reads the sealed files; written out, since a view takes no parameters."""
    paths = ", ".join("'" + path.replace("'", "''") + "'" for path in source.paths)
    return f"read_parquet([{paths}], union_by_name = true)"


def sealed_columns(connection: Any, source: Source) -> set[str]:
    """Return the columns that any of the sealed files has."""
    if not source.paths:
        return set()
    connection.execute(f"DESCRIBE SELECT * FROM {_sealed_sql(source)}")
    return {row[0] for row in connection.fetchall()}


def statement_relation(connection: Any, source: Source, statement: Statement, options: bool) -> Any:
    """Return the lazy relation of a statement over a source."""
    columns = sorted(statement.columns)
    sealed = sealed_columns(connection, source)
    relation = source_select(connection, source, sealed, columns, options)
    sql = f"WITH log AS NOT MATERIALIZED ({relation}) {statement.sql}"
    return connection.sql(sql, params=statement.parameters)


def source_select(
    connection: Any, source: Source, sealed: set[str], columns: list[str], options: bool
) -> str:
    """Return the SELECT over journals and sealed files.

    Parameters
    ----------
    sealed
        Those of `columns` that sealed files have, and others; a column that is not there is null.
    """
    journal_rows = f"journal_rows_{options:d}"
    connection.register(journal_rows, _journal_table(source.rows, columns, options))
    if source.copies:
        connection.execute(f"CREATE TEMP TABLE own_{journal_rows} AS FROM {journal_rows}")
        journal_rows = f"own_{journal_rows}"
    newest = f"SELECT {', '.join(columns)} FROM {journal_rows}"
    if not source.paths:
        return newest
    selected = [
        name if name in sealed else f"NULL::{_sql_type(name)} AS {name}" for name in columns
    ]
    sealed_rows = f"SELECT {', '.join(selected)} FROM {_sealed_sql(source)}"
    return f"{sealed_rows} UNION ALL {newest}" if source.rows else sealed_rows


def _sql_type(name: str) -> str:
    kinds = {
        pa.uint8(): "UTINYINT",
        pa.uint16(): "USMALLINT",
        pa.uint32(): "UINTEGER",
        pa.uint64(): "UBIGINT",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.string(): "VARCHAR",
        pa.binary(): "BLOB",
    }
    return kinds[arrow_type(name)]


def _journal_table(rows: list[Rows], columns: list[str], options: bool) -> Any:
    schema = family_schema(options)
    fields = [
        schema.field(name) if name in schema.names else pa.field(name, arrow_type(name))
        for name in columns
    ]
    tables = [piece.table(columns) for piece in rows]
    wanted = pa.schema(fields)
    return pa.concat_tables([wanted.empty_table(), *tables])


def check_file(path: Path) -> None:
    """Read a whole file the careful way.

    Raises
    ------
    DamagedFile
        Something in it is not what was written.
    """
    file = ParquetFile(path)
    try:
        for index in range(len(file.groups)):
            file.read(index)
    finally:
        file.close()
