"""`/api/v1/explore/flows`: single flows, newest first, page by page."""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from appliance import Principal, RequestError, Settings
from appliance.flowlog.questions import DEFAULT_COLUMNS, FlowQuestion
from appliance.flows import plugin_columns
from appliance.plugins.explore.caller_turns import turn_of
from appliance.plugins.explore.parameters import (
    MOST_ROWS,
    RANGE,
    OpenStore,
    engine_and_conditions,
    question_range,
)
from appliance.web.openapi import AnyKeys, OrNull
from appliance.web.parameters import Query
from appliance.web.times import rfc3339

if TYPE_CHECKING:
    from appliance.flowlog.pages import PageCursor

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
    span, after = question_range(query), _cursor(query.text("after"))
    engine, conditions = engine_and_conditions(query, settings, principal, open_store)
    question = FlowQuestion(
        span[0] * 1000,
        span[1] * 1000,
        conditions,
        query.limit(DEFAULT_PAGE, MOST_ROWS),
        columns=(*COLUMNS, *(column.name for column in plugin_columns())),
    )
    with turn_of(principal):
        page = engine.page(question, after)
    return {
        "flows": [_flow(row, zone) for row in page.rows.to_pylist()],
        "next": None if page.cursor is None else _cursor_text(page.cursor),
        "left_out": list(engine.left_out()),
        "partial": bool(engine.missing()),
        "missing": list(engine.missing()),
    }


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
