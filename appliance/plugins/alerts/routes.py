"""Routes of the appliance's alerts and of their rules, below `/api/v1/alerts`."""

from __future__ import annotations

from typing import Any

from appliance import ADMINISTRATOR, SIGNED_IN, Principal, Route, Settings
from appliance.plugins.alerts.answers import (
    ALERT_EXAMPLE,
    BODY_EXAMPLE,
    LIST_EXAMPLE,
    RULE_EXAMPLE,
    RULES_EXAMPLE,
    TAG,
    TEST_EXAMPLE,
    acknowledged,
    alert_list,
    changed_rule,
    comment_of,
    deleted_rule,
    rule_list,
    rule_values,
    tried_rule,
)
from appliance.plugins.alerts.rule_places import RulePlace
from appliance.plugins.alerts.store import alert_store
from appliance.plugins.alerts.visible_flows import VisibleFlows
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.openapi import operation
from appliance.web.parameters import Query

PATH = "/api/v1/alerts"
RULES = f"{PATH}/rules"
RULE = f"{RULES}/<name>"


def alerts(query: Query, settings: Settings) -> dict[str, Any]:
    """Return alerts, the newest first."""
    return alert_list(alert_store(settings), query)


def acknowledge(
    number: str,
    body: Body,
    principal: Principal,
    settings: Settings,
    query: Query,
    event: AuditEvent,
) -> dict[str, Any]:
    """Note that somebody has seen an alert."""
    event.note(f"alert {number[:20]}")
    return acknowledged(number, comment_of(body), principal, alert_store(settings), query.zone)


def rules(settings: Settings, query: Query) -> dict[str, Any]:
    """Return every rule, and what rules can say."""
    return rule_list(_place(settings), query.zone, query.now)


def put_rule(
    name: str, body: Body, settings: Settings, query: Query, event: AuditEvent
) -> dict[str, Any]:
    """Add a rule, or change what the body has of one."""
    event.note(f"rule {name[:80]}")
    return changed_rule(name, rule_values(body), _place(settings), query)


def delete_rule(name: str, settings: Settings, event: AuditEvent) -> dict[str, Any]:
    """Delete a rule; a ready-made one is as it came."""
    event.note(f"rule {name[:80]}")
    return deleted_rule(name, alert_store(settings))


def test_rule(name: str, query: Query, settings: Settings) -> dict[str, Any]:
    """Return when a rule would have been in alert."""
    return tried_rule(name, query, _place(settings))


def _place(settings: Settings) -> RulePlace:
    return RulePlace(alert_store(settings), VisibleFlows(settings))


def alert_routes() -> list[Route]:
    """Return the routes."""
    listed = operation(
        "Alerts, newest first", LIST_EXAMPLE, query=("open", "before", "limit"), tag=TAG
    )
    seen = operation("Say that an alert is seen", ALERT_EXAMPLE, body={"Comment": "known"}, tag=TAG)
    every = operation("Rules, and what they can say", RULES_EXAMPLE, tag=TAG)
    put = operation("Add or change a rule", RULE_EXAMPLE, body=BODY_EXAMPLE, tag=TAG)
    gone = operation("Delete a rule", {"deleted": "SYN flood"}, tag=TAG)
    tried = operation(
        "When a rule would have been in alert", TEST_EXAMPLE, query=("from", "to", "last"), tag=TAG
    )
    return [
        Route("GET", PATH, alerts, role=SIGNED_IN, schema=listed),
        Route("GET", RULES, rules, role=SIGNED_IN, schema=every),
        Route("PUT", f"{PATH}/<number>", acknowledge, role=ADMINISTRATOR, schema=seen),
        Route("PUT", RULE, put_rule, role=ADMINISTRATOR, schema=put),
        Route("DELETE", RULE, delete_rule, role=ADMINISTRATOR, schema=gone),
        Route("GET", f"{RULE}/test", test_rule, role=ADMINISTRATOR, schema=tried),
    ]
