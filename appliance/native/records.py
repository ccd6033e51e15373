"""Numbers of Data Records in C: twin of `appliance.decoding.records.fixed_records`."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int64

import numpy as np

from appliance.flows import AnyArray
from appliance.native.library import array_of, kernel

_OCTETS, _I8, _U8 = (array_of(name) for name in ("u1", "i8", "u8"))
_READ_NUMBERS = kernel(
    "read_numbers", None, *(_OCTETS, _I8, _I8, c_int64, c_int64, _I8, _I8, _U8, c_int64)
)


def read_numbers(
    flat: AnyArray,
    starts: AnyArray,
    counts: AnyArray,
    octets: int,
    fields: Sequence[tuple[int, int]],
) -> list[AnyArray]:
    """Read fields of all records of some Sets.

    Parameters
    ----------
    flat
        uint8: the memory that the Sets lie in.
    starts, counts
        int64: where the first record of each Set lies, and how many it has.
    octets
        Of a record.
    fields
        Offset in a record and width of each: 1, 2, 4 or 8 octets.

    Returns
    -------
    list
        Unsigned integers of the fields' widths in the processor's order, shape (n_records,) each.

    Raises
    ------
    IndexError
        A Set, be it an empty one, does not lie within the memory, or a field not in its record.
    """
    # What is read comes from strangers: beyond the memory nothing is read, whoever miscounted.
    ends = starts + counts * octets
    if starts.min(initial=0) < 0 or counts.min(initial=0) < 0 or ends.max(initial=0) > flat.size:
        raise IndexError("a Set does not lie within the memory")
    if any(at < 0 or at + width > octets for at, width in fields):
        raise IndexError("a field does not lie within its record")
    n_records = int(counts.sum())
    columns: list[AnyArray] = [np.empty(n_records, f"u{width}") for _, width in fields]
    offsets, widths = np.array(fields, np.int64).reshape(-1, 2).T.copy()
    addresses = np.array([column.ctypes.data for column in columns], np.uint64)
    _READ_NUMBERS(
        *(flat, starts, counts, len(starts), octets), offsets, widths, addresses, len(columns)
    )
    return columns
