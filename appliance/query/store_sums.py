"""Questions that exact sums of a store answer, such as the sums of interfaces.

Whole bins come from the store, what the range has beside them from the flow log. The sums of both
are rows like those of flows, and the same statement answers over them as over flows.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are parameters.

from __future__ import annotations

import logging
from collections.abc import Callable, Set
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from appliance.contracts import ColumnSums, SumsByColumns
from appliance.errors import StorageError
from appliance.flowlog.connections import open_connection
from appliance.flowlog.questions import FlowQuestion, Statement
from appliance.flowlog.search import FlowSearch
from appliance.flows import COLLECTION_TIME, COLUMN
from appliance.query.question import Provenance, Question
from appliance.query.statements import COUNTERS, question_columns, read_column
from appliance.ratelimit import RateLimited

if TYPE_CHECKING:
    from appliance.contracts import FlowStore

logger = RateLimited(logging.getLogger(__name__))

OpenStore = Callable[[], "FlowStore"]
_SUMS = ("octet_delta_count", "packet_delta_count", "delta_flow_count")


class StoreSums:
    """Answers questions from the sums of a store, where it has all that they need.

    Parameters
    ----------
    exact_rows
        So many flows of the log are read at most.
    """

    def __init__(self, search: FlowSearch, open_store: OpenStore, exact_rows: int) -> None:
        self.search, self.exact_rows = search, exact_rows
        self._open_store = open_store

    def answer(self, question: Question, statement: Statement) -> tuple[Any, Provenance] | None:
        """Return the rows of an answer and where they come from; None: others are to be asked.

        Raises
        ------
        QueryError
            The question ran into a limit.
        StorageError
            The log cannot be read.
        """
        columns = question_columns(question)
        if question.needs_all_flows or question.raw:
            return None
        sums = self._sums(columns, question)
        if sums is None:
            return None
        edges = self._edges(question, sums)
        if edges is None:
            return None
        n_edge_rows = sum(self.search.rows_between(e.since_ms, e.until_ms) for e in edges)
        if n_edge_rows > self.exact_rows:
            return None
        tables = [_sums_table(columns, sums)]
        tables += [self.search.run(_edge_statement(columns, e), e, False) for e in edges]
        table = pa.concat_tables(tables, promote_options="permissive")
        answer = self._run(statement, _with_constants(table, question))
        # Files that hold a part of an edge hold flows of the bins as well; old bins have no file.
        in_log = self.search.rows_between(question.since_ms, question.until_ms)
        n_flows = max(int(sums.flows.sum()), in_log)
        left_out = tuple(self.search.damaged)
        provenance = Provenance("rollups", len(sums.flows) + n_edge_rows, n_flows, 0.0, left_out)
        return answer, provenance

    def _sums(self, columns: Set[str], question: Question) -> ColumnSums | None:
        try:
            # Behind a guard a store is not of its own class: only its methods tell what it can do.
            read: SumsByColumns | None = getattr(self._open_store(), "sums_by_columns", None)
            first = -(-question.since_ms // 1000)
            return None if read is None else read(columns, first, question.until_ms // 1000)
        except StorageError as error:
            logger.info("the flow log answers, as the sums cannot be read: %s", error)
            return None

    def _edges(self, question: Question, sums: ColumnSums) -> list[FlowQuestion] | None:
        """Return what of the range is to be read from the log; None where it is gone."""
        oldest_ms = self.search.oldest_ms()
        if question.since_ms < sums.oldest * 1000 and oldest_ms < sums.oldest * 1000:
            return None
        bounds = ((question.since_ms, sums.since * 1000), (sums.until * 1000, question.until_ms))
        edges = [FlowQuestion(since_ms=a, until_ms=b) for a, b in bounds if a < b]
        complete_from_ms = 0 if self.search.is_complete() else oldest_ms
        return edges if all(edge.since_ms >= complete_from_ms for edge in edges) else None

    def _run(self, statement: Statement, table: Any) -> Any:
        limits, control = self.search.limits, self.search.control
        with open_connection(limits, control, is_own=False) as connection:
            connection.register("sums", table)
            columns = ", ".join(sorted(statement.columns))
            sql = f"WITH log AS NOT MATERIALIZED (SELECT {columns} FROM sums) {statement.sql}"
            return connection.sql(sql, params=statement.parameters).to_arrow_table()


def _sums_table(columns: Set[str], sums: ColumnSums) -> Any:
    arrays = {name: pa.array(sums.columns[name]) for name in sorted(columns)}
    values = zip(_SUMS, (sums.octets, sums.packets, sums.flows), strict=True)
    return pa.table(arrays | {name: pa.array(value.astype(np.float64)) for name, value in values})


def _edge_statement(columns: Set[str], edge: FlowQuestion) -> Statement:
    """Return the statement that sums flows of the log up as a store does."""
    keys = "".join(f"coalesce({name}, 0) AS {name}, " for name in sorted(columns))
    sql = f"""SELECT {keys}
        sum(coalesce(octet_delta_count, 0)::DOUBLE * rate(sampling_rate)) AS octet_delta_count,
        sum(coalesce(packet_delta_count, 0)::DOUBLE * rate(sampling_rate)) AS packet_delta_count,
        sum(coalesce(delta_flow_count, 1)::DOUBLE) AS delta_flow_count
        FROM (SELECT {", ".join(read_column(name) for name in sorted({*columns, *COUNTERS}))}
            FROM log WHERE {COLLECTION_TIME} >= $since_ms::BIGINT
            AND {COLLECTION_TIME} < $until_ms::BIGINT)
        WHERE record_kind IS NULL OR record_kind = 0
        GROUP BY ALL HAVING count(*) > 0"""
    parameters = {"since_ms": edge.since_ms, "until_ms": edge.until_ms}
    return Statement(sql, parameters, frozenset({*columns, *COUNTERS}))


def _with_constants(table: Any, question: Question) -> Any:
    """Add what a statement reads beside: sums are scaled, of flows, and in the range."""
    constants = {"sampling_rate": 1.0, "record_kind": 0, COLLECTION_TIME: question.since_ms}
    for name, value in constants.items():
        column = pa.array(np.full(table.num_rows, value, COLUMN[name].dtype))
        table = table.append_column(name, column)
    return table
