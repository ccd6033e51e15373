"""The route of the audit trail, newest entries first, page by page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from appliance import ADMINISTRATOR, AccountStore, Route
from appliance.contracts import AuditEntry
from appliance.web.openapi import OrNull, Whole, operation
from appliance.web.parameters import Query

DEFAULT_LIMIT = 100


def audit_trail(accounts: AccountStore, query: Query) -> dict[str, Any]:
    """Return the newest entries, or those before `before`; `next` is the next page's `before`."""
    limit = query.limit(DEFAULT_LIMIT) or DEFAULT_LIMIT
    found = accounts.audit(limit + 1, query.number("before"))
    shown = found[:limit]
    return {
        "audit": [_entry_json(entry) for entry in shown],
        "next": shown[-1].id if len(found) > limit else None,
    }


def routes() -> list[Route]:
    """Return the route of the audit trail."""
    schema = operation(
        "Who changed what, newest first",
        Whole(audit=[_EXAMPLE], next=OrNull(17)),
        query=("limit", "before"),
        tag="Audit trail",
    )
    return [Route("GET", "/api/v1/admin/audit", audit_trail, role=ADMINISTRATOR, schema=schema)]


def _entry_json(entry: AuditEntry) -> dict[str, Any]:
    moment = datetime.fromtimestamp(entry.happened, UTC)
    return {
        "auditId": entry.id,
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "who": entry.who,
        "address": entry.address,
        "action": entry.action,
        "detail": entry.detail,
        "status": entry.status,
        "result": _result(entry.status),
    }


def _result(status: int | None) -> str:
    if status is None:
        return "begun"
    if status < 400:
        return "done"
    return "failed" if status >= 500 else "refused"


_EXAMPLE = Whole(
    {
        "auditId": 18,
        "time": "2026-01-01T12:00:00.000Z",
        "who": "destneAdmin",
        "address": "192.0.2.7",
        "action": "PUT /api/v1/admin/user/2",
        "detail": "password=***, addRole=Administrator",
        "status": OrNull(200),
        "result": "done",
    }
)
