"""`/api/v1/explore/flows`: single flows, newest first, page by page."""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from appliance import Principal, RequestError, Settings
from appliance.flowlog.questions import DEFAULT_COLUMNS, FlowQuestion
from appliance.flows import plugin_columns
from appliance.plugins.explore.caller_turns import turn_of
from appliance.plugins.explore.groups import configured_engine
from appliance.plugins.explore.parameters import (
    MOST_ROWS,
    RANGE,
    OpenStore,
    filter_conditions,
    question_range,
)
from appliance.web.openapi import AnyKeys, OrNull
from appliance.web.parameters import Query
from appliance.web.times import rfc3339

if TYPE_CHECKING:
    from appliance.flowlog.pages import FlowPage, PageCursor

PARAMETERS = ("filter", *RANGE, "limit", "after")
DEFAULT_PAGE = 50
COLUMNS = (
    *DEFAULT_COLUMNS,
    *("application_id", "tcp_control_bits", "ip_class_of_service", "flow_direction"),
    *("ingress_vrf_id", "egress_vrf_id", "bgp_source_as_number", "bgp_destination_as_number"),
)
EXAMPLE = {
    "flows": [AnyKeys({"source_address": "192.0.2.1"})],
    "next": OrNull("1640995200000.9f86d081884c7d65.1"),
    "left_out": ["file is damaged"],
    "partial": False,
    "missing": ["shard 2 (192.0.2.7:9000)"],
}
_CURSOR = re.compile(r"([0-9]{1,16})\.([0-9a-f]{16})\.([0-9]{1,9})")


def flows(
    settings: Settings,
    query: Query,
    principal: Principal | None,
    zone: tzinfo,
    open_store: OpenStore,
) -> Any:
    """Return single flows, newest first.

    Raises
    ------
    RequestError
        400: the cursor is none of ours.
    """
    from appliance.flowlog.option_names import with_names
    from appliance.flowlog.pages import flow_page

    span, after = question_range(query), _cursor(query.text("after"))
    search = configured_engine(settings).search
    question = FlowQuestion(
        span[0] * 1000,
        span[1] * 1000,
        filter_conditions(query, search, settings, open_store),
        query.limit(DEFAULT_PAGE, MOST_ROWS),
        columns=(*COLUMNS, *(column.name for column in plugin_columns())),
    )
    with turn_of(principal):
        page = flow_page(search, question, after)
        rows = with_names(search, page.rows, _page_span(question, after, page)).to_pylist()
    return {
        "flows": [_flow(row, zone) for row in rows],
        "next": None if page.cursor is None else _cursor_text(page.cursor),
        "left_out": list(search.damaged),
        "partial": bool(search.missing),
        "missing": list(search.missing),
    }


def _page_span(question: FlowQuestion, after: PageCursor | None, page: FlowPage) -> tuple[int, int]:
    """Return the times between which the flows of a page were received, milliseconds UTC."""
    since_ms = question.since_ms if page.cursor is None else page.cursor.time_ms
    return since_ms, question.until_ms if after is None else after.time_ms + 1


def _cursor(text: str | None) -> PageCursor | None:
    from appliance.flowlog.pages import PageCursor

    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise RequestError(400, "after: expected what `next` of the page before says")
    return PageCursor(int(match[1]), int(match[2], 16), int(match[3]))


def _cursor_text(cursor: PageCursor) -> str:
    return f"{cursor.time_ms}.{cursor.place:016x}.{cursor.shown}"


def _flow(row: dict[str, Any], zone: tzinfo) -> dict[str, Any]:
    return {
        name: rfc3339(value.timestamp(), zone) if hasattr(value, "timestamp") else value
        for name, value in row.items()
    }
