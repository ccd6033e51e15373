"""The rows that a sample keeps while it grows: columns of slots, of which those freed are used
again, so that each row is copied once and memory is that of a sample, however many flows come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from appliance.flowlog.samples.narrow import NarrowColumn
from appliance.flowlog.schema import Rows, arrow_type
from appliance.flows import COLUMN, OCTETS_PREFIX, AnyArray
from appliance.native import drawing as native
from appliance.native import library

_FLAGS = 8
"""So many columns have their nulls in one array, a bit each."""


class KeptRows:
    """Rows in slots.

    Attributes
    ----------
    capacity
        How many slots there are.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._n_used = 0
        self._constants: dict[str, Any] = {}
        self._numbers: dict[str, NarrowColumn] = {}
        self._objects: dict[str, AnyArray] = {}
        # By column which flag says that there is nothing in a slot; the flags, uint8 of each slot.
        self._flag_of: dict[str, int] = {}
        self._flags: list[AnyArray] = []
        self._copying: native.Copying | None = None

    def put(self, rows: Rows, places: AnyArray, slots: AnyArray) -> None:
        """Copy the rows at some places to slots, int64 each; without columns of a plugin that is
        gone, whose types nobody knows."""
        if not all(map(_is_known, (*rows.arrays, *rows.constants))):
            rows = Rows(rows.n_rows, *(_only_known(each) for each in (rows.arrays, rows.constants)))
        is_first, self._n_used = not self._n_used, max(self._n_used, int(slots.max()) + 1)
        if is_first:
            self._constants = dict(rows.constants)
        elif self._constants != rows.constants:
            self._put_constants(rows, slots)
        nulls = self._put_arrays(rows, places, slots, is_first=is_first)
        known = rows.arrays.keys() | rows.constants.keys()
        absent = (self._numbers.keys() | self._objects.keys()) - known
        self._put_nulls(nulls | dict.fromkeys(absent, True), slots)

    def take(self, slots: AnyArray) -> dict[str, Any]:
        """Return the rows in some slots: pyarrow arrays by column, without columns of nulls."""
        taken = {}
        for name in (*self._numbers, *self._objects):
            mask = self._nulls_of(name, slots)
            if mask is None or not mask.all() or not len(mask):
                numbers = self._numbers.get(name)
                values = self._objects[name][slots] if numbers is None else numbers.take(slots)
                taken[name] = pa.array(values, arrow_type(name), mask=mask)
        for name, value in self._constants.items():
            taken[name] = pa.repeat(pa.scalar(value, arrow_type(name)), len(slots))
        return taken

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        more = capacity - self.capacity
        for column in self._numbers.values():
            column.grow(capacity, self._n_used)
        for name, objects in self._objects.items():
            self._objects[name] = np.concatenate((objects, np.empty(more, object)))
        self._flags = [np.concatenate((flags, np.zeros(more, np.uint8))) for flags in self._flags]
        self.capacity = capacity

    def _put_constants(self, rows: Rows, slots: AnyArray) -> None:
        """Copy what is the same in some rows, unless it is that in all of them until now."""
        for name in [n for n, v in self._constants.items() if rows.constants.get(n) != v]:
            value = self._constants.pop(name)
            self._add_column(name)
            if name in self._numbers:
                self._numbers[name].begin(value)
            else:
                self._objects[name][:] = value
        for name in rows.constants.keys() - self._constants.keys():
            self._add_column(name, is_null=True)
            if name in self._objects:
                self._objects[name][slots] = rows.constants[name]
            else:
                self._numbers[name].fill(rows.constants[name], slots, self._n_used)

    def _put_arrays(
        self, rows: Rows, places: AnyArray, slots: AnyArray, *, is_first: bool
    ) -> dict[str, AnyArray]:
        """Copy what differs; return where there is nothing, by column that has such rows."""
        nulls, plain = {}, {}
        for name, array in rows.arrays.items():
            if name not in self._numbers and name not in self._objects:
                self._add_column(name, is_null=not is_first)
            if name in self._numbers and not array.null_count:
                plain[name] = array
                continue
            chosen = array.take(pa.array(places))
            is_null = chosen.is_null().to_numpy(zero_copy_only=False)
            if is_null.any():
                nulls[name] = is_null
            values = chosen.drop_null().to_numpy(zero_copy_only=False)
            if name in self._objects:
                self._objects[name][slots[~is_null]] = values
            else:
                self._numbers[name].put(values, slots[~is_null], self._n_used)
        if library.IS_AVAILABLE:
            self._copy(plain, places, slots)
        else:
            for name, array in plain.items():
                self._numbers[name].put(array.to_numpy()[places], slots, self._n_used)
        return nulls

    def _copy(self, plain: Mapping[str, Any], places: AnyArray, slots: AnyArray) -> None:
        """Copy columns of numbers without nulls; those that are too narrow again when widened."""
        columns = {name: self._numbers[name] for name in plain}
        for name, column in columns.items():
            column.begin_with(plain[name], places[0])
        while True:
            if self._copying is None or not self._copying.is_to(columns):
                self._copying = native.Copying(columns)
            misfits = self._copying.copy(plain.values(), places, slots)
            if not misfits:
                return
            for name, differing in misfits.items():
                columns[name].widen(differing, self._n_used)

    def _add_column(self, name: str, *, is_null: bool = False) -> None:
        """Have a column, if there is none; `is_null`: one that was absent until now."""
        if name in self._numbers or name in self._objects:
            return
        dtype = COLUMN[name].dtype if name in COLUMN else np.dtype(object)
        if dtype.hasobject:
            self._objects[name] = np.empty(self.capacity, object)
        else:
            self._numbers[name] = NarrowColumn(dtype, self.capacity)
        if is_null:
            flags, flag = self._flags_of(name)
            flags[: self._n_used] |= flag

    def _put_nulls(self, nulls: Mapping[str, Any], slots: AnyArray) -> None:
        """Note the columns that have nothing in some slots: where, or True for all of them."""
        if not nulls and not self._flags:
            return
        for name in nulls:
            self._flags_of(name)
        put = np.zeros((len(self._flags), len(slots)), np.uint8)
        for name, is_null in nulls.items():
            place, bit = divmod(self._flag_of[name], _FLAGS)
            put[place] |= np.where(is_null, np.uint8(1 << bit), np.uint8(0))
        for flags, new in zip(self._flags, put, strict=True):
            flags[slots] = new

    def _flags_of(self, name: str) -> tuple[AnyArray, np.uint8]:
        """Return the flags among which that of a column is, and it."""
        place, bit = divmod(self._flag_of.setdefault(name, len(self._flag_of)), _FLAGS)
        if place == len(self._flags):
            self._flags.append(np.zeros(self.capacity, np.uint8))
        return self._flags[place], np.uint8(1 << bit)

    def _nulls_of(self, name: str, slots: AnyArray) -> AnyArray | None:
        """Return which slots have nothing in a column; None: no slot."""
        if name not in self._flag_of:
            return None
        flags, flag = self._flags_of(name)
        is_null: AnyArray = flags[slots] & flag != 0
        return is_null


def _is_known(name: str) -> bool:
    return name in COLUMN or name.startswith(OCTETS_PREFIX)


def _only_known(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if _is_known(name)}
