"""SourceSearch: a search of a query source in place of the flow log.

The source selects, groups and sums; what it returns are rows of a size that somebody reads. DuckDB
shows them as it shows those of the flow log, so that names, addresses and classes are the same.
Options records, and the names of interfaces in them, are those of the own log.
"""

# ruff: noqa: S608 - the SQL is our own.

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from appliance.contracts import (
    EstimatingSource,
    QuerySource,
    SourceColumn,
    SourceGroups,
    SourceRows,
)
from appliance.errors import InvalidQueryError
from appliance.flowlog.connections import open_connection
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.query_control import QueryControl
from appliance.flowlog.questions import (
    LAST_MS,
    LOG_ORDER,
    FlowQuestion,
    Statement,
    flows_statement,
)
from appliance.flowlog.search import FlowSearch
from appliance.flows import COLLECTION_TIME, COLUMN, OCTETS_PREFIX
from appliance.query.planner import most_sampled_rows
from appliance.query.question import DISTINCT, Provenance, Question
from appliance.query.sources import query_source
from appliance.query.statements import (
    question_items,
    shown_bins_statement,
    shown_groups_statement,
    summed_names,
)
from appliance.settings.file import Settings


class SourceSearch(FlowSearch):
    """Answers questions about the flows of a source.

    Parameters
    ----------
    directory
        The own flow log, which has the names.
    """

    def __init__(self, source: QuerySource, directory: Path, limits: QueryLimits) -> None:
        super().__init__(directory, limits, may_be_missing=True)
        self.source = source

    def with_limits(self, limits: QueryLimits, control: QueryControl | None = None) -> FlowSearch:
        """Return a search of the same flows with other limits and a control."""
        search = SourceSearch(self.source, self.directory, limits)
        search.control = control
        return search

    def rows_between(self, since_ms: int, until_ms: int) -> int:
        """Return how many flow records were received in a range."""
        return self.source.rows_between(since_ms, until_ms, self.limits)

    def oldest_ms(self) -> int:
        """Return when the oldest flow was received; a far future when there is none."""
        oldest_ms = self.source.oldest_ms(self.limits)
        return LAST_MS if oldest_ms is None else oldest_ms

    def octets_columns(self, options: bool) -> set[str]:
        """Return the columns of elements kept as octets; a source has none of flows."""
        return super().octets_columns(options) if options else set()

    def flows(self, question: FlowQuestion) -> Any:
        """Return matching records as a pyarrow table; see `FlowSearch.flows`."""
        if question.options:
            return super().flows(question)
        flows_statement(question)  # says what is wrong with columns and order
        return self._select(flows_statement, question, question)

    def run_flows(
        self, statement_of: Callable[[FlowQuestion], Statement], question: FlowQuestion
    ) -> Any:
        """Return what a statement makes of all records of a question, however long its range.

        The limit is the statement's: a page is cut where it is put in order.
        """
        return self._select(statement_of, question, replace(question, limit=None))

    def _select(
        self,
        statement_of: Callable[[FlowQuestion], Statement],
        question: FlowQuestion,
        asked: FlowQuestion,
    ) -> Any:
        statement = statement_of(_without_conditions(question))
        _refuse_octets(question)
        rows = self.source.flows(asked, _columns_to_send(statement), self.limits, self.control)
        self._note(rows.missing)
        return self._statement_answer(statement, _log_table(rows.columns))

    def newest_start(self, question: FlowQuestion) -> int:
        """Return since when as many flows were received as a page needs, or all."""
        limit = (question.limit or 0) + 1
        newest = replace(question, order="newest", limit=limit)
        rows = self.source.flows(newest, [COLLECTION_TIME], self.limits, self.control)
        self._note(rows.missing)
        times = rows.columns[COLLECTION_TIME].values
        return int(times.min()) if len(times) else question.until_ms

    def stream_flows(self, question: FlowQuestion) -> Iterator[Any]:
        """Yield the records of a question as record batches; see `FlowSearch.stream`."""
        if question.options:
            yield from super().stream_flows(question)
            return
        _refuse_octets(question)
        statement = flows_statement(replace(_without_conditions(question), limit=None))
        empty = {
            name: SourceColumn(np.empty(0, COLUMN[name].dtype))
            for name in _columns_to_send(statement)
        }
        shown = self._statement_answer(statement, _log_table(empty))
        yield pa.RecordBatch.from_pylist([], schema=shown.schema)
        for rows in self.source.stream(question, _columns_to_send(statement), self.limits):
            yield from self._statement_answer(statement, _log_table(rows.columns)).to_batches()

    def stored_from_ms(self) -> int:
        """Return since when there are flows, or samples of them."""
        samples = self._range_of_samples_alone()
        return self.oldest_ms() if samples is None else samples[0]

    def top(self, question: Question, exact_rows: int | None) -> tuple[Any, Provenance]:
        """Return the rows of `statements.top_statement`, and where they come from.

        Parameters
        ----------
        exact_rows
            Of more flows than this the answer is estimated, where the source does that; None: it is
            exact, whatever there is.
        """
        n_rows = self.rows_between(question.since_ms, question.until_ms)
        answer: SourceGroups | None = None
        if self._may_estimate("estimate_top", question, n_rows, exact_rows):
            most, source = most_sampled_rows(question), cast(EstimatingSource, self.source)
            answer = source.estimate_top(question, most, self.limits, self.control)
        answer = answer or self.source.top(question, self.limits, self.control)
        self._note(answer.missing)
        statement = shown_groups_statement(question, sampled=answer.sample is not None)
        table = self._statement_answer(statement, _groups_table(question, answer))
        return table, _provenance(answer, n_rows)

    def series(
        self, question: Question, since_ms: int, until_ms: int, exact_rows: int | None
    ) -> tuple[Any, Provenance]:
        """Return the rows of `statements.series_statement`, and where they come from.

        Parameters
        ----------
        since_ms, until_ms
            When the flows of its bins are received.
        exact_rows
            As of `top`.
        """
        n_rows = self.rows_between(since_ms, until_ms)
        answer: SourceRows | None = None
        if self._may_estimate("estimate_series", question, n_rows, exact_rows):
            most, source = most_sampled_rows(question), cast(EstimatingSource, self.source)
            answer = source.estimate_series(question, most, self.limits, self.control)
        answer = answer or self.source.series(question, self.limits, self.control)
        self._note(answer.missing)
        statement = shown_bins_statement(question, sampled=answer.sample is not None)
        table = self._statement_answer(statement, _table(answer.columns))
        return table, _provenance(answer, n_rows)

    def _may_estimate(
        self, method: str, question: Question, n_rows: int, exact_rows: int | None
    ) -> bool:
        """Tell whether the source is asked for an estimate.

        Of more flows than are read for an exact answer; or where flows are gone that there are
        samples of.
        """
        counts_distinct = any(name in DISTINCT for name in question.measures)
        if question.needs_all_flows or counts_distinct or not hasattr(self.source, method):
            return False
        if exact_rows is None or n_rows > exact_rows:
            return exact_rows is not None
        samples = self._range_of_samples_alone()
        return samples is not None and question.since_ms < samples[1]

    def _range_of_samples_alone(self) -> tuple[int, int] | None:
        if not hasattr(self.source, "range_of_samples_alone"):
            return None
        return cast(EstimatingSource, self.source).range_of_samples_alone(self.limits)

    def _note(self, missing: Sequence[str]) -> None:
        self.missing = list(dict.fromkeys([*self.missing, *missing]))

    def _statement_answer(self, statement: Statement, table: Any) -> Any:
        """Run a statement over rows of the source, in their order."""
        with open_connection(self.limits, self.control) as connection:
            connection.execute("SET preserve_insertion_order = true")
            connection.register("rows_of_source", table)
            sql = f"WITH log AS NOT MATERIALIZED (SELECT * FROM rows_of_source) {statement.sql}"
            return connection.sql(sql, params=statement.parameters).to_arrow_table()


