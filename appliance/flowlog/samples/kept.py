"""The rows that a sample keeps while it grows: columns of slots, of which those freed are used
again, so that each row is copied once and memory is that of a sample, however many flows come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from appliance.flowlog.schema import Rows, arrow_type
from appliance.flows import COLUMN, OCTETS_PREFIX, AnyArray
from appliance.native import drawing as native
from appliance.native import library


class KeptRows:
    """Rows in slots.

    Attributes
    ----------
    capacity
        How many slots there are.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._has_any = False
        self._constants: dict[str, Any] = {}
        self._columns: dict[str, AnyArray] = {}
        self._nulls: dict[str, AnyArray] = {}
        self._copying: native.Copying | None = None

    def put(self, rows: Rows, places: AnyArray, slots: AnyArray) -> None:
        """Copy the rows at some places to slots, int64 each; without columns of a plugin that is
        gone, whose types nobody knows."""
        if not all(map(_is_known, (*rows.arrays, *rows.constants))):
            rows = Rows(rows.n_rows, *(_only_known(each) for each in (rows.arrays, rows.constants)))
        if not self._has_any:
            self._constants, self._has_any = dict(rows.constants), True
            self._columns = {name: _slots(name, self.capacity) for name in rows.arrays}
        elif self._constants != rows.constants:
            self._put_constants(rows, slots)
        self._put_arrays(rows, places, slots)
        if len(rows.arrays) < len(self._columns):
            for name in self._columns.keys() - rows.arrays.keys() - rows.constants.keys():
                self._nulls_of(name)[slots] = True

    def take(self, slots: AnyArray) -> dict[str, Any]:
        """Return the rows in some slots: pyarrow arrays by column, without columns of nulls."""
        taken = {}
        for name, column in self._columns.items():
            nulls = self._nulls.get(name)
            mask = None if nulls is None else nulls[slots]
            if mask is None or not mask.all() or not len(mask):
                taken[name] = pa.array(column[slots], arrow_type(name), mask=mask)
        for name, value in self._constants.items():
            taken[name] = pa.repeat(pa.scalar(value, arrow_type(name)), len(slots))
        return taken

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        more, self._copying = capacity - self.capacity, None
        for name, column in self._columns.items():
            self._columns[name] = np.concatenate((column, _slots(name, more)))
        for name, nulls in self._nulls.items():
            self._nulls[name] = np.concatenate((nulls, np.zeros(more, np.bool_)))
        self.capacity = capacity

    def _put_constants(self, rows: Rows, slots: AnyArray) -> None:
        """Copy what is the same in some rows, unless it is that in all of them until now."""
        for name in [n for n, v in self._constants.items() if rows.constants.get(n) != v]:
            column = self._columns[name] = _slots(name, self.capacity)
            column[:] = self._constants.pop(name)
        for name in rows.constants.keys() - self._constants.keys():
            self._column(name)[slots] = rows.constants[name]
            if name in self._nulls:
                self._nulls[name][slots] = False

    def _put_arrays(self, rows: Rows, places: AnyArray, slots: AnyArray) -> None:
        known = self._copying
        if (
            known is not None
            and not self._nulls
            and known.names == tuple(rows.arrays)
            and not any(array.null_count for array in rows.arrays.values())
        ):
            known.copy(rows.arrays.values(), places, slots)
            return
        plain = {}
        for name, array in rows.arrays.items():
            column = self._column(name)
            if column.dtype.hasobject or array.null_count:
                chosen = array.take(pa.array(places))
                self._nulls_of(name)[slots] = chosen.is_null().to_numpy(zero_copy_only=False)
                values = chosen if column.dtype.hasobject else chosen.fill_null(0)
                column[slots] = values.to_numpy(zero_copy_only=False)
            else:
                plain[name] = array
                if name in self._nulls:
                    self._nulls[name][slots] = False
        if library.IS_AVAILABLE:
            if known is None or known.names != tuple(plain):
                known = native.Copying({name: self._columns[name] for name in plain})
            known.copy(plain.values(), places, slots)
            self._copying = known
        else:
            for name, array in plain.items():
                self._columns[name][slots] = array.to_numpy()[places]

    def _column(self, name: str) -> AnyArray:
        """Return a column; one that was absent until now is null in the rows that are there."""
        if name not in self._columns:
            self._columns[name] = _slots(name, self.capacity)
            self._nulls[name] = np.ones(self.capacity, np.bool_)
        return self._columns[name]

    def _nulls_of(self, name: str) -> AnyArray:
        """Return which rows have nothing in a column."""
        if name not in self._nulls:
            self._nulls[name] = np.zeros(self.capacity, np.bool_)
        return self._nulls[name]


def _is_known(name: str) -> bool:
    return name in COLUMN or name.startswith(OCTETS_PREFIX)


def _only_known(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if _is_known(name)}


def _slots(name: str, capacity: int) -> AnyArray:
    """Return an empty column. Memory that no row was put to is not taken yet."""
    dtype = COLUMN[name].dtype if name in COLUMN else np.dtype(object)
    return np.empty(capacity, dtype) if dtype.hasobject else np.zeros(capacity, dtype)
