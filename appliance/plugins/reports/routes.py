"""The route of reports, `/api/v1/reports/<kind>`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any

from appliance import SIGNED_IN, FlowStore, Principal, RequestError, Route, Settings
from appliance.plugins.reports.periods import PeriodError, period_from_text
from appliance.query.turns import QueryTurns
from appliance.web.caller_filter import bound_engine
from appliance.web.openapi import OrNull, operation
from appliance.web.parameters import Query
from appliance.web.turns import caller_turn

TURNS = QueryTurns(most=2, most_of_user=1, what="reports")
"""Of this process. A report asks some dozen questions about all flows of a period."""

PATH = "/api/v1/reports/<kind>"
_RATE = OrNull(1500000.5)
_EXAMPLE = {
    "kind": "monthly",
    "period": "2026-01",
    "since": "2026-01-01T00:00:00Z",
    "until": "2026-02-01T00:00:00Z",
    "complete_from": "2026-01-01T00:00:00Z",
    "complete_until": "2026-02-01T00:00:00Z",
    "estimated": False,
    "totals": [
        {"measure": "octets", "value": 5.5, "before": 5.5, "change_percent": OrNull(12.5)},
    ],
    "tops": [
        {
            "by": "source",
            "rows": [
                {
                    "key": "192.0.2.1",
                    "octets": 5.5,
                    "share_percent": 12.5,
                    "change_percent": OrNull(12.5),
                }
            ],
        }
    ],
    "series": {"step_seconds": 28800, "bits_a_second": [1500000.5]},
    "billing": [
        {
            "kind": "interface",
            "name": "192.0.2.1/3",
            "description": "Gi0/3",
            "ingress": _RATE,
            "egress": _RATE,
            "billed": _RATE,
            "direction": "in",
            "bins": 8928,
        }
    ],
}


def report(
    kind: str,
    query: Query,
    settings: Settings,
    principal: Principal | None,
    zone: tzinfo,
    open_store: Callable[[], FlowStore],
) -> dict[str, Any]:
    """Return the report on a day, week or month.

    Raises
    ------
    RequestError
        404: no such report; 400: no such day; 429: the caller waits for one already.
    """
    from appliance.plugins.reports.making import ReportMaker
    from appliance.query.engine import engine_from_settings

    query.refuse_others(("date",))
    try:
        period = period_from_text(kind, query.text("date") or "", query.now, zone)
    except PeriodError as error:
        status = 404 if "unknown report" in str(error) else 400
        raise RequestError(status, str(error)) from None
    with caller_turn(TURNS, principal):
        engine = bound_engine(
            engine_from_settings(settings), principal, settings, lambda: open_store().exporters()
        )
        return ReportMaker(settings, zone, query.now, engine).make(period)


def report_routes() -> list[Route]:
    """Return the route."""
    summary = "A report: daily, weekly or monthly; of the last one without a date"
    date = {
        "name": "date",
        "in": "query",
        "schema": {"type": "string", "format": "date"},
        "description": "A day in it, such as 2026-01-31.",
    }
    schema = {**operation(summary, _EXAMPLE, tag="Reports"), "parameters": [date]}
    return [Route("GET", PATH, report, role=SIGNED_IN, schema=schema, open_to_bound_users=True)]
