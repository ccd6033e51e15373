"""`/api/v1/explore/flows`: single flows, newest first, page by page.

A cursor says up to which millisecond of receipt rows were shown, and how many of it: pages neither
repeat a flow nor miss one while new ones come in.
"""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from appliance import Principal, RequestError, Settings
from appliance.flowlog.questions import DEFAULT_COLUMNS, PAGES, FlowQuestion
from appliance.plugins.explore.caller_turns import turn_of
from appliance.plugins.explore.groups import configured_engine
from appliance.plugins.explore.parameters import RANGE, filter_conditions, question_range
from appliance.web.openapi import AnyKeys, OrNull
from appliance.web.parameters import Query
from appliance.web.times import rfc3339

if TYPE_CHECKING:
    from appliance.flowlog.conditions import Condition
    from appliance.flowlog.search import FlowSearch

COLUMNS = (
    *DEFAULT_COLUMNS,
    *("application_id", "tcp_control_bits", "ip_class_of_service", "flow_direction"),
)
EXAMPLE = {
    "flows": [AnyKeys({"source_address": "192.0.2.1"})],
    "next": OrNull("1640995200000.3"),
    "left_out": ["file is damaged"],
}
TIME = "collection_time_milliseconds"
_CURSOR = re.compile(r"([0-9]{1,16})\.([0-9]{1,9})")

PARAMETERS = ("filter", *RANGE, "limit", "after")
DEFAULT_PAGE = 50


def flows(settings: Settings, query: Query, principal: Principal | None, zone: tzinfo) -> Any:
    """Return single flows, newest first."""
    span = question_range(query)
    search = configured_engine(settings).search
    page = (query.text("after") or "", query.limit(DEFAULT_PAGE) or DEFAULT_PAGE)
    with turn_of(principal):
        return page_of_flows(search, filter_conditions(query, search), span, page, zone)


def page_of_flows(
    search: FlowSearch,
    conditions: tuple[Condition, ...],
    span: tuple[int, int],
    page: tuple[str, int],
    zone: tzinfo,
) -> dict[str, Any]:
    """Return one page.

    Parameters
    ----------
    span
        Seconds UTC, half open.
    page
        The cursor of the page before, empty for the first; most flows.

    Raises
    ------
    RequestError
        400: the cursor is none of ours.
    """
    from appliance.flowlog.option_names import with_names

    cursor, limit = page
    since_ms, until_ms = span[0] * 1000, span[1] * 1000
    newest_ms, shown = _place(cursor)
    if newest_ms is not None:
        until_ms = min(until_ms, newest_ms + 1)
    question = FlowQuestion(
        since_ms, until_ms, conditions, shown + limit + 1, order=PAGES, columns=COLUMNS
    )
    found = search.flows(question)
    times = _milliseconds(found)
    here = found.slice(shown, limit)
    following = None
    if found.num_rows > shown + limit:
        last = times[shown + limit - 1]
        following = f"{last}.{sum(time == last for time in times[: shown + limit])}"
    return {
        "flows": [_flow(row, zone) for row in with_names(search, here).to_pylist()],
        "next": following,
        "left_out": list(search.damaged),
    }


def _place(cursor: str) -> tuple[int | None, int]:
    if not cursor:
        return None, 0
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise RequestError(400, "after: expected what `next` of the page before says")
    return int(match[1]), int(match[2])


def _milliseconds(table: Any) -> list[int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column(TIME)
    if pa.types.is_timestamp(column.type):
        column = pc.cast(pc.cast(column, pa.timestamp("ms"), safe=False), pa.int64())
    values: list[int] = column.to_pylist()
    return values


def _flow(row: dict[str, Any], zone: tzinfo) -> dict[str, Any]:
    return {
        name: rfc3339(value.timestamp(), zone) if hasattr(value, "timestamp") else value
        for name, value in row.items()
    }
