"""The route of reports on a day, week or month, `/api/v1/reports/<kind>`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any

from appliance import SIGNED_IN, FlowStore, Principal, RequestError, Route, Settings
from appliance.plugins.reports.contents import DEFAULT_SECTIONS
from appliance.plugins.reports.periods import KINDS, PeriodError
from appliance.query.turns import QueryTurns
from appliance.web.caller_filter import bound_engine
from appliance.web.openapi import OrNull, operation
from appliance.web.parameters import Query
from appliance.web.turns import caller_turn

TURNS = QueryTurns(most=2, most_of_user=1, what="reports")
"""Of this process. A report asks some dozen questions about all flows of a period."""

PATH = "/api/v1/reports/<kind>"
TAG = "Reports"
DATE = {
    "name": "date",
    "in": "query",
    "schema": {"type": "string", "format": "date"},
    "description": "A day in it, such as 2026-01-31.",
}
_RATE = OrNull(1500000.5)
EXAMPLE = {
    "name": "",
    "filter": "",
    "sections": list(DEFAULT_SECTIONS),
    "kind": "monthly",
    "period": "2026-01",
    "since": "2026-01-01T00:00:00Z",
    "until": "2026-02-01T00:00:00Z",
    "complete_from": "2026-01-01T00:00:00Z",
    "complete_until": "2026-02-01T00:00:00Z",
    "estimated": False,
    "compared": True,
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
    "series": {
        "step_seconds": 28800,
        "bits_a_second": [1500000.5],
        "mean": _RATE,
        "maximum": _RATE,
    },
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
    from appliance.plugins.reports.asking import kind_report
    from appliance.query.engine import engine_from_settings

    query.refuse_others(("date",))
    if kind not in KINDS:
        raise RequestError(404, f"unknown report, expected {', '.join(KINDS)}")
    with caller_turn(TURNS, principal):
        whole = engine_from_settings(settings, open_store)
        engine = bound_engine(whole, principal, settings, lambda: open_store().exporters())
        try:
            return kind_report(settings, kind, query.text("date") or "", (engine, zone, query.now))
        except PeriodError as error:
            raise RequestError(400, str(error)) from None


def report_routes() -> list[Route]:
    """Return the route."""
    summary = "A report: daily, weekly or monthly; of the last one without a date"
    schema = {**operation(summary, EXAMPLE, tag=TAG), "parameters": [DATE]}
    return [Route("GET", PATH, report, role=SIGNED_IN, schema=schema, open_to_bound_users=True)]
