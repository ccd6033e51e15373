"""The sample of one period while it grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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
from appliance.flowlog.schema import Rows, gather_rows
from appliance.flows import COLUMN, AnyArray, RecordKind
from appliance.native import drawing as native
from appliance.native import library

STRATUM = ("exporter_address_hi", "exporter_address_lo", "flow_direction")
"""What each combination of has thresholds of its own."""

_FACTORS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SLACK = 2
"""So many times its rows a sample may hold before it is cut."""


class Strata:
    """Codes of exporters and directions, in the order in which they were met."""

    def __init__(self) -> None:
        self._code_of: dict[int, int] = {}

    def codes(self, keys: AnyArray) -> AnyArray:
        """Return the code of each key, intp."""
        encoded = pa.array(keys).dictionary_encode()
        known = self._codes(encoded.dictionary)
        codes: AnyArray = known[encoded.indices.to_numpy()]
        return codes

    def distinct_codes(self, keys: AnyArray) -> AnyArray:
        """Return the codes that some keys have, each once; a third of the time of `codes`."""
        return self._codes(pc.unique(pa.array(keys[:1] if keys.strides == (0,) else keys)))

    def _codes(self, distinct: Any) -> AnyArray:
        code_of = self._code_of
        codes = [code_of.setdefault(key, len(code_of)) for key in distinct.to_pylist()]
        return np.array(codes, np.intp)


def stratum_keys(rows: Rows, part: int = 0) -> AnyArray:
    """Return what tells the stratum of each row from others, uint64; each part has its own."""
    mixed: Any = np.uint64(part)
    with np.errstate(over="ignore"):
        for name, factor in zip(STRATUM, _FACTORS, strict=True):
            mixed = (mixed ^ values_of(rows, name).astype("u8")) * np.uint64(factor)
    return np.broadcast_to(mixed, (rows.n_rows,))


class _Piece(NamedTuple):
    """Rows of which some are in the sample.

    Attributes
    ----------
    indices
        Which rows, ascending.
    priorities, codes
        The priority of each of them, and the code of its stratum.
    """

    rows: Rows
    indices: AnyArray
    priorities: AnyArray
    codes: AnyArray

    @classmethod
    def whole(cls, rows: Rows, priorities: AnyArray, codes: AnyArray) -> _Piece:
        """Return rows that are all in the sample."""
        return cls(rows, np.arange(rows.n_rows), priorities, codes)

    def only(self, chosen: AnyArray) -> _Piece:
        """Return those chosen of what is in the sample; nothing is copied of the rows."""
        return _Piece(self.rows, *(each[chosen] for each in self[1:]))


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
        self._pieces: list[_Piece] = []
        self._n_kept = self._n_settled = 0

    def add(self, rows: Rows, places: AnyArray, seed: int) -> None:
        """Draw from further rows, which stay in memory until `settle`.

        Parameters
        ----------
        rows
            Of the flow log; records that are no flows are left out.
        places
            uint64, where each is in the log.
        seed
            See `uniform`.
        """
        self.n_flows += _count_flows(rows)
        chosen, priorities, codes = self._above_thresholds(rows, places, seed)
        if len(chosen):
            self._hold(_Piece(rows, chosen, priorities, codes))

    def settle(self) -> None:
        """Copy what was drawn of added rows, and let go of these."""
        if added := self._pieces[self._n_settled :]:
            self._pieces[self._n_settled :] = [_gather(added)]
            self._n_settled = len(self._pieces)

    def _above_thresholds(
        self, rows: Rows, places: AnyArray, seed: int
    ) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Return indices, priorities and strata of the flows above the thresholds."""
        if library.IS_AVAILABLE:
            distinct = native.strata([values_of(rows, name) for name in STRATUM], rows.n_rows)
            if distinct is not None:
                keys, local = distinct
                codes = self._strata.distinct_codes(keys)
                thresholds = self._thresholds.of(codes)
                columns = [values_of(rows, name) for name in ("record_kind", *SIZED_BY)]
                chosen, priorities = native.flows_above(columns, places, seed, local, thresholds)
                return chosen, priorities, codes[local[chosen]]
        is_flow = values_of(rows, "record_kind") == RecordKind.FLOW
        priorities = sizes_of(rows) / uniform(places, seed)
        keys = stratum_keys(rows)
        # Nearly all rows are below every threshold: of those nobody needs to know the stratum.
        lowest = self._thresholds.of(self._strata.distinct_codes(keys)).min(initial=np.inf)
        chosen = np.flatnonzero(is_flow & (priorities > lowest))
        codes = self._strata.codes(keys[chosen])
        is_above = priorities[chosen] > self._thresholds.of(codes)
        chosen = chosen[is_above]
        return chosen, priorities[chosen], codes[is_above]

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
            self._hold(_Piece.whole(_rows(table), table.column(PRIORITY).to_numpy(), codes))

    def table(self) -> Any:
        """Return what is kept now, as a pyarrow table with `DRAWN_COLUMNS`."""
        kept = self._cut_to_size()
        columns = {n: kept.rows.array(n) for n in (*kept.rows.arrays, *kept.rows.constants)}
        table = pa.table(columns | {PRIORITY: pa.array(kept.priorities)})
        return _with_weights(table, self._thresholds.of(kept.codes))

    def above(self, table: Any, part: int) -> Any:
        """Return those rows of a part, with all its columns, that this sample keeps of it."""
        self._cut_to_size()
        codes = self._strata.codes(stratum_keys(_rows(table), part))
        thresholds = np.maximum(table.column(THRESHOLD).to_numpy(), self._thresholds.of(codes))
        is_kept = table.column(PRIORITY).to_numpy() > thresholds
        kept = table.filter(pa.array(is_kept)).drop_columns([WEIGHT, THRESHOLD])
        return _with_weights(kept, thresholds[is_kept])

    def _hold(self, piece: _Piece) -> None:
        self._pieces.append(piece)
        self._n_kept += len(piece.indices)
        if self._n_kept > _SLACK * self.size.rows:
            self._cut_to_size()

    def _cut_to_size(self) -> _Piece:
        """Keep what is above the thresholds when these are raised to what a sample may hold."""
        pieces = self._pieces
        self._thresholds.raise_for(*_drawn_by(pieces), self.size)
        kept = _gather(
            [
                piece.only(np.flatnonzero(piece.priorities > self._thresholds.of(piece.codes)))
                for piece in pieces
            ]
        )
        self._pieces, self._n_kept, self._n_settled = [kept], len(kept.indices), 1
        return kept


def _gather(pieces: Sequence[_Piece]) -> _Piece:
    """Return a copy of what is in the sample, without the other rows."""
    rows = gather_rows([piece.rows for piece in pieces], [piece.indices for piece in pieces])
    return _Piece.whole(rows, *_drawn_by(pieces))


def _drawn_by(pieces: Sequence[_Piece]) -> tuple[AnyArray, AnyArray]:
    """Return priorities and codes of all pieces."""
    priorities = np.concatenate([np.zeros(0), *(piece.priorities for piece in pieces)])
    return priorities, np.concatenate([np.zeros(0, np.intp), *(piece.codes for piece in pieces)])


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
    arrays = {name: table.column(name).combine_chunks() for name in names}
    return Rows(table.num_rows, {n: a for n, a in arrays.items() if a.null_count < len(a)})


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
