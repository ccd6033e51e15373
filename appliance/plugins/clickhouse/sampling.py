"""Samples of the rows of one batch: some flows, of which each stands for others like it.

Sizes, priorities and strata (exporter and direction) are those of the flow log's own samples, see
`appliance.flowlog.samples.drawing`, and so are estimates and their errors. Thresholds are not: the
log's sample of an hour has one that rises until the hour is over, and is written again each time;
the sample of a batch is written once, and is the same octets whenever it is made.

So the threshold T of a stratum follows from the sizes in the batch alone: it is what leaves `rows`
of a time on average. A flow of size w is kept where its priority w / u is T at least, whatever
becomes of others; it stands for max(1, T / w), and sum(x**2 * s * (s - 1)) is the variance of a sum
(Poisson sampling with probabilities proportional to size). Nothing is ever merged: samples of
batches, days, shards and collectors are put together, as each row has its own T.

A table is read more thinly by larger thresholds. `sample_rank` says how often T may be doubled with
the flow still above it: those of rank r and more are the sample of 2**r * T, and each of them
stands for max(1, 2**r * `sample_ratio`), the ratio being T / w.

References
----------
Duffield, Lund, Thorup: Learn more, sample less, IEEE Transactions on Information Theory 51(5), 2005
(threshold sampling)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from appliance.flowlog.samples.drawing import SampleSize, uniform
from appliance.flowlog.samples.period import sizes_of, stratum_keys, values_of
from appliance.flowlog.samples.strata import Strata
from appliance.flows import COLLECTION_TIME, COLUMN, AnyArray, RecordKind
from appliance.plugins.clickhouse.blocks import (
    Block,
    FlowPiece,
    block_of,
    constant_column,
    log_columns,
)
from appliance.plugins.clickhouse.native import NativeColumn
from appliance.plugins.clickhouse.progress import Batch
from appliance.plugins.clickhouse.schema import (
    DRAWN_FROM,
    MARK_RANK,
    PERIOD_SECONDS,
    RANK,
    RATIO,
)

_LEAST_MS = 1000.0
_STEPS = 8
_CLOSE = 0.999


@dataclass(frozen=True, slots=True)
class SampleRate:
    """How densely is drawn.

    Attributes
    ----------
    rows
        Of all strata, in so many milliseconds; half as many more where there are many small ones.
    """

    rows: int
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """The flows of a batch, from which each of its samples is drawn.

    Attributes
    ----------
    piece
        The batch; records that are no flows, too.
    rows
        The numbers of its flows, rising.
    codes, sized, priorities
        Of each flow: its stratum as a number from 0 on, its size, and its priority.
    lasted_ms
        In how many milliseconds they were received.
    """

    piece: FlowPiece
    rows: AnyArray
    codes: AnyArray
    sized: AnyArray
    priorities: AnyArray
    lasted_ms: float

    @classmethod
    def of(cls, piece: FlowPiece, seed: int) -> Candidates:
        """Return those of a batch.

        Parameters
        ----------
        seed
            Of the log; who sends flows does not know it.
        """
        rows = np.flatnonzero(_by_row(piece, "record_kind") == RecordKind.FLOW)
        keys = _joined([stratum_keys(part) for part in piece.pieces], np.uint64)
        sized = _joined(
            [np.broadcast_to(sizes_of(part), part.n_rows) for part in piece.pieces], np.float64
        )[rows]
        places = _joined([span.places() for span in piece.spans], np.uint64)[rows]
        times = _by_row(piece, COLLECTION_TIME)[rows]
        priorities = sized / uniform(places, seed)
        return cls(piece, rows, Strata().codes(keys)[rows], sized, priorities, _lasted_ms(times))


@dataclass(frozen=True, slots=True)
class Drawn:
    """Which rows were drawn.

    Attributes
    ----------
    rows
        Their numbers in the batch, rising.
    ranks, ratios
        Of each: uint8 and float32.
    """

    rows: AnyArray
    ranks: AnyArray
    ratios: AnyArray


def batch_candidates(piece: FlowPiece, batch: Batch) -> Candidates:
    """Return what the samples of a batch are drawn from."""
    return Candidates.of(piece, int(batch.log, 16))


def sample_block(candidates: Candidates, collector: str, batch: Batch, rate: SampleRate) -> Block:
    """Return the sample of a batch, with a row for each period that says what it is drawn from.

    That row also marks the batch where none of its flows is kept.
    """
    drawn, piece = draw(candidates, rate), candidates.piece
    periods, counts = np.unique(piece.seconds // PERIOD_SECONDS, return_counts=True)
    n_marks, n = len(periods), len(drawn.rows) + len(periods)
    seconds = np.concatenate([piece.seconds[drawn.rows] // PERIOD_SECONDS, periods])
    none = np.zeros(len(drawn.rows), np.uint64)
    columns = [
        NativeColumn("collector", "String", constant_column(collector, n)),
        NativeColumn("batch", "UInt64", np.broadcast_to(np.uint64(batch.number), n)),
        NativeColumn("period", "DateTime", seconds * PERIOD_SECONDS),
        NativeColumn(RANK, "UInt8", np.append(drawn.ranks, np.full(n_marks, MARK_RANK, np.uint8))),
        NativeColumn(RATIO, "Float32", np.append(drawn.ratios, np.zeros(n_marks, np.float32))),
        NativeColumn(DRAWN_FROM, "UInt64", np.append(none, counts.astype(np.uint64))),
    ]
    kept = log_columns(piece.take(drawn.rows))
    return block_of([*columns, *(_with_marks(column, n_marks) for column in kept)], n)


def draw(candidates: Candidates, rate: SampleRate) -> Drawn:
    """Draw from the flows of a batch; other records are left out."""
    rows, sized, priorities = candidates.rows, candidates.sized, candidates.priorities
    limits = thresholds(sized, candidates.codes, rate, candidates.lasted_ms)
    is_kept = priorities >= limits
    # The exponent of x in [1, 2) is 1.
    _, exponents = np.frexp(priorities[is_kept] / limits[is_kept])
    ranks = np.clip(exponents - 1, 0, MARK_RANK - 1).astype(np.uint8)
    ratios = (limits[is_kept] / sized[is_kept]).astype(np.float32)
    return Drawn(rows[is_kept], ranks, ratios)


def thresholds(sized: AnyArray, codes: AnyArray, rate: SampleRate, lasted_ms: float) -> AnyArray:
    """Return the threshold of each flow, float64: the smaller one of all and of its stratum.

    Parameters
    ----------
    sized, codes
        The size of each flow, and its stratum as a number from 0 on.
    lasted_ms
        In how many milliseconds they were received.
    """
    if not len(sized):
        return np.zeros(0)
    share = lasted_ms / rate.milliseconds
    of_strata = np.bincount(codes, sized)
    least = SampleSize(rate.rows).least(len(of_strata)) * share
    limits: AnyArray = np.minimum(_threshold(sized, rate.rows * share), (of_strata / least)[codes])
    return limits.clip(min=float(sized.min()))


def _threshold(sized: AnyArray, rows: float) -> float:
    """Return what leaves so many on average; the smallest size where all may stay."""
    if rows >= len(sized):
        return float(sized.min())
    threshold = float(sized.sum()) / rows
    for _ in range(_STEPS):
        # Those above it are kept for certain, and leave fewer places to the others.
        is_small = sized < threshold
        left = rows - (len(sized) - int(is_small.sum()))
        lower = float(sized[is_small].sum()) / left if left > 0 else threshold
        if not 0 < lower < threshold * _CLOSE:
            break
        threshold = lower
    return threshold


def _lasted_ms(times: AnyArray) -> float:
    """Return the time that flows stand for: from the first to where the one behind would be."""
    n = len(times)
    lasted = int(times.max()) - int(times.min()) if n else 0
    return max(lasted * n / max(n - 1, 1), _LEAST_MS)


def _by_row(piece: FlowPiece, name: str) -> AnyArray:
    parts = [np.broadcast_to(values_of(part, name), part.n_rows) for part in piece.pieces]
    return _joined(parts, COLUMN[name].dtype)


def _joined(parts: Sequence[AnyArray], dtype: DTypeLike) -> AnyArray:
    joined: AnyArray = np.concatenate([np.zeros(0, dtype), *parts])
    return joined


def _with_marks(column: NativeColumn, n_marks: int) -> NativeColumn:
    """Return a column with rows behind that have no value."""
    nothing = "" if column.type.endswith(("String", "String)")) else 0
    padding = np.full(n_marks, nothing, column.values.dtype)
    nulls = np.zeros(len(column.values), bool) if column.nulls is None else column.nulls
    return NativeColumn(
        column.name,
        column.type,
        np.concatenate([column.values, padding]),
        np.append(nulls, np.ones(n_marks, bool)) if column.type.startswith("Nullable") else None,
    )