def search_of(
    directory: Path, limits: QueryLimits, settings: Settings, *, may_be_missing: bool = False
) -> FlowSearch:
    """Return what searches flows: what the settings choose, or else the flow log of a folder.

    Parameters
    ----------
    may_be_missing
        As of `FlowSearch`; of a source the own log may be missing.
    """
    source = query_source(settings)
    if source is not None:
        return SourceSearch(source, directory, limits)
    return FlowSearch(directory, limits, may_be_missing=may_be_missing)


def _provenance(answer: SourceGroups | SourceRows, n_rows: int) -> Provenance:
    sample, missing = answer.sample, answer.missing
    if sample is None:
        return Provenance("exact", n_rows, n_rows, missing=missing)
    in_range = max(sample.rows_in_range, n_rows)
    return Provenance("sampled", sample.rows_scanned, in_range, missing=missing)


def _without_conditions(question: FlowQuestion) -> FlowQuestion:
    """Return the question about rows that a source selected and put in order."""
    return replace(question, conditions=(), since_ms=0, until_ms=LAST_MS, order=LOG_ORDER)


def _refuse_octets(question: FlowQuestion) -> None:
    for name in question.columns:
        if name.startswith(OCTETS_PREFIX):
            raise InvalidQueryError(f"{name} is in the flow log only")


def _columns_to_send(statement: Statement) -> list[str]:
    return sorted(statement.columns)


def _log_table(columns: Mapping[str, SourceColumn]) -> Any:
    """Return stored columns with the types that they have in the flow log."""
    return pa.table({name: _array(column, COLUMN[name].dtype) for name, column in columns.items()})


def _table(columns: Mapping[str, SourceColumn]) -> Any:
    return pa.table({name: _array(column) for name, column in columns.items()})


def _array(column: SourceColumn, dtype: Any = None) -> Any:
    if column.values.dtype.kind == "O":
        return pa.array(column.values.tolist(), pa.string(), mask=column.nulls)
    values = column.values if dtype is None else column.values.astype(dtype, copy=False)
    return pa.array(values, mask=column.nulls)


def _groups_table(question: Question, answer: SourceGroups) -> Any:
    """Return the groups, the rest and the total as rows, with `part` and `place`."""
    groups = _table(answer.groups)
    n = groups.num_rows if answer.groups else 0
    parts = [_with_places(groups, 0)] if n else []
    names = summed_names(answer.sample is not None)
    summed = {name: float(answer.total.get(name, 0)) for name in names}
    measured = {name: answer.total.get(name) for name in question.measures}
    if question.other and answer.has_more:
        best = {name: float(np.sum(answer.groups[name].values)) for name in names}
        # Flows that came between both questions are in groups only.
        rest = {name: [max(summed[name] - best[name], 0.0)] for name in names}
        parts.append(_with_places(pa.table(rest), 1))
    parts.append(
        _with_places(pa.table({name: [value] for name, value in (summed | measured).items()}), 2)
    )
    table = pa.concat_tables(parts, promote_options="permissive")
    for key in (key for item in question_items(question) for key in item.keys):
        if key not in table.column_names:
            table = table.append_column(key, pa.nulls(table.num_rows, pa.uint64()))
    return table


def _with_places(table: Any, part: int) -> Any:
    n = table.num_rows
    table = table.append_column("part", pa.array(np.full(n, part, np.int32)))
    return table.append_column("place", pa.array(np.arange(n, dtype=np.int64)))
