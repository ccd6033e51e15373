"""The columns of `appliance.flows` as Arrow schemas, and FlowBatches as `Rows`.

Every file of a family has the whole schema, whatever its exporters send: absent columns are null.
`Rows` is what moves inside the flow log: arrays for columns that vary, single values for those that
do not, nothing for those that are absent, so that only what varies costs anything per row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from appliance.flows import (
    COLUMN,
    COLUMNS,
    OCTETS_PREFIX,
    AnyArray,
    FlowBatch,
    RawElement,
    columns_of_log,
    is_constant,
    octets_column,
)

_OTHER_HALF = {
    column.name: column.name[:-3] + {"_hi": "_lo", "_lo": "_hi"}[column.name[-3:]]
    for column in COLUMNS
    if column.name.endswith(("_hi", "_lo"))
}


def arrow_type(name: str) -> Any:
    """Return the Arrow type of a column; octets columns are binary."""
    if name not in COLUMN:
        return pa.binary()
    dtype = COLUMN[name].dtype
    return pa.string() if dtype.kind == "O" else pa.from_numpy_dtype(dtype)


def family_schema(options: bool, octets: tuple[str, ...] = ()) -> Any:
    """Return the schema of a family's files; `octets` names its octets columns."""
    return _schema((*(column.name for column in columns_of_log(options)), *octets))


@lru_cache(maxsize=64)
def _schema(names: tuple[str, ...]) -> Any:
    return pa.schema([pa.field(name, arrow_type(name)) for name in names])


def octets_names(primitives: Iterable[RawElement]) -> tuple[str, ...]:
    """Return the octets columns of elements (arguments of `octets_column`), each once, sorted."""
    return tuple(sorted({octets_column(*primitive) for primitive in primitives}))


@dataclass(slots=True)
class Rows:
    """Some rows of the log.

    Attributes
    ----------
    n_rows
        How many.
    arrays
        Arrow arrays of `n_rows` values, by column.
    constants
        Columns with the same value in every row. A column in neither is null throughout.
    """

    n_rows: int
    arrays: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)

    def slice(self, start: int, stop: int) -> Rows:
        """Return rows [start, stop) without copying."""
        stop = min(stop, self.n_rows)
        arrays = {name: array.slice(start, stop - start) for name, array in self.arrays.items()}
        return Rows(stop - start, arrays, self.constants)

    def take(self, places: AnyArray) -> Rows:
        """Return a copy of the rows at these places."""
        chosen = pa.array(places)
        arrays = {name: array.take(chosen) for name, array in self.arrays.items()}
        return Rows(len(places), arrays, self.constants)

    def array(self, name: str) -> Any:
        """Return one column in full: what is constant repeated, what is absent as nulls."""
        found = self.arrays.get(name)
        if found is not None:
            return found
        if name in self.constants:
            return pa.repeat(pa.scalar(self.constants[name], arrow_type(name)), self.n_rows)
        return pa.nulls(self.n_rows, arrow_type(name))

    def table(self, names: Sequence[str] | None = None) -> Any:
        """Return a pyarrow table of these columns, or of all that are present."""
        wanted = [*self.arrays, *self.constants] if names is None else names
        return pa.table({name: self.array(name) for name in wanted})


def join_rows(pieces: Sequence[Rows]) -> Rows:
    """Return pieces as one, its numbers copied; what all have as the same constant stays one."""
    joined = Rows(sum(piece.n_rows for piece in pieces))
    for name in dict.fromkeys(n for p in pieces for n in (*p.constants, *p.arrays)):
        values = {piece.constants.get(name) for piece in pieces}
        if len(values) == 1 and None not in values:
            joined.constants[name] = values.pop()
        else:
            joined.arrays[name] = pa.concat_arrays([piece.array(name) for piece in pieces])
    return joined


def rows_from_batch(batch: FlowBatch) -> Rows:
    """View a FlowBatch as `Rows`; numbers are not copied."""
    rows = Rows(batch.n_records)
    for name, column in batch.columns.items():
        if is_constant(column):
            rows.constants[name] = column[0].item() if column.dtype != object else column[0]
        elif column.dtype == object:
            rows.arrays[name] = pa.array(column, pa.string())
        else:
            rows.arrays[name] = pa.array(column)
    for name, column in batch.octets.items():
        rows.arrays[name] = _octets_array(column)
    for half, other in _OTHER_HALF.items():
        if half in batch.columns and other not in batch.columns:
            rows.constants[other] = 0  # so that an address is there in full or not at all
    return rows


def _octets_array(column: AnyArray) -> Any:
    """Turn raw octets into a binary array: a record without the element (b"") is null."""
    if column.dtype == object:
        return pa.array([octets or None for octets in column.tolist()], pa.binary())
    packed = np.ascontiguousarray(column)
    width = packed.dtype.itemsize
    offsets = np.arange(0, (len(packed) + 1) * width, width, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(packed.view(np.uint8))]
    return pa.Array.from_buffers(pa.binary(), len(packed), buffers)


def batch_from_rows(rows: Rows, options: bool = False) -> FlowBatch:
    """Turn rows back into a FlowBatch: null becomes the column's `absent` value, null octets
    b""."""
    batch = FlowBatch(rows.n_rows, {}, options=options)
    for name, value in rows.constants.items():
        if name in COLUMN:
            constant = np.array(value, COLUMN[name].dtype)
            batch.columns[name] = np.broadcast_to(constant, (rows.n_rows,))
    for name, array in rows.arrays.items():
        if name in COLUMN:
            batch.columns[name] = _numpy(name, array)
        elif name.startswith(OCTETS_PREFIX):
            octets = [value or b"" for value in array.to_pylist()]
            batch.octets[name] = np.array([*octets, None], object)[:-1]
    return batch


def _numpy(name: str, array: Any) -> AnyArray:
    column = COLUMN[name]
    if array.null_count:
        array = array.fill_null(column.absent)
    values: AnyArray = (
        array.to_numpy(zero_copy_only=False) if isinstance(array, pa.Array) else (array.to_numpy())
    )
    return values.astype(column.dtype, copy=False)
