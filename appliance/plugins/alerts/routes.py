"""Routes of alerts and of their rules, below `/api/v1/alerts`."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from appliance import ADMINISTRATOR, SIGNED_IN, Principal, RequestError, Route, Settings
from appliance.plugins.alerts.filters import filter_of
from appliance.plugins.alerts.rules import (
    CONDITIONS,
    GROUPS,
    SEVERITIES,
    UNITS,
    Rule,
    RuleError,
)
from appliance.plugins.alerts.store import Alert, AlertStore, alert_store
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.openapi import AnyKeys, OrNull, operation
from appliance.web.parameters import Query, row_id
from appliance.web.times import rfc3339
from appliance.web.turns import caller_name

PATH = "/api/v1/alerts"
RULES = f"{PATH}/rules"
RULE = f"{RULES}/<name>"
TAG = "Alerts"
DEFAULT_ROWS = 100
DEFAULT_SECONDS = 7 * 86_400
MOST_SECONDS = 93 * 86_400

_RULE = {**Rule("SYN flood", limit=2000.5, clear=1.5).as_dict(), "sentence": "at least 2000"}
_RULE |= {"clear": OrNull(1500.5), "least": 0.5, "ready_made": True, "problem": ""}
_ALERT = {
    "id": 7,
    "rule": "SYN flood",
    "subject": "192.0.2.10",
    "severity": "critical",
    "began": "2026-01-31T08:00:00Z",
    "ended": OrNull("2026-01-31T08:05:00Z"),
    "peak": 5200.5,
    "sentence": "SYN flood: destination 192.0.2.10: 5.2k flows a second (limit 2k)",
    "evidence": [
        {
            "source": "198.51.100.1",
            "destination": "192.0.2.10",
            "destination_port": 443,
            "protocol": 6,
            "octets": 60.5,
        }
    ],
    "acknowledged_by": OrNull("admin"),
    "acknowledged_at": OrNull("2026-01-31T08:03:00Z"),
    "comment": OrNull("known"),
}
_TEST = {
    "rule": "SYN flood",
    "since": "2026-01-24T08:00:00Z",
    "until": "2026-01-31T08:00:00Z",
    "complete_from": "2026-01-24T08:00:00Z",
    "step_seconds": 60,
    "problem": "",
    "alerts": [
        {
            "subject": "192.0.2.10",
            "began": "2026-01-31T08:00:00Z",
            "ended": "2026-01-31T08:05:00Z",
            "peak": 5200.5,
            "facts": "",
        }
    ],
}
_LIST = {"alerts": [_ALERT], "open": 1, "next": OrNull(7)}
_RULES = {
    "rules": [_RULE],
    "measures": AnyKeys({"bps": "bits a second"}),
    "groups": ["source"],
    "conditions": AnyKeys({"above": "at the limit"}),
    "severities": ["warning"],
}
_FIELDS = tuple(field for field in Rule.__dataclass_fields__ if field != "name")


def alerts(query: Query, settings: Settings, zone: tzinfo) -> dict[str, Any]:
    """Return alerts, the newest first."""
    store, limit = alert_store(settings), query.limit(DEFAULT_ROWS) or DEFAULT_ROWS
    rows = store.alerts(only_open=query.flag("open"), before=query.number("before"), limit=limit)
    return {
        "alerts": [_alert(row, zone) for row in rows],
        "open": sum(store.open_by_severity().values()),
        "next": rows[-1].id if len(rows) == limit else None,
    }


def acknowledge(
    number: str,
    body: Body,
    principal: Principal,
    settings: Settings,
    zone: tzinfo,
    event: AuditEvent,
) -> dict[str, Any]:
    """Note that somebody has seen an alert."""
    identifier = row_id(number)
    if identifier is None:
        raise RequestError(404, "No such alert")
    comment = body.single(("Comment",), nullable=("Comment",)).get("Comment", "")
    event.note(f"alert {identifier}")
    try:
        found = alert_store(settings).acknowledge(identifier, caller_name(principal), comment)
    except RuleError as error:
        raise RequestError(404 if "no alert" in str(error) else 400, str(error)) from None
    return _alert(found, zone)


def rules(settings: Settings, zone: tzinfo, now: float) -> dict[str, Any]:
    """Return every rule, and what rules can say."""
    from appliance.plugins.alerts.baseline_store import problem_of

    store = alert_store(settings)
    return {
        "rules": [
            {**_rule(rule, store), "problem": problem_of(rule, store, zone, now)}
            for rule in store.rules()
        ],
        "measures": dict(UNITS),
        "groups": list(GROUPS),
        "conditions": dict(CONDITIONS),
        "severities": list(SEVERITIES),
    }


def put_rule(
    name: str, body: Body, settings: Settings, zone: tzinfo, now: float, event: AuditEvent
) -> dict[str, Any]:
    """Add a rule, or change what the body has of one."""
    from appliance.plugins.alerts.baseline_store import problem_of

    values = body.values(_FIELDS, nullable=("clear", "filter", "quiet", "text"), flags=("is_on",))
    if several := [field for field, found in values.items() if len(found) != 1]:
        raise RequestError(400, f"{several[0]}: expected one value")
    store = alert_store(settings)
    event.note(f"rule {name[:80]}")
    try:
        rule = store.rule_with(name, {field: one[0] for field, one in values.items()})
        filter_of(rule.filter, settings)
        store.put_rule(rule)
    except RuleError as error:
        raise RequestError(400, str(error)) from None
    return {**_rule(rule, store), "problem": problem_of(rule, store, zone, now)}


def delete_rule(name: str, settings: Settings, event: AuditEvent) -> dict[str, Any]:
    """Delete a rule; a ready-made one is as it came."""
    event.note(f"rule {name[:80]}")
    try:
        alert_store(settings).delete_rule(name)
    except RuleError as error:
        raise RequestError(404, str(error)) from None
    return {"deleted": name}


def test_rule(name: str, query: Query, settings: Settings, zone: tzinfo) -> dict[str, Any]:
    """Return when a rule would have been in alert."""
    from appliance.plugins.alerts.history import try_rule

    since, until = query.range()
    end = query.now if until is None else until
    start = end - DEFAULT_SECONDS if since is None else since
    if not 0 < end - start <= MOST_SECONDS:
        raise RequestError(400, f"expected a range of up to {MOST_SECONDS // 86_400} days")
    try:
        rule = alert_store(settings).rule(name)
    except RuleError as error:
        raise RequestError(404, str(error)) from None
    try:
        found = try_rule(rule, start, end, settings, query.now)
    except RuleError as error:
        raise RequestError(400, str(error)) from None
    return {
        "rule": rule.name,
        "since": rfc3339(start, zone),
        "until": rfc3339(end, zone),
        "complete_from": rfc3339(found.complete_from, zone),
        "step_seconds": found.step,
        "problem": found.problem,
        "alerts": [
            {**one._asdict(), "began": rfc3339(one.began, zone), "ended": rfc3339(one.ended, zone)}
            for one in found.alerts
        ],
    }


def _alert(alert: Alert, zone: tzinfo) -> dict[str, Any]:
    times = {
        name: None if (at := getattr(alert, name)) is None else rfc3339(at, zone)
        for name in ("began", "ended", "acknowledged_at")
    }
    return {name: value for name, value in (alert._asdict() | times).items() if name != "keys"}


def _rule(rule: Rule, store: AlertStore) -> dict[str, Any]:
    is_ready_made = store.is_ready_made(rule.name)
    return {**rule.as_dict(), "sentence": rule.sentence, "ready_made": is_ready_made}


def alert_routes() -> list[Route]:
    """Return the routes."""
    listed = operation("Alerts, newest first", _LIST, query=("open", "before", "limit"), tag=TAG)
    seen = operation("Say that an alert is seen", _ALERT, body={"Comment": "known"}, tag=TAG)
    every = operation("Rules, and what they can say", _RULES, tag=TAG)
    body = {"measure": "fps", "filter": "flags S", "by": "destination", "limit": "2000"}
    put = operation("Add or change a rule", _RULE, body=body, tag=TAG)
    gone = operation("Delete a rule", {"deleted": "SYN flood"}, tag=TAG)
    tried = operation(
        "When a rule would have been in alert", _TEST, query=("from", "to", "last"), tag=TAG
    )
    return [
        Route("GET", PATH, alerts, role=SIGNED_IN, schema=listed),
        Route("GET", RULES, rules, role=SIGNED_IN, schema=every),
        Route("PUT", f"{PATH}/<number>", acknowledge, role=ADMINISTRATOR, schema=seen),
        Route("PUT", RULE, put_rule, role=ADMINISTRATOR, schema=put),
        Route("DELETE", RULE, delete_rule, role=ADMINISTRATOR, schema=gone),
        Route("GET", f"{RULE}/test", test_rule, role=ADMINISTRATOR, schema=tried),
    ]
