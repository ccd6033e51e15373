"""Priority sampling in C: twin of `appliance.flowlog.samples`.

A call of a kernel has many arrays, whose addresses ctypes takes microseconds each to find and
check; they are kept from call to call here, or asked of Arrow.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from ctypes import POINTER, c_int64, c_uint64
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from appliance.flows import COLUMN, AnyArray
from appliance.native.library import array_of, kernel

DRAWN_BY = (
    "record_kind",
    "octet_delta_count",
    "delta_flow_count",
    "sampling_rate",
    "exporter_address_hi",
    "exporter_address_lo",
    "flow_direction",
)


class _Call(ctypes.Structure):
    _fields_ = [
        ("columns", c_uint64 * len(DRAWN_BY)),
        ("strides", c_int64 * len(DRAWN_BY)),
        ("places", c_uint64),
        ("first_place", c_uint64),
        ("first", c_int64),
        ("n", c_int64),
        ("seed", c_uint64),
        ("keys", c_uint64),
        ("codes", c_uint64),
        ("thresholds", c_uint64),
        ("n_known", c_int64),
        ("most", c_int64),
        ("rows", c_uint64),
        ("priorities", c_uint64),
        ("found", c_uint64),
        ("n_found", c_int64),
    ]


_DRAW = kernel("draw", c_int64, POINTER(_Call))
_COPY_ROWS = kernel(
    "copy_rows",
    None,
    *(array_of("u8"), c_uint64, c_uint64, c_uint64, c_uint64, c_uint64, c_int64),
    *(c_uint64, c_uint64, c_int64),
)


class KnownStrata(NamedTuple):
    """What strata are called, in arrays with room for more.

    Attributes
    ----------
    keys
        uint64, ascending.
    codes
        int64, of each key, from 0 on.
    thresholds
        float64, by code; 0 for those to come.
    """

    keys: AnyArray
    codes: AnyArray
    thresholds: AnyArray


class Drawn(NamedTuple):
    """Flows above their thresholds.

    Attributes
    ----------
    rows
        int64, ascending.
    priorities, codes
        float64 and int64: of each, and of its stratum.
    """

    rows: AnyArray
    priorities: AnyArray
    codes: AnyArray


class Drawing:
    """Draws from pieces of rows; what is found of one holds until the next."""

    def __init__(self) -> None:
        self._call = _Call()
        self._strata: KnownStrata | None = None
        self._found = Drawn(np.empty(0, "i8"), np.empty(0), np.empty(0, "i8"))
        # A column with one value for all rows lies here.
        self._alone = [np.zeros(1, COLUMN[name].dtype) for name in DRAWN_BY]
        self._alone_at = [value.ctypes.data for value in self._alone]
        self._types = [pa.from_numpy_dtype(value.dtype) for value in self._alone]

    def draw(
        self,
        rows: Any,
        places: AnyArray | range,
        seed: int,
        strata: KnownStrata,
        n_known: int,
        first: int,
    ) -> tuple[int, int, Drawn]:
        """Find the flows whose priority is above the threshold of their stratum.

        Parameters
        ----------
        rows
            `Rows` of the flow log.
        places
            Where each row is in the log: uint64, or a range.
        strata, n_known
            Those known, and how many these are; more are put there.
        first
            Where to begin; what was found is added to where that is not 0.

        Returns
        -------
        tuple
            How many rows were read, fewer than there are where there is no room for another
            stratum; how many strata are known now; all that was found.
        """
        if len(places) != rows.n_rows:
            raise ValueError(f"{len(places)} places of {rows.n_rows} rows")
        call = self._call
        lent = self._lend_columns(rows)  # lives until the kernel is through
        self._make_room(rows.n_rows)
        self._lend_strata(strata)
        if not first:
            call.n_found = 0
        if isinstance(places, range):
            call.places, call.first_place = 0, places.start
        else:
            call.places = places.ctypes.data
        call.seed, call.n_known = seed, n_known
        call.first, call.n = first, rows.n_rows
        read = _DRAW(call)
        del lent
        return read, call.n_known, Drawn(*(found[: call.n_found] for found in self._found))

    def _lend_columns(self, rows: Any) -> list[Any]:
        """Give the kernel the columns; return what must live until it is through."""
        call, lent = self._call, []
        for place, name in enumerate(DRAWN_BY):
            array = rows.arrays.get(name)
            if array is None:
                value = rows.constants.get(name)
                self._alone[place][0] = COLUMN[name].absent if value is None else value
                call.columns[place], call.strides[place] = self._alone_at[place], 0
            else:
                if array.null_count:
                    array = array.fill_null(COLUMN[name].absent)
                array = lent_array(array, self._types[place])
                lent.append(array)
                call.columns[place] = address_of(array, self._alone[place].itemsize)
                call.strides[place] = 1
        return lent

    def _lend_strata(self, strata: KnownStrata) -> None:
        known, call = self._strata, self._call
        if known is None or any(a is not b for a, b in zip(strata, known, strict=True)):
            self._strata, call.most = strata, len(strata.keys)
            call.keys, call.codes, call.thresholds = (each.ctypes.data for each in strata)

    def _make_room(self, n_rows: int) -> None:
        if len(self._found.rows) < n_rows:
            found = Drawn(np.empty(n_rows, "i8"), np.empty(n_rows), np.empty(n_rows, "i8"))
            self._found, call = found, self._call
            call.rows, call.priorities, call.found = (each.ctypes.data for each in found)


class Target(Protocol):
    """Where numbers of a column are copied to.

    Attributes
    ----------
    dtype
        Of the numbers.
    common
        The bits that they have in common, above those of `low`.
    low
        The low octets of each slot, contiguous; None: all numbers are `common`.
    """

    dtype: np.dtype[Any]
    common: int | None
    low: AnyArray | None


class Copying:
    """Copies rows of some columns to slots of others.

    Parameters
    ----------
    targets
        By column.
    """

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self.names = tuple(targets)
        kept = list(targets.values())
        self._low = low = [target.low for target in kept]
        self._octets = [target.dtype.itemsize for target in kept]
        self._types = [pa.from_numpy_dtype(target.dtype) for target in kept]
        low_octets = [0 if each is None else each.itemsize for each in low]
        self._arrays = (
            np.array(self._octets, np.int64),
            np.array([0 if each is None else each.ctypes.data for each in low], np.uint64),
            np.array(low_octets, np.int64),
            np.array([target.common for target in kept], np.uint64),
            np.zeros(len(kept), np.uint64),
        )
        self._addresses = [array.ctypes.data for array in self._arrays]
        self._differing = self._arrays[-1]
        self._too_many = np.array(
            [(1 << 64) - (1 << 8 * n) if n < 8 else 0 for n in low_octets], np.uint64
        )

    def is_to(self, targets: Mapping[str, Target]) -> bool:
        """Tell whether these are the columns, and where they are now."""
        return self.names == tuple(targets) and all(
            target.low is low for target, low in zip(targets.values(), self._low, strict=True)
        )

    def copy(self, sources: Iterable[Any], places: AnyArray, slots: AnyArray) -> dict[str, int]:
        """Copy.

        Parameters
        ----------
        sources
            Arrow arrays without nulls, of the columns in their order.
        places, slots
            int64: from where, and to where.

        Returns
        -------
        dict
            By column whose low octets do not hold its numbers: the bits in which these differ from
            what is common. Such columns are to be copied again, to others.
        """
        if not places.dtype == slots.dtype == np.int64 or len(places) != len(slots):
            raise ValueError(f"{len(places)} places for {len(slots)} slots")
        lent = list(map(lent_array, sources, self._types))
        addresses = [
            address_of(array, octets) for array, octets in zip(lent, self._octets, strict=True)
        ]
        _COPY_ROWS(
            np.array(addresses, np.uint64),
            *(*self._addresses, len(lent)),
            *(places.ctypes.data, slots.ctypes.data, len(places)),
        )
        misfits = np.flatnonzero(self._differing & self._too_many).tolist()
        return {self.names[column]: int(self._differing[column]) for column in misfits}


def lent_array(array: Any, wanted: Any) -> Any:
    """Return an Arrow array as one of the type that a kernel reads."""
    return array if array.type == wanted else array.cast(wanted)


def address_of(array: Any, width: int) -> int:
    """Return where the values of an Arrow array begin, which are of so many octets."""
    address: int = array.buffers()[1].address + array.offset * width
    return address
