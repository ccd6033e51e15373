"""What DuckDB reads of a flow log: sealed files, which are held open, and rows of journals."""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are parameters.

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.names import LogFile
from appliance.flowlog.parquet import ParquetFile
from appliance.flowlog.parquet.seeking import ValueRanges, may_hold
from appliance.flowlog.questions import FileTest, Statement
from appliance.flowlog.samples.drawing import SIZE_SQL, SIZED_BY
from appliance.flowlog.samples.files import PRIORITY, THRESHOLD, WEIGHT, SampleFile, SamplePiece
from appliance.flowlog.schema import Rows, arrow_type, family_schema
from appliance.flows import COLLECTION_TIME

PINNED_FILES = 256
"""So many of the newest files are held open while a question runs; older ones are not merged any
more."""

FREQUENT = 1 / 1000
"""From such a share of matching records on one pass is faster: 2048 are skipped together."""

TRIED_ROWS = 50_000

_TELLING_OCTETS = {"lo": 3, "hi": 5}
"""By half of an address: the first octet of IPv4, and the second group of four digits of IPv6."""

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


def samples_select(
    connection: Any, paths: Sequence[str], pieces: Sequence[SamplePiece], columns: list[str]
) -> str:
    """Return the SELECT over what is read of samples.

    Files that are read alike are read together: over many relations DuckDB groups twice as slowly.

    Parameters
    ----------
    paths
        Of the sample of each piece.
    """
    since_ms, until_ms = min(p.from_ms for p in pieces), max(p.to_ms for p in pieces)
    alike: dict[tuple[int, int, float], list[str]] = {}
    for path, piece in zip(paths, pieces, strict=True):
        file = piece.file
        whole = max(file.from_ms, since_ms), min(file.to_ms, until_ms)
        read = (piece.from_ms, piece.to_ms)
        span = (since_ms, until_ms) if read == whole else read
        alike.setdefault((*span, piece.thinning), []).append(path)
    return " UNION ALL ".join(
        _alike_select(connection, Source(files, []), time, thinning, columns)
        for (*time, thinning), files in alike.items()
    )


def _alike_select(
    connection: Any,
    source: Source,
    time: Sequence[int],
    thinning: float,
    columns: list[str],
) -> str:
    """Return the SELECT over samples that are read for the same time and as densely."""
    sealed = sealed_columns(connection, source)
    from_ms, to_ms = time
    received = f"{COLLECTION_TIME} >= {from_ms} AND {COLLECTION_TIME} < {to_ms}"
    if thinning == 1:
        return f"SELECT {_select_list(sealed, columns)} FROM {_sealed_sql(source)} WHERE {received}"
    sized = sorted({*columns, *SIZED_BY})
    every = (
        f"SELECT {_select_list(sealed, sized)}, {PRIORITY}, {THRESHOLD} FROM {_sealed_sql(source)}"
    )
    threshold = f"{THRESHOLD} * {thinning!r}"
    weight = f"greatest(1.0, {threshold} / {SIZE_SQL}) AS {WEIGHT}"
    chosen = ", ".join(weight if name == WEIGHT else name for name in columns)
    return f"SELECT {chosen} FROM ({every} WHERE {received} AND {PRIORITY} > {threshold})"


def pin_files(files: Sequence[LogFile | SampleFile], held: ExitStack) -> list[str]:
    """Return paths that DuckDB can open whatever is deleted meanwhile."""
    paths = [str(file.path) for file in files[:-PINNED_FILES]]
    for file in files[-PINNED_FILES:]:
        descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        held.callback(os.close, descriptor)
        paths.append(str(DESCRIPTORS / str(descriptor)) if DESCRIPTORS.exists() else str(file.path))
    return paths


def _sealed_sql(source: Source, *options: str) -> str:
    """Return what reads the sealed files; written out, since a view takes no parameters."""
    paths = ", ".join("'" + path.replace("'", "''") + "'" for path in source.paths)
    return f"read_parquet({', '.join((f'[{paths}]', 'union_by_name = true', *options))})"


def sealed_columns(connection: Any, source: Source) -> set[str]:
    """Return the columns that any of the sealed files has."""
    if not source.paths:
        return set()
    connection.execute(f"DESCRIBE SELECT * FROM {_sealed_sql(source)}")
    return {row[0] for row in connection.fetchall()}


def statement_relation(
    connection: Any, source: Source, statement: Statement, options: bool, limits: QueryLimits
) -> Any:
    """Return the lazy relation of a statement over a source."""
    columns = sorted(statement.columns)
    if statement.file_test:
        source = _files_with_any(source, statement.file_test, limits)
    sealed = sealed_columns(connection, source)
    relation = source_select(connection, source, sealed, columns, options)
    sql = statement.sql
    one_pass = statement.one_pass
    if one_pass and _matches_many(
        connection, source, one_pass.where, one_pass.parameters, one_pass.columns
    ):
        sql = one_pass.sql
    return connection.sql(
        f"WITH log AS NOT MATERIALIZED ({relation}) {sql}", params=statement.parameters
    )


def _files_with_any(source: Source, test: FileTest, limits: QueryLimits) -> Source:
    """Leave out the sealed files in which no record passes the test.

    After half of the time that a question has, all others are read.
    """
    wanted = {
        name: ValueRanges(ranges, _TELLING_OCTETS[name[-2:]])
        for name, ranges in test.wanted.items()
    }
    until = time.monotonic() + limits.seconds / 2
    with ThreadPoolExecutor(limits.threads) as pool:
        kept = pool.map(
            lambda path: time.monotonic() > until or may_hold(Path(path), wanted), source.paths
        )
        return source._replace(
            paths=[path for path, keep in zip(source.paths, kept, strict=True) if keep]
        )


def _matches_many(
    connection: Any,
    source: Source,
    where: str,
    parameters: dict[str, Any],
    reads: frozenset[str],
) -> bool:
    """Tell whether many records match, by the first rows of the newest sealed file."""
    if not source.paths:
        return True
    newest = source._replace(paths=source.paths[-1:])
    # A list without an address is a condition without a column.
    columns = _select_list(sealed_columns(connection, newest), sorted(reads)) or "NULL"
    sql = (
        f"SELECT count(*) FILTER (WHERE {where}), count(*)"
        f" FROM (SELECT {columns} FROM {_sealed_sql(newest)} LIMIT {TRIED_ROWS})"
    )
    connection.execute(sql, parameters)
    [(matching, tried)] = connection.fetchall()
    return bool(matching > tried * FREQUENT)


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
    sealed_rows = f"SELECT {_select_list(sealed, columns)} FROM {_sealed_sql(source)}"
    return f"{sealed_rows} UNION ALL {newest}" if source.rows else sealed_rows


def _select_list(sealed: set[str], columns: Sequence[str]) -> str:
    """Return the select list of columns, null where no sealed file has them."""
    return ", ".join(
        name if name in sealed else f"NULL::{_sql_type(name)} AS {name}" for name in columns
    )


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
