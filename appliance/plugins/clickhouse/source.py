"""ClickHouseSource: questions answered by ClickHouse, over the flows of all collectors."""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are numbers or literals.

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from appliance.contracts import (
    SavedApplication,
    SourceColumn,
    SourceGroups,
    SourceRows,
    SourceSample,
    SourceSums,
    SumsQuestion,
)
from appliance.errors import StorageError
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.query_control import QueryControl
from appliance.flowlog.questions import LOG_ORDER, ORDERS, FlowQuestion
from appliance.flows import COLLECTION_TIME, COLUMN
from appliance.plugins.clickhouse.asking import BLOCK_ROWS, Asking
from appliance.plugins.clickhouse.http import Server
from appliance.plugins.clickhouse.native import Columns, NativeColumn
from appliance.plugins.clickhouse.sample_choice import (
    choose_sample,
    range_of_samples_alone,
)
from appliance.plugins.clickhouse.schema import (
    APPLICATIONS,
    DAY_SECONDS,
    FLOWS,
    PERIOD_SECONDS,
    Layout,
    column_type,
)
from appliance.plugins.clickhouse.shared_bodies import MAX_COLLECTORS
from appliance.plugins.clickhouse.shared_knowledge import applications_of
from appliance.plugins.clickhouse.statements import (
    FlowTable,
    GroupStatements,
    Sample,
    identity,
)
from appliance.plugins.clickhouse.summing import SumStatement, untold_sql
from appliance.query.question import Question

STREAM_ROWS = 131_072
"""Rows of an export that are held at once, more where one second has more."""

_SPREAD_ROWS = 1 << 20
"""So many rows a block may have when each flow is in every bin of a series."""

_PLACE = "collector, segment, row"
_STREAM_SECONDS = 3600.0


