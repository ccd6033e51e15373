"""The sample of one period while it grows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.flowlog.samples.drawing import (
    SIZED_BY,
    SampleSize,
    Thresholds,
    sizes,
    uniform,
    weights_of,
)
from appliance.flowlog.samples.files import DRAWN_COLUMNS, PRIORITY, THRESHOLD, WEIGHT
from appliance.flowlog.samples.kept import KeptRows
from appliance.flowlog.samples.strata import Strata
from appliance.flowlog.schema import Rows
from appliance.flows import COLUMN, AnyArray, RecordKind
from appliance.native import drawing as native
from appliance.native import library
from appliance.native.drawing import Drawn

STRATUM = ("exporter_address_hi", "exporter_address_lo", "flow_direction")
"""What each combination of has thresholds of its own."""

_FACTORS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SLACK = 1.5
"""So many times its rows a sample may hold before it is cut."""

Places = AnyArray | range
"""Where rows are in the log, as one number: uint64 of each, or a range where each follows the one
before."""

_NOTHING = Drawn(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


def as_array(places: Places) -> AnyArray:
    """Return places of which each is written out."""
    if isinstance(places, range):
        return np.arange(places.start, places.stop, dtype=np.uint64)
    return places


def stratum_keys(rows: Rows, part: int = 0) -> AnyArray:
    """Return what tells the stratum of each row from others, uint64; each part has its own."""
    mixed: Any = np.uint64(part)
    with np.errstate(over="ignore"):
        for name, factor in zip(STRATUM, _FACTORS, strict=True):
            mixed = (mixed ^ values_of(rows, name).astype("u8")) * np.uint64(factor)
    return np.broadcast_to(mixed, (rows.n_rows,))


class PeriodSample:
    """Rows of a period, of which those above the thresholds of their strata are kept.

    Attributes
    ----------
    n_flows
        Records that it was drawn from.
    """

    def __init__(self, size: SampleSize) -> None:
        self.size, self.n_flows = size, 0
        self._strata, self._thresholds = Strata(), Thresholds()
        self._drawing = native.Drawing()
        capacity = int(_SLACK * size.rows) + 1
        self._rows, self._free = KeptRows(capacity), np.arange(capacity)
        # Of each slot; a free one has the priority 0, and any code.
        self._priorities: AnyArray = np.zeros(capacity)
        self._codes: AnyArray = np.zeros(capacity, np.int32)

    def add(self, rows: Rows, places: Places, seed: int) -> None:
        """Draw from further rows; what is kept of them is copied.

        Parameters
        ----------
        rows
            Of the flow log; records that are no flows are left out.
        places
            Where each is in the log.
        seed
            See `uniform`.
        """
        self.n_flows += _count_flows(rows)
        draw = self._draw if library.IS_AVAILABLE else self._draw_by_numpy
        drawn = draw(rows, places, seed)
        if len(drawn.rows):
            self._keep(rows, drawn)

    def _draw(self, rows: Rows, places: Places, seed: int) -> Drawn:
        """Return the flows above the thresholds."""
        read = 0
        while True:
            keys, codes = self._strata.with_room()
            known = native.KnownStrata(keys, codes, self._thresholds.with_room(len(keys)))
            read, self._strata.count, drawn = self._drawing.draw(
                rows, places, seed, known, self._strata.count, read
            )
            if read == rows.n_rows:
                return drawn

    def _draw_by_numpy(self, rows: Rows, places: Places, seed: int) -> Drawn:
        is_flow = values_of(rows, "record_kind") == RecordKind.FLOW
        priorities = sizes_of(rows) / uniform(as_array(places), seed)
        keys = stratum_keys(rows)
        # Nearly all rows are below every threshold: of those nobody needs to know the stratum.
        lowest = self._thresholds.of(self._strata.distinct_codes(keys)).min(initial=np.inf)
        chosen = np.flatnonzero(is_flow & (priorities > lowest))
        codes = self._strata.codes(keys[chosen])
        is_above = priorities[chosen] > self._thresholds.of(codes)
        chosen = chosen[is_above]
        return Drawn(chosen, priorities[chosen], codes[is_above])

    def restore(self, table: Any, n_flows: int, part: int = 0) -> None:
        """Go on from what was drawn before, or from one of several parts of the period.

        Parameters
        ----------
        table
            Has `THRESHOLD`, `PRIORITY` and what tells strata apart at least.
        part
            What a part left out is below its own thresholds: each keeps them.
        """
        self.n_flows += n_flows
        codes = self._strata.codes(stratum_keys(_rows(table), part))
        self._thresholds.of(codes)
        np.maximum.at(self._thresholds.values, codes, table.column(THRESHOLD).to_numpy())
        if len(codes):
            priorities = table.column(PRIORITY).to_numpy()
            sound = np.flatnonzero(priorities > 0)
            self._keep(_rows(table), Drawn(sound, priorities[sound], codes[sound]))

    def table(self) -> Any:
        """Return what is kept now, as a pyarrow table with `DRAWN_COLUMNS`."""
        self._cut_to_size()
        used = np.flatnonzero(self._priorities)
        columns = self._rows.take(used) | {PRIORITY: pa.array(self._priorities[used])}
        return _with_weights(pa.table(columns), self._thresholds.of(self._codes[used]))

    def above(self, table: Any, part: int) -> Any:
        """Return those rows of a part, with all its columns, that this sample keeps of it."""
        self._cut_to_size()
        codes = self._strata.codes(stratum_keys(_rows(table), part))
        thresholds = np.maximum(table.column(THRESHOLD).to_numpy(), self._thresholds.of(codes))
        is_kept = table.column(PRIORITY).to_numpy() > thresholds
        kept = table.filter(pa.array(is_kept)).drop_columns([WEIGHT, THRESHOLD])
        return _with_weights(kept, thresholds[is_kept])

    def _keep(self, rows: Rows, drawn: Drawn) -> None:
        if len(drawn.rows) > len(self._free):
            drawn = self._cut_to_size(drawn)
        n = len(drawn.rows)
        slots, self._free = self._free[:n], self._free[n:]
        if n:
            self._rows.put(rows, drawn.rows, slots)
        self._priorities[slots], self._codes[slots] = drawn.priorities, drawn.codes

    def _cut_to_size(self, more: Drawn = _NOTHING) -> Drawn:
        """Raise the thresholds to what a sample may hold when more is drawn, and free the slots of
        what is below them; return what is above them of what was drawn, for which there is room."""
        priorities, codes = self._priorities, self._codes
        if len(more.rows):
            priorities = np.concatenate((priorities, more.priorities))
            codes = np.concatenate((codes, more.codes))
        self._thresholds.raise_for(priorities, codes, self.size)
        is_kept = self._priorities > self._thresholds.of(self._codes)
        self._priorities[~is_kept] = 0
        self._free = np.flatnonzero(~is_kept)
        is_above = more.priorities > self._thresholds.of(more.codes)
        # Where many strata have few flows each, a sample is larger than its size.
        left = len(self._free) - int(np.count_nonzero(is_above))
        if left < (_SLACK - 1) / 2 * self.size.rows:
            self._make_room(int((_SLACK - 1) * self.size.rows) + 1 - min(left, 0))
        return Drawn(*(each[is_above] for each in more))

    def _make_room(self, more: int) -> None:
        capacity = self._rows.capacity
        self._rows.grow(capacity + more)
        self._free = np.concatenate((self._free, np.arange(capacity, capacity + more)))
        self._priorities = np.append(self._priorities, np.zeros(more))
        self._codes = np.append(self._codes, np.zeros(more, np.int32))


def _with_weights(kept: Any, thresholds: AnyArray) -> Any:
    """Return a table with what each row stands for, and its threshold."""
    weights = np.broadcast_to(weights_of(sizes_of(_rows(kept)), thresholds), thresholds.shape)
    kept = kept.append_column(WEIGHT, pa.array(weights))
    return kept.append_column(THRESHOLD, pa.array(thresholds))


def sizes_of(rows: Rows) -> AnyArray:
    """Return the size of each row, or one where all are the same."""
    octets, flows, rates = (values_of(rows, name) for name in SIZED_BY)
    return sizes(octets, flows, rates)


def _count_flows(rows: Rows) -> int:
    is_flow = values_of(rows, "record_kind") == RecordKind.FLOW
    return int(np.count_nonzero(is_flow)) if is_flow.ndim else rows.n_rows * int(is_flow)


def _rows(table: Any) -> Rows:
    names = [name for name in table.schema.names if name not in DRAWN_COLUMNS]
    arrays = {name: _whole(table.column(name)) for name in names}
    return Rows(table.num_rows, {n: a for n, a in arrays.items() if a.null_count < len(a)})


def _whole(column: Any) -> Any:
    """Return a column of a table as one array, copied only where it is several."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def values_of(rows: Rows, name: str) -> AnyArray:
    """Return the numbers of a column, or one where all are the same."""
    column = COLUMN[name]
    array = rows.arrays.get(name)
    if array is None:
        value = rows.constants.get(name)
        return np.asarray(column.absent if value is None else value, column.dtype)
    if array.null_count:
        array = pc.fill_null(array, pa.scalar(column.absent, array.type))
    values: AnyArray = array.to_numpy(zero_copy_only=False)
    return values
