"""Single flows page by page, newest first, from a log that grows meanwhile.

A cursor names the last flow of a page by what it is, not by how many were before it: what comes
later neither repeats a flow nor hides one. Flows that nothing shown distinguishes are counted.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are parameters.

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from appliance.flowlog.questions import (
    FlowQuestion,
    Statement,
    matching,
    printed_expression,
    stored_names,
)
from appliance.flowlog.search import FlowSearch
from appliance.flows import COLLECTION_TIME

FIRST_SPAN_MS = 3_600_000
SPAN_FACTOR = 16
"""So much is looked at for a page, and so many times as much where that was not enough."""

_PLACE = "place"


class PageCursor(NamedTuple):
    """Behind which flow a page begins.

    Attributes
    ----------
    time_ms
        When it was received, milliseconds UTC.
    place
        A hash of what is shown of it: its place among those of one time.
    shown
        How many with this time and place were on the pages before.
    """

    time_ms: int
    place: int
    shown: int


class FlowPage(NamedTuple):
    """Flows as a pyarrow table, and the cursor of the next page; None where this is the last."""

    rows: Any
    cursor: PageCursor | None


def flow_page(search: FlowSearch, question: FlowQuestion, after: PageCursor | None) -> FlowPage:
    """Return a page of flows, the newest first.

    Parameters
    ----------
    question
        With a limit, the length of a page; its order does not count.

    Raises
    ------
    QueryError
        The question ran into a limit.
    StorageError
        The log cannot be read.
    """
    if question.limit is None:
        raise ValueError("a page has a length")
    until_ms = question.until_ms if after is None else min(question.until_ms, after.time_ms)
    # Rows older than the cursor's; those of the very same time join them.
    older = replace(question, until_ms=until_ms)
    since_ms, damaged = _start(search, older)
    narrow = replace(question, since_ms=since_ms)
    if after is not None:
        narrow = replace(narrow, until_ms=min(question.until_ms, after.time_ms + 1))
    rows = search.run_flows(partial(_page_statement, after=after), narrow)
    search.damaged = list(dict.fromkeys([*damaged, *search.damaged]))
    return _page(rows, question.limit, after)


def _start(search: FlowSearch, question: FlowQuestion) -> tuple[int, list[str]]:
    """Return a time since which there is more than a page, or all, and what was left out.

    Only the time is read, first of the newest flows, then further and further back: to sort whole
    flows of a month takes many times as long.
    """
    if (known_ms := search.newest_start(question)) is not None:
        return known_ms, search.damaged
    span_ms, limit = FIRST_SPAN_MS, question.limit or 0
    while True:
        since_ms = max(question.until_ms - span_ms, question.since_ms)
        part = replace(question, since_ms=since_ms)
        (row,) = search.run(_start_statement(part), part, False).to_pylist()
        if row["n"] > limit:
            return row["since_ms"], search.damaged
        if since_ms == question.since_ms:
            return question.until_ms if row["n"] == 0 else row["since_ms"], search.damaged
        span_ms *= SPAN_FACTOR


def _start_statement(question: FlowQuestion) -> Statement:
    reads = frozenset({COLLECTION_TIME}) | question.condition_columns()
    inner, parameters = matching(question, {COLLECTION_TIME})
    newest = f"SELECT {COLLECTION_TIME} AS time FROM ({inner}) ORDER BY time DESC LIMIT $row_limit"
    parameters["row_limit"] = (question.limit or 0) + 1
    sql = f"SELECT min(time) AS since_ms, count(*) AS n FROM ({newest})"
    return Statement(sql, parameters, reads)


def _page_statement(question: FlowQuestion, after: PageCursor | None) -> Statement:
    stored = {COLLECTION_TIME, *(name for item in question.columns for name in stored_names(item))}
    inner, parameters = matching(question, stored)
    where = "TRUE"
    if after is not None:
        where = f"({COLLECTION_TIME} < $after_ms::BIGINT OR {_PLACE} >= $after_place::UBIGINT)"
        parameters |= {"after_ms": after.time_ms, "after_place": after.place}
    placed = f"SELECT *, hash({', '.join(sorted(stored))}) AS {_PLACE} FROM ({inner})"
    parameters |= {
        "row_limit": (question.limit or 0) + 1,
        "shown": 0 if after is None else after.shown,
    }
    shown = ", ".join(printed_expression(item) for item in question.columns)
    sql = f"""SELECT {shown}, {COLLECTION_TIME} AS time_ms, {_PLACE} FROM (
        SELECT * FROM ({placed}) WHERE {where}
        ORDER BY {COLLECTION_TIME} DESC, {_PLACE} LIMIT $row_limit OFFSET $shown)
        ORDER BY time_ms DESC, {_PLACE}"""
    return Statement(sql, parameters, frozenset(stored) | question.condition_columns())


def _page(table: Any, limit: int, after: PageCursor | None) -> FlowPage:
    """Return a page of what was read, one row more than it has."""
    here = table.slice(0, limit)
    rows = here.drop_columns(["time_ms", _PLACE])
    if table.num_rows <= limit:
        return FlowPage(rows, None)
    places = [(row["time_ms"], row[_PLACE]) for row in here.select(["time_ms", _PLACE]).to_pylist()]
    last = places[-1]
    shown = places.count(last)
    if after is not None and last == after[:2]:
        shown += after.shown
    return FlowPage(rows, PageCursor(*last, shown))
