"""What a table has more of than the flow log: rows that came to a bin after it was taken over.

A program that fills a table adds to a bin as long as flows of it are exported: with the start of a
flow as its time, a flow of half an hour comes half an hour late.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.contracts import COUNTERS
from appliance.flowlog import FlowQuestion, FlowSearch
from appliance.flows import COLUMN, FlowBatch

_SUMMED = (*COUNTERS, "delta_flow_count")


def rows_of_bin(folder: Path, start_ms: int, columns: Sequence[str]) -> Any:
    """Return what the flow log has of a bin, as a pyarrow table of these columns.

    Raises
    ------
    StorageError, QueryError
        The log cannot be read.
    """
    question = FlowQuestion(start_ms, start_ms + 1, limit=None, order=None, columns=tuple(columns))
    return FlowSearch(folder).flows(question)


def bin_columns(batches: Sequence[FlowBatch]) -> list[str]:
    """Return the columns that tell the flows of a bin apart or count them; times are the bin's."""
    names = {name for batch in batches for name in batch.columns}
    return sorted(name for name in names if not name.endswith("_milliseconds"))


def more_than(found: Sequence[FlowBatch], taken: Any) -> list[FlowBatch]:
    """Return flows with what a bin has more than was taken of it.

    What became less, because somebody deleted rows, stays as it was taken.

    Parameters
    ----------
    found
        All of the bin.
    taken
        A pyarrow table with the columns of `bin_columns`.
    """
    names = bin_columns(found)
    keys = [name for name in names if name not in _SUMMED]
    parts = [*(_with_sign(_table(batch, names), 1) for batch in found), _with_sign(taken, -1)]
    sums = [(name, "sum") for name in _SUMMED]
    grouped = pa.concat_tables(part.select([*keys, *_SUMMED]) for part in parts)
    grouped = grouped.group_by(keys).aggregate(sums)
    more = {name: np.maximum(grouped[f"{name}_sum"].to_numpy(), 0) for name in _SUMMED}
    rows = np.flatnonzero(sum(values > 0 for values in more.values()))
    if not len(rows):
        return []
    columns = {key: grouped[key].to_numpy()[rows].astype(COLUMN[key].dtype) for key in keys}
    columns |= {name: more[name][rows].astype(COLUMN[name].dtype) for name in _SUMMED}
    columns |= {
        name: np.broadcast_to(values[:1], (len(rows),))
        for name, values in found[0].columns.items()
        if name.endswith("_milliseconds")
    }
    # Octets that came to flows already taken are in a row of their own, which is one flow at least.
    columns["delta_flow_count"] = np.maximum(columns["delta_flow_count"], 1)
    return [FlowBatch(len(rows), columns)]


def _table(batch: FlowBatch, names: Sequence[str]) -> Any:
    return pa.table({name: pa.array(batch.column(name)) for name in names})


def _with_sign(table: Any, sign: int) -> Any:
    """Return a table with counters as signed numbers and no nulls."""
    columns: dict[str, Any] = {
        name: pc.fill_null(table[name].combine_chunks(), COLUMN[name].absent)
        for name in table.column_names
    }
    for name in _SUMMED:
        absent = pa.scalar(COLUMN[name].absent)
        counted = columns.get(name, pa.repeat(absent, table.num_rows))
        columns[name] = pc.multiply(counted.cast(pa.int64(), safe=False), sign)
    return pa.table(columns)
