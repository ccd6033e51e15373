"""New rows of the flow log as lines of JSON, as `appliance export --format json` writes them.

For what sends flows on while they come: a filter of the query language chooses, columns have the
names and forms of an export.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.flowlog.connections import open_connection
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.number_names import with_number_names
from appliance.flowlog.output import json_octets
from appliance.flowlog.questions import (
    LOG_ORDER,
    FlowQuestion,
    columns_of_names,
    flows_statement,
)
from appliance.flowlog.schema import Rows
from appliance.flowlog.search import FlowSearch
from appliance.flowlog.sources import Source, statement_relation
from appliance.query.address_lists import AddressLists
from appliance.query.language.duckdb import parse_conditions
from appliance.query.names import LogNames

NAMES_SECONDS = 60.0
"""So long names in the filter, of interfaces or lists, stand for what they stood for."""

_LIMITS = QueryLimits(threads=1)


class FlowLines:
    """Makes lines of rows that somebody follows.

    Parameters
    ----------
    columns
        Names as an export takes them; none for the usual ones, `all` alone for all.
    lists
        Files of addresses that the filter may name.

    Raises
    ------
    InvalidQueryError
        There is no such column.
    """

    def __init__(
        self, log_folder: Path, text: str, columns: Sequence[str], lists: Mapping[str, Path]
    ) -> None:
        self._text = text
        search = FlowSearch(log_folder, may_be_missing=True)
        self._names = LogNames(search, lists=AddressLists(lists))
        self._question = FlowQuestion(
            columns=columns_of_names(columns), order=LOG_ORDER, limit=None
        )
        self._read_again_at = 0.0

    def check(self) -> None:
        """Read the filter.

        Raises
        ------
        FilterError, QueryError, StorageError
            It is not understood, or names in it cannot be looked up.
        """
        conditions = parse_conditions([self._text], self._names)
        self._question = FlowQuestion(
            conditions=conditions,
            columns=self._question.columns,
            order=LOG_ORDER,
            limit=None,
        )
        self._read_again_at = time.monotonic() + NAMES_SECONDS

    def lines(self, rows: Sequence[Rows]) -> list[bytes]:
        """Return a line for each row that fits, without its end.

        Raises
        ------
        QueryError, StorageError
            As of `check`, or the rows need more memory than a question may have.
        """
        if time.monotonic() >= self._read_again_at:
            self.check()
        statement = flows_statement(self._question)
        with open_connection(_LIMITS, is_own=False) as connection:
            source = Source([], list(rows))
            table = statement_relation(
                connection, source, statement, options=False, limits=_LIMITS
            ).to_arrow_table()
        return json_octets(with_number_names(table)).split(b"\n")[:-1]
