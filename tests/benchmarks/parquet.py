"""What Parquet by hand saves next to pyarrow: CPU and octets of writing and joining.

A million flows in each shape, in pieces as journals have them. pyarrow gets a table of the columns
that are present: `pyarrow` with its defaults and zstd, `tuned` with the encodings of
`appliance.flowlog.parquet.encoding` for columns of many values. Four such files are joined: by hand
their row groups are copied, pyarrow reads and writes them. Best of three, in turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.flowlog.parquet import ParquetFile, ParquetWriter
from appliance.flowlog.parquet.encoding import SAMPLE_ROWS, encoding_of_varying
from appliance.flowlog.schema import Rows, arrow_type, family_schema
from appliance.flowlog.schema import rows_from_batch as rows_of
from appliance.flows import COLLECTION_TIME
from tests.benchmarks.bench_flowlog import batches, columns, cpu_ns

ROWS = 1_000_000
HOSTS = (10_000, 60_000, 200_000, 1_000_000)
TURNS = 3
JOINED = 4
SCHEMA = family_schema(False)


class Way(NamedTuple):
    """One way to write pieces to a file, and to join files into one."""

    write: Callable[[Sequence[Rows], Path], None]
    join: Callable[[Sequence[Path], Path], None]


def parquet(folder: Path) -> dict[str, Any]:
    """Return CPU nanoseconds and octets a flow, by shape and way."""
    folder.mkdir()
    report: dict[str, Any] = {}
    for hosts, kind in product(HOSTS, ("lean", "rich")):
        million = columns(ROWS, kind == "rich", hosts)
        pieces = [rows_of(batch) for batch in batches(million, ROWS)]
        report[f"{hosts} hosts, {kind}"] = _shape(pieces, folder)
    return report


def _shape(pieces: Sequence[Rows], folder: Path) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {
        name: {"write_ns": np.inf, "join_ns": np.inf} for name in WAYS
    }
    for _, (name, way) in product(range(TURNS), WAYS.items()):
        path, best = folder / f"{name}.parquet", figures[name]
        write_ns = cpu_ns(lambda way=way, path=path: way.write(pieces, path), ROWS)  # type: ignore[misc]
        parts = [path] * JOINED
        join_ns = cpu_ns(lambda way=way, parts=parts: way.join(parts, folder / "joined"), ROWS)  # type: ignore[misc]
        best["write_ns"] = min(best["write_ns"], write_ns)
        best["join_ns"] = min(best["join_ns"], join_ns / JOINED)
        best["octets"] = path.stat().st_size / ROWS
    return figures


def _write_by_hand(pieces: Sequence[Rows], path: Path) -> None:
    writer = ParquetWriter(path, SCHEMA)
    writer.encode(list(pieces))
    writer.finish([(1, ROWS)])


def _join_by_hand(parts: Sequence[Path], path: Path) -> None:
    writer = ParquetWriter(path, SCHEMA)
    for part in map(ParquetFile, parts):
        for group in part.groups:
            writer.copy(part, group)
        part.close()
    writer.finish([(1, ROWS * len(parts))])


def _table(pieces: Sequence[Rows]) -> Any:
    """Return the columns that any piece has."""
    present = {name for rows in pieces for name in (*rows.arrays, *rows.constants)}
    arrays = {
        name: pa.chunked_array([rows.array(name) for rows in pieces], arrow_type(name))
        for name in SCHEMA.names
        if name in present
    }
    return pa.table(arrays)


def _write_plain(table: Any, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", compression_level=1, row_group_size=ROWS)


def _write_tuned(table: Any, path: Path) -> None:
    varying = {
        name: encoding_of_varying(name, table.column(name))
        for name in table.column_names
        if len(table.column(name)[:: len(table) // SAMPLE_ROWS].unique()) > 256
    }
    codecs = {name: varying.get(name, ("", "zstd"))[1] for name in table.column_names}
    pq.write_table(
        table,
        path,
        row_group_size=ROWS,
        use_dictionary=[name for name in table.column_names if name not in varying],
        column_encoding={name: encoding for name, (encoding, _) in varying.items()},
        compression=codecs,
        compression_level={name: 1 for name, codec in codecs.items() if codec == "zstd"},
        write_statistics=[COLLECTION_TIME],
    )


def _by_pyarrow(write: Callable[[Any, Path], None]) -> Way:
    return Way(
        lambda pieces, path: write(_table(pieces), path),
        lambda parts, path: write(pa.concat_tables([pq.read_table(part) for part in parts]), path),
    )


WAYS = {
    "by hand": Way(_write_by_hand, _join_by_hand),
    "pyarrow": _by_pyarrow(_write_plain),
    "tuned": _by_pyarrow(_write_tuned),
}
