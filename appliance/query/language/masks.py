"""Filters as masks over batches of flows: numpy instead of SQL, for what is not in the log yet.

They choose exactly the rows that `duckdb` chooses of the same batch once it is stored. A column
that the batch lacks is null there: of unsigned numbers it then has its `absent` value, anything
else fits nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.flowlog.conditions import ADDRESSES
from appliance.flows import COLUMN, AnyArray, FlowBatch, is_constant
from appliance.query.language.dialects import bounds_within
from appliance.query.language.tree import (
    RATES,
    Always,
    And,
    Comparison,
    Filter,
    HasBits,
    HasText,
    InNetworks,
    InRanges,
    Not,
    Or,
    Range,
)

Mask = NDArray[np.bool_]

_LOW = 2**64 - 1
_OF_RATES = (
    "flow_start_milliseconds", "flow_end_milliseconds", "octet_delta_count", "packet_delta_count",
)  # fmt: skip


def filter_mask(tree: Filter, batch: FlowBatch) -> Mask:
    """Return which records of a batch fit a filter.

    Returns
    -------
    ndarray
        bool, shape (n_records,); stride 0 where all of them do, or none.
    """
    n = batch.n_records
    match tree:
        case Always():
            return _all(True, n)
        case Not(HasBits(columns, masks)):
            parts = (_no_bits(batch, column, mask) for column in columns for mask in masks)
            return _join(np.logical_and, parts, _all(True, n))
        case Not(inner):
            return _broadcast(lambda mask: ~mask, filter_mask(inner, batch))
        case And(filters):
            return _join(np.logical_and, (filter_mask(f, batch) for f in filters), _all(True, n))
        case Or(filters):
            return _join(np.logical_or, (filter_mask(f, batch) for f in filters), _all(False, n))
        case _:
            sides = (_side(tree, column, batch) for column in tree.columns)
            return _join(np.logical_or, sides, _all(False, n))


def mask_columns(tree: Filter) -> set[str]:
    """Return the columns of a batch that `filter_mask` looks at."""
    match tree:
        case Always():
            return set()
        case Not(inner):
            return mask_columns(inner)
        case And(filters) | Or(filters):
            return set().union(*(mask_columns(one) for one in filters))
    reads: set[str] = set()
    for name in tree.columns:
        if name in RATES:
            reads |= set(_OF_RATES)
        elif name in ADDRESSES:
            reads |= {f"{name}_hi", f"{name}_lo"}
        elif name in COLUMN:
            reads.add(name)
    return reads


def _all(value: bool, n: int) -> Mask:
    return np.broadcast_to(np.array(value), (n,))


def _join(join: Callable[[Mask, Mask], Mask], masks: Iterable[Mask], first: Mask) -> Mask:
    return reduce(join, masks, first)


def _broadcast(compare: Callable[..., Any], *columns: AnyArray) -> Mask:
    """Compare columns; those that do not vary at their first value only."""
    if all(is_constant(column) for column in columns):
        found = compare(*(column[:1] for column in columns))
        return np.broadcast_to(np.asarray(found, bool), columns[0].shape)
    return np.asarray(compare(*columns), bool)


def _side(tree: Comparison, column: str, batch: FlowBatch) -> Mask:
    n = batch.n_records
    match tree:
        case InRanges(_, ranges):
            masks = (_in_range(batch, column, one) for one in ranges)
        case InNetworks(_, networks):
            return _in_networks(batch, column, networks)
        case HasBits(_, wanted):
            masks = (_bits(batch, column, mask) for mask in wanted)
        case HasText(_, texts, part):
            masks = (_text(batch, column, text, part) for text in texts)
    return _join(np.logical_or, masks, _all(False, n))


def _in_range(batch: FlowBatch, column: str, one: Range) -> Mask:
    low, high = one
    if column in RATES:
        found = _rate(batch, column)
    elif column in batch.columns or COLUMN[column].dtype.kind == "u":
        found = batch.column(column)
    else:
        found = None
    if found is None:
        return _all(False, batch.n_records)
    if found.dtype.kind in "ui":
        limits = np.iinfo(found.dtype)
        bounds = bounds_within(one, limits.min, limits.max)
        if bounds is None:
            return _all(False, batch.n_records)
        low, high = bounds
    if low is not None and low == high:
        return _broadcast(lambda values: values == values.dtype.type(low), found)
    mask = _broadcast(lambda values: values == values, found)  # noqa: PLR0124 - not of NaN
    if low is not None:
        mask = mask & _broadcast(lambda values: values >= low, found)
    if high is not None:
        mask = mask & _broadcast(lambda values: values <= high, found)
    return mask


def _rate(batch: FlowBatch, name: str) -> AnyArray | None:
    """Return a rate of each record as float64, NaN where nothing tells; None: of none of them."""
    times = [batch.columns.get(f"flow_{end}_milliseconds") for end in ("end", "start")]
    octets, packets = (batch.columns.get(f"{n}_delta_count") for n in ("octet", "packet"))
    duration = None
    if times[0] is not None and times[1] is not None:
        duration = times[0].astype(np.float64) - times[1].astype(np.float64)
    of: dict[str, tuple[AnyArray | None, int, AnyArray | None]] = {
        "bps": (octets, 8000, duration),
        "pps": (packets, 1000, duration),
        "bpp": (octets, 1, None if packets is None else packets.astype(np.float64)),
    }
    if name not in of:
        return duration
    counted, factor, by = of[name]
    if by is None:
        return None
    # Without a count nothing is known but that what did not last has no rate.
    counts = np.full(len(by), np.nan) if counted is None else counted.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.floor(counts * factor / by)
    rate: AnyArray = np.where(by > 0, quotient, 0.0)
    return rate


def _in_networks(batch: FlowBatch, column: str, networks: Iterable[tuple[int, int]]) -> Mask:
    """Look addresses up among networks: in sorted ranges, at once however many there are."""
    halves = [f"{column}_hi", f"{column}_lo"]
    if not any(half in batch.columns for half in halves):
        return _all(False, batch.n_records)
    high, low = (batch.column(half) for half in halves)
    ranges = merge_ranges(networks)
    if is_constant(high):
        firsts, lasts = _low_ranges(ranges, int(high[0]))
        return _broadcast(lambda values: _inside(values, firsts, lasts), low)
    firsts, lasts = (_octets(*_split(ranges, place)) for place in (0, 1))
    return _inside(_octets(high, low), firsts, lasts)


def _split(ranges: Sequence[tuple[int, int]], place: int) -> tuple[AnyArray, AnyArray]:
    high = np.array([one[place] >> 64 for one in ranges], np.uint64)
    return high, np.array([one[place] & _LOW for one in ranges], np.uint64)


def _octets(high: AnyArray, low: AnyArray) -> AnyArray:
    """Return addresses as 16 octets each, which are in the order of the numbers."""
    halves = np.empty((len(low), 2), ">u8")
    halves[:, 0], halves[:, 1] = high, low
    return halves.view("S16").reshape(-1)


def _low_ranges(ranges: Sequence[tuple[int, int]], half: int) -> tuple[AnyArray, AnyArray]:
    """Return first and last lower halves of the addresses in ranges that have an upper half."""
    start = half << 64
    here = [
        (max(first - start, 0), min(last - start, _LOW))
        for first, last in ranges
        if first >> 64 <= half <= last >> 64
    ]
    firsts, lasts = (np.array([pair[place] for pair in here], np.uint64) for place in (0, 1))
    return firsts, lasts


def _inside(values: AnyArray, firsts: AnyArray, lasts: AnyArray) -> Mask:
    if not len(firsts):
        return np.zeros(len(values), bool)
    places = np.searchsorted(firsts, values, "right") - 1
    found: Mask = (places >= 0) & (values <= lasts[places])
    return found


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges in order, those that touch joined."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _bits(batch: FlowBatch, column: str, mask: int) -> Mask:
    if column not in batch.columns:
        return _all(False, batch.n_records)
    bits = np.uint64(mask)
    return _broadcast(lambda values: values.astype(np.uint64) & bits == bits, batch.column(column))


def _no_bits(batch: FlowBatch, column: str, mask: int) -> Mask:
    if column not in batch.columns:
        return _all(True, batch.n_records)
    bits = np.uint64(mask)
    return _broadcast(lambda values: values.astype(np.uint64) & bits == 0, batch.column(column))


def _text(batch: FlowBatch, column: str, text: str, part: bool) -> Mask:
    values = batch.columns.get(column)
    if values is None:
        return _all(False, batch.n_records)
    if part:
        searched = text.lower()
        return np.fromiter((searched in str(v).lower() for v in values), bool, len(values))
    return _broadcast(lambda found: found == text, values)
