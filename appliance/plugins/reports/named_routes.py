"""Routes of the reports that are made regularly, below `/api/v1/reports`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any

from appliance import ADMINISTRATOR, SIGNED_IN, FlowStore, Principal, RequestError, Route, Settings
from appliance.mail import MAIL_SERVER
from appliance.plugins.reports.contents import DEFAULT_SECTIONS, FIXED_SECTIONS
from appliance.plugins.reports.named_reports import NamedReport, ReportError
from appliance.plugins.reports.periods import KINDS, PeriodError
from appliance.plugins.reports.report_settings import CUSTOMERS
from appliance.plugins.reports.report_store import STATES, report_store
from appliance.plugins.reports.routes import DATE, EXAMPLE, TAG, TURNS
from appliance.plugins.reports.states import report_state, report_states
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.openapi import OrNull, operation
from appliance.web.parameters import Query
from appliance.web.times import rfc3339
from appliance.web.turns import caller_turn

LIST = "/api/v1/reports"
KEPT = f"{LIST}/kept"
NAMED = f"{LIST}/named/<name>"
MOST_KEPT = 500

_LISTS = ("to", "sections", "customers")
_FIELDS = tuple(name for name in NamedReport.__dataclass_fields__ if name != "name")
_NAMED = {
    **NamedReport("weekly for the NOC", to=("noc@example.com",), customers=("Acme",)).as_dict(),
    "sentence": "weekly, at 06:00, by mail to noc@example.com",
    "next": OrNull("2026-02-02T06:00:00Z"),
    "last": OrNull(
        {
            "period": "2026-01-19 to 2026-01-25",
            "state": STATES[1],
            "tries": 0,
            "pending": ["noc@example.com"],
            "problem": "",
            "next_try": OrNull("2026-01-26T06:05:00Z"),
        }
    ),
}
_LIST = {
    "reports": [_NAMED],
    "kinds": list(KINDS),
    "sections": [*FIXED_SECTIONS, *DEFAULT_SECTIONS],
    "customers": ["Acme"],
    "can_send": True,
}
_KEPT = {
    "kept": [
        {
            "report": "weekly for the NOC",
            "period": "2026-01-19 to 2026-01-25",
            "date": "2026-01-19",
            "since": "2026-01-19T00:00:00Z",
            "until": "2026-01-26T00:00:00Z",
            "made": "2026-01-26T06:00:00Z",
        }
    ]
}


def reports(
    settings: Settings, principal: Principal | None, zone: tzinfo, now: float
) -> dict[str, Any]:
    """Return the named reports; who gets them is for administrators."""
    states = report_states(report_store(settings), zone, now)
    if principal is None or ADMINISTRATOR not in principal.roles:
        states = [_without_recipients(state) for state in states]
    return {
        "reports": states,
        "kinds": list(KINDS),
        "sections": list(dict.fromkeys([*FIXED_SECTIONS, *DEFAULT_SECTIONS])),
        "customers": list(settings[CUSTOMERS.name]),
        "can_send": bool(settings[MAIL_SERVER]),
    }


def _without_recipients(state: dict[str, Any]) -> dict[str, Any]:
    last = state["last"] and {**state["last"], "pending": [], "problem": ""}
    return {**state, "to": [], "sentence": "", "last": last}


def kept(query: Query, settings: Settings, zone: tzinfo) -> dict[str, Any]:
    """Return what is kept, the newest first."""
    query.refuse_others(("name",))
    rows = report_store(settings).all_kept(query.text("name"), MOST_KEPT)
    times = ("since", "until", "made")
    return {
        "kept": [
            {**row._asdict(), "date": row.date}
            | {name: rfc3339(getattr(row, name), zone) for name in times}
            for row in rows
        ]
    }


def named(
    name: str,
    query: Query,
    settings: Settings,
    principal: Principal | None,
    zone: tzinfo,
    open_store: Callable[[], FlowStore],
) -> dict[str, Any]:
    """Return a named report as it was kept, else as the flows say it now.

    Raises
    ------
    RequestError
        404: no such report; 400: no such day; 429: the caller waits for one already.
    """
    from appliance.plugins.reports.asking import named_report
    from appliance.query.engine import engine_from_settings

    query.refuse_others(("date",))
    try:
        report = report_store(settings).report(name)
    except ReportError as error:
        raise RequestError(404, str(error)) from None
    with caller_turn(TURNS, principal):
        try:
            source = (engine_from_settings(settings, open_store), zone, query.now)
            return named_report(settings, report, query.text("date") or "", source)
        except PeriodError as error:
            raise RequestError(400, str(error)) from None


def put(
    name: str, body: Body, settings: Settings, zone: tzinfo, now: float, event: AuditEvent
) -> dict[str, Any]:
    """Add a named report, or change what the body has of one."""
    from appliance.plugins.reports.asking import check_report

    values = body.values(_FIELDS, nullable=("zone", "filter"), flags=("is_on",))
    store = report_store(settings)
    event.note(f"report {name[:80]}")
    try:
        report = store.report_with(name, _singles(values))
        check_report(report, settings)
        store.put(report, now)
    except ReportError as error:
        raise RequestError(400, str(error)) from None
    return report_state(report, store.deliveries().get(name), zone, now)


def _singles(values: Mapping[str, list[str]]) -> dict[str, Any]:
    for field, found in values.items():
        if field not in _LISTS and len(found) != 1:
            raise RequestError(400, f"{field}: expected one value")
    return {field: found if field in _LISTS else found[0] for field, found in values.items()}


def delete(name: str, settings: Settings, event: AuditEvent) -> dict[str, Any]:
    """Delete a named report and what was kept of it."""
    event.note(f"report {name[:80]}")
    try:
        report_store(settings).delete(name)
    except ReportError as error:
        raise RequestError(404, str(error)) from None
    return {"deleted": name}


def named_report_routes() -> list[Route]:
    """Return the routes."""
    name = {**DATE, "name": "name", "schema": {"type": "string"}, "description": "Of one report."}
    body = {"kind": "weekly", "to": ["noc@example.com"], "hour": 6, "is_on": True}
    listed = operation("Reports that are made regularly", _LIST, tag=TAG)
    all_kept = {**operation("Reports that are kept", _KEPT, tag=TAG), "parameters": [name]}
    summary = "A named report as it was kept, or made now; the last one without a date"
    one = {**operation(summary, EXAMPLE, tag=TAG), "parameters": [DATE]}
    changed = operation("Add or change a named report", _NAMED, body=body, tag=TAG)
    gone = operation("Delete a named report", {"deleted": "weekly for the NOC"}, tag=TAG)
    return [
        Route("GET", LIST, reports, role=SIGNED_IN, schema=listed),
        Route("GET", KEPT, kept, role=SIGNED_IN, schema=all_kept),
        Route("GET", NAMED, named, role=SIGNED_IN, schema=one),
        Route("PUT", NAMED, put, role=ADMINISTRATOR, schema=changed),
        Route("DELETE", NAMED, delete, role=ADMINISTRATOR, schema=gone),
    ]
