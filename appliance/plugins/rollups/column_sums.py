"""Sums by columns of the flow log: what exact roll-ups have, for questions that need no more.

They answer only where they have every flow: of exporters that were forgotten, of times before these
sums were kept, and beyond their limits, they have not, and then their sum is less than the total of
the same bins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from appliance.contracts import ColumnSums
from appliance.flows import COLUMN, AnyArray, address_halves
from appliance.plugins.rollups.bins import (
    Size,
    Span,
    bin_ceiling,
    bin_start,
    smallest_kept,
    spans,
)
from appliance.plugins.rollups.capped_sums import (
    BEYOND_NAME,
    CAPPED_SIZES,
    SYSTEMS,
    pair_of_name,
)
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS, Dimension
from appliance.plugins.rollups.plugin_sums import read_plugin_sums
from appliance.plugins.rollups.progress import read_progress
from appliance.plugins.rollups.questions import (
    EXACT_SIZES,
    SUMS,
    ExactQuestions,
    Range,
    oldest_starts,
)
from appliance.sql.table_names import KNOWN_EXPORTER

_EXPORTER = ("exporter_address_hi", "exporter_address_lo")


class _Source(NamedTuple):
    """Rows of one dimension, and the columns that they are sums by."""

    dimension: int
    columns: tuple[str, ...]
    numbers: Callable[[str], tuple[int, ...]]
    by_exporter: bool
    sizes: Sequence[Size]
    since: int = 0

    @property
    def all_columns(self) -> tuple[str, ...]:
        """The columns, and those of the exporter where there are some."""
        return (*self.columns, *(_EXPORTER if self.by_exporter else ()))


def _nothing(_name: str) -> tuple[int, ...]:
    return ()


def _number(name: str) -> tuple[int, ...]:
    return (int(name),)


_PROTOCOL = ("protocol_identifier",)
_SOURCES = (
    _Source(Dimension.TOTAL, (), _nothing, False, EXACT_SIZES),
    _Source(Dimension.PROTOCOL, _PROTOCOL, _number, False, EXACT_SIZES),
    _Source(Dimension.AS_PAIR, SYSTEMS, pair_of_name, False, CAPPED_SIZES),
    _Source(Dimension.TOTAL, (), _nothing, True, EXACT_SIZES),
    _Source(Dimension.PROTOCOL, _PROTOCOL, _number, True, EXACT_SIZES),
    _Source(Dimension.INGRESS_INTERFACE, ("ingress_interface",), _number, True, CAPPED_SIZES),
    _Source(Dimension.EGRESS_INTERFACE, ("egress_interface",), _number, True, CAPPED_SIZES),
)
"""The first that has all columns of a question answers it; else one of a plugin's columns."""


def sums_by_columns(
    exact: ExactQuestions,
    limits: StoreLimits,
    columns: Set[str],
    asked: tuple[int, int],
    now: float,
) -> ColumnSums | None:
    """Return sums over the whole bins in a range; see `SumsByColumns`.

    To be called inside a transaction; at most five queries.
    """
    source = _source(exact, columns)
    progress = read_progress(exact.database)
    # Without an end a rebuild is not finished; before it there are no flows.
    if source is None or not progress.oldest or progress.flows < progress.until:
        return None
    kept = oldest_starts(limits, source.sizes, now)
    oldest = bin_start(Size.MONTH, progress.oldest)
    # The bin of the newest flow may still be filled.
    end = min(asked[1], progress.newest)
    found = _whole_bins(max(asked[0], oldest, source.since), end, kept)
    if not found:
        return None
    rows = _rows(exact, source, found)
    is_cut = source.columns and any(name == BEYOND_NAME for _, name, *_ in rows)
    if is_cut or not rows:
        return None
    sums = np.array([row[2:] for row in rows], np.int64).reshape(-1, 3).T
    total = exact.totals(Range(found, ALL_EXPORTERS, (0, 1)))
    if tuple(sums.sum(axis=1).tolist()) != tuple(total):
        return None
    since = asked[0] if max(asked[0], source.since) <= oldest else found[0].since
    values = _columns(exact, source, rows)
    return ColumnSums(since, found[-1].until, progress.oldest, values, *sums)


def _source(exact: ExactQuestions, columns: Set[str]) -> _Source | None:
    """Return what answers a question for these columns."""
    for source in _SOURCES:
        if columns <= set(source.all_columns):
            return source
    for part in read_plugin_sums(exact.database):
        if columns <= set(part.columns):
            numbers = pair_of_name if len(part.columns) == 2 else _number
            return _Source(part.dimension, part.columns, numbers, False, CAPPED_SIZES, part.since)
    return None


def _whole_bins(since: int, until: int, kept: Mapping[Size, int]) -> list[Span]:
    """Return the spans of the whole bins in a range, of the smallest sizes kept at its ends."""
    ascending = sorted(kept)
    first = bin_ceiling(smallest_kept(ascending, kept, since), since)
    last = bin_start(smallest_kept(ascending, kept, until), until)
    return spans(first, last, kept) if first < last else []


def _rows(exact: ExactQuestions, source: _Source, bins: list[Span]) -> list[tuple[Any, ...]]:
    """Return exporter, name and sums of each row, spans apart."""
    which = "exporter = ?"
    if source.by_exporter:
        which = f"exporter IN (SELECT id FROM {KNOWN_EXPORTER})"
    asked = Range(bins, ALL_EXPORTERS, (0, 1))
    select = f"SELECT exporter, name, {SUMS}"
    return exact.read(select, source.dimension, asked, which, "exporter, name")


def _columns(
    exact: ExactQuestions, source: _Source, rows: Sequence[tuple[Any, ...]]
) -> dict[str, AnyArray]:
    names = [source.numbers(str(row[1])) for row in rows]
    columns = {
        column: np.array([numbers[place] for numbers in names], COLUMN[column].dtype)
        for place, column in enumerate(source.columns)
    }
    if source.by_exporter:
        known = exact.database.rows(f"SELECT id, address FROM {KNOWN_EXPORTER}")
        halves = {int(number): address_halves(str(address)) for number, address in known}
        addresses = [halves[int(row[0])] for row in rows]
        for place, column in enumerate(_EXPORTER):
            columns[column] = np.array([pair[place] for pair in addresses], np.uint64)
    return columns