class ClickHouseSource:
    """Implements `appliance.contracts.QuerySource`.

    Parameters
    ----------
    servers
        Of one database; the first that is there is asked.
    """

    def __init__(self, servers: Sequence[Server], layout: Layout) -> None:
        self._servers, self._layout = servers, layout

    def rows_between(self, since_ms: int, until_ms: int, limits: QueryLimits) -> int:
        """Return how many rows were received in a range."""
        asking = Asking(self._servers, self._layout, limits)
        where = FlowTable(()).where((), since_ms, until_ms, only_flows=False)
        ((n,),) = asking.rows(f"SELECT count() FROM {FLOWS} WHERE {where}")
        return int(n)

    def oldest_ms(self, limits: QueryLimits) -> int | None:
        """Return when the oldest row was received; None where there is none."""
        asking = Asking(self._servers, self._layout, limits)
        first = asking.first_day()
        if first is None:
            return None
        end = (first + 1) * DAY_SECONDS
        ((time_ms, n),) = asking.rows(
            f"SELECT min({COLLECTION_TIME}), count() FROM {FLOWS} WHERE period < toDateTime({end})"
        )
        return int(time_ms) if n else None

    def range_of_samples_alone(self, limits: QueryLimits) -> tuple[int, int] | None:
        """Return the range of the days of which only samples are there."""
        return range_of_samples_alone(Asking(self._servers, self._layout, limits))

    def _asking(self, limits: QueryLimits, control: QueryControl | None) -> Asking:
        return Asking(self._servers, self._layout, limits, control)

    def top(
        self, question: Question, limits: QueryLimits, control: QueryControl | None
    ) -> SourceGroups:
        """Return the largest groups, grouped and cut there."""
        return self._top(self._asking(limits, control), question, None)

    def estimate_top(
        self,
        question: Question,
        most_rows: int,
        limits: QueryLimits,
        control: QueryControl | None,
    ) -> SourceGroups | None:
        """Return the largest groups of a sample, or None; see `EstimatingSource`."""
        asking = self._asking(limits, control)
        sample = choose_sample(asking, question, most_rows)
        return None if sample is None else self._top(asking, question, sample)

    def _top(self, asking: Asking, question: Question, sample: Sample | None) -> SourceGroups:
        with asking.missing_shards() as missing:
            statements = _statements(asking, question, sample)
            total = asking.columns(statements.total())
            groups = asking.columns(statements.groups()) if statements.keys else {}
        names = [*statements.keys, *statements.summed, *question.measures]
        taken, more = {}, False
        for name, column in zip(names, groups.values(), strict=bool(groups)):
            more = len(column.values) > question.limit
            taken[name] = _column(column, slice(0, question.limit))
        return SourceGroups(taken, _figures(total), more, tuple(missing), _told(sample))

    def series(
        self, question: Question, limits: QueryLimits, control: QueryControl | None
    ) -> SourceRows:
        """Return the bins of the largest groups, and of the rest together."""
        return self._series(self._asking(limits, control), question, None)

    def estimate_series(
        self,
        question: Question,
        most_rows: int,
        limits: QueryLimits,
        control: QueryControl | None,
    ) -> SourceRows | None:
        """Return the bins of a sample, or None; see `EstimatingSource`."""
        asking = self._asking(limits, control)
        sample = choose_sample(asking, question, most_rows)
        return None if sample is None else self._series(asking, question, sample)

    def _series(self, asking: Asking, question: Question, sample: Sample | None) -> SourceRows:
        with asking.missing_shards() as missing:
            statements = _statements(asking, question, sample)
            block_rows = min(max(_SPREAD_ROWS // statements.n_bins, 64), BLOCK_ROWS)
            best = asking.columns(statements.best(), block_rows) if statements.keys else {}
            keys = [_found(best, alias) for alias in statements.aliases]
            values = [_values(key) for key in keys]
            idents = [identity(each) for each in zip(*values, strict=True)]
            bins = asking.columns(statements.bins(idents), block_rows)
        rank = {ident: place for place, ident in enumerate(idents)}
        places = np.array([rank.get(ident, -1) for ident in _found(bins, "ident").values], np.int64)
        # Without keys there is one group: all flows.
        is_other = (places < 0) & bool(statements.keys)
        columns = {
            name: _taken(key, places) for name, key in zip(statements.keys, keys, strict=True)
        }
        columns |= {
            "bin": _found(bins, "number"),
            "value": _found(bins, "value"),
            "is_other": SourceColumn(is_other.astype(np.uint8)),
            "whole": _taken(_found(best, "whole"), places),
        }
        if sample is not None:
            columns["variance"] = _found(bins, "variance")
        return SourceRows(columns, tuple(missing), _told(sample))

    def flows(
        self,
        question: FlowQuestion,
        columns: Sequence[str],
        limits: QueryLimits,
        control: QueryControl | None,
    ) -> SourceRows:
        """Return stored columns of single flows, in the order of the question."""
        asking = Asking(self._servers, self._layout, limits, control)
        with asking.missing_shards() as missing:
            table = FlowTable(asking.columns_of(FLOWS))
            where = table.where(
                question.conditions, question.since_ms, question.until_ms, only_flows=False
            )
            order = ORDERS.get(question.order or "", COLLECTION_TIME)
            if question.order == LOG_ORDER:
                order = COLLECTION_TIME
            sql = f"{_select(table, columns)} WHERE {where} ORDER BY {order}, {_PLACE}"
            limit = "" if question.limit is None else f" LIMIT {question.limit}"
            rows = asking.columns(sql + limit)
        return SourceRows(_named(columns, rows), tuple(missing))

    def stream(
        self, question: FlowQuestion, columns: Sequence[str], limits: QueryLimits
    ) -> Iterator[SourceRows]:
        """Yield stored columns of all flows of a question, a few seconds or minutes at a time."""
        asking = Asking(self._servers, self._layout, limits)
        table = FlowTable(asking.columns_of(FLOWS))
        left = question.limit
        for since_ms, until_ms in _pieces(asking, table, question):
            with asking.missing_shards() as missing:
                where = table.where(question.conditions, since_ms, until_ms, only_flows=False)
                order = f"{COLLECTION_TIME}, {_PLACE}"
                sql = f"{_select(table, columns)} WHERE {where} ORDER BY {order}"
                rows = asking.columns(sql if left is None else f"{sql} LIMIT {left}")
            if missing:
                raise StorageError(f"{missing[0]} does not answer: an export would lack its flows")
            named = _named(columns, rows)
            if left is not None:
                left -= max((len(column.values) for column in named.values()), default=0)
            yield SourceRows(named)
            if left is not None and left <= 0:
                return

    def sums(self, question: SumsQuestion, limits: QueryLimits) -> SourceSums:
        """Return exact sums, from the table of sums where that has what is asked for."""
        asking = Asking(self._servers, self._layout, limits)
        with asking.missing_shards() as missing:
            untold = untold_sql(question)
            if untold is not None and asking.rows(untold) == [[0]]:
                question = replace(question, inside=())
            statement = SumStatement(question, asking.columns_of(FLOWS))
            found = list(asking.columns(statement.sql()).values())
        nothing = SourceColumn(np.empty(0, np.uint64))
        columns = [_column(column) for column in found] or [nothing] * len(statement.names)
        return SourceSums(dict(zip(statement.names, columns, strict=True)), tuple(missing))

    def application_names(self, limits: QueryLimits) -> Sequence[SavedApplication]:
        """Return the names that exporters told any collector."""
        asking = Asking(self._servers, self._layout, limits)
        bodies = asking.rows(
            f"SELECT collector, argMax(body, written_at) FROM {APPLICATIONS}"
            f" GROUP BY collector ORDER BY collector LIMIT {MAX_COLLECTORS}"
        )
        return [name for _, body in bodies for name in applications_of(body)]


def _told(sample: Sample | None) -> SourceSample | None:
    return None if sample is None else SourceSample(sample.n_rows, sample.drawn_from)


def _statements(asking: Asking, question: Question, sample: Sample | None) -> GroupStatements:
    columns = asking.columns_of(FLOWS if sample is None else sample.table)
    return GroupStatements(question, FlowTable(columns), sample)


def _pieces(asking: Asking, table: FlowTable, question: FlowQuestion) -> Iterator[tuple[int, int]]:
    """Yield ranges, milliseconds UTC, that together have all flows, each not many of them."""
    periods = _counts(asking, table, question, PERIOD_SECONDS)
    for since_ms, until_ms, n in _joined(periods):
        if n <= STREAM_ROWS:
            yield since_ms, until_ms
            continue
        seconds = _counts(asking, table, question, 1, (since_ms, until_ms))
        for start_ms, end_ms, _ in _joined(seconds):
            yield start_ms, end_ms


def _counts(
    asking: Asking,
    table: FlowTable,
    question: FlowQuestion,
    seconds: int,
    span: tuple[int, int] | None = None,
) -> list[tuple[int, int, int]]:
    """Return ranges of so many seconds that have flows, and how many each has."""
    since_ms, until_ms = span or (question.since_ms, question.until_ms)
    where = table.where(question.conditions, since_ms, until_ms, only_flows=False)
    step = seconds * 1000
    with asking.missing_shards() as missing:
        rows = asking.rows(
            f"SELECT intDiv({COLLECTION_TIME}, {step}) AS number, count() FROM {FLOWS}"
            f" WHERE {where} GROUP BY number ORDER BY number"
        )
    if missing:
        raise StorageError(f"{missing[0]} does not answer: an export would lack its flows")
    return [
        (max(number * step, since_ms), min((number + 1) * step, until_ms), n) for number, n in rows
    ]


def _joined(ranges: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Yield neighbours together, as long as they do not have too many rows."""
    joined: tuple[int, int, int] | None = None
    for since_ms, until_ms, n in ranges:
        if joined is not None and joined[2] + n <= STREAM_ROWS:
            joined = (joined[0], until_ms, joined[2] + n)
            continue
        if joined is not None:
            yield joined
        joined = (since_ms, until_ms, n)
    if joined is not None:
        yield joined


def _select(table: FlowTable, columns: Sequence[str]) -> str:
    kinds = {name: column_type(COLUMN[name]) for name in columns}
    listed = [
        f"CAST({table.named(name)}, '{kind}') AS c{place}"
        for place, (name, kind) in enumerate(kinds.items())
    ]
    return f"SELECT {', '.join(listed)} FROM {FLOWS}"


def _named(columns: Sequence[str], rows: Columns) -> dict[str, SourceColumn]:
    if not rows:
        return {name: SourceColumn(np.empty(0, COLUMN[name].dtype)) for name in columns}
    return {name: _column(column) for name, column in zip(columns, rows.values(), strict=True)}


def _found(columns: Columns, name: str) -> SourceColumn:
    """Return a column; of an answer without rows servers may leave all of them out."""
    return _column(columns[name]) if name in columns else SourceColumn(np.empty(0, np.uint64))


def _column(column: NativeColumn, rows: slice = slice(None)) -> SourceColumn:
    nulls = None if column.nulls is None else column.nulls[rows]
    return SourceColumn(column.values[rows], nulls)


def _values(column: SourceColumn) -> list[object]:
    values = column.values.tolist()
    if column.nulls is None:
        return list(values)
    return [None if null else value for value, null in zip(values, column.nulls, strict=True)]


def _taken(column: SourceColumn, places: np.ndarray) -> SourceColumn:
    """Return a value for each place, and none where the place is negative."""
    n = len(column.values)
    values = np.zeros(len(places), column.values.dtype) if n == 0 else column.values[places]
    nulls = places < 0
    if column.nulls is not None and n:
        nulls = nulls | column.nulls[places]
    return SourceColumn(values, nulls)


def _figures(total: Mapping[str, NativeColumn]) -> dict[str, float]:
    """Return the one row of a total, without what has no value."""
    figures = {}
    for name, column in total.items():
        if len(column.values) and not (column.nulls is not None and column.nulls[0]):
            figures[name] = float(column.values[0])
    return figures
