"""Routes of the appliance's alerts and of their rules, below `/api/v1/alerts`."""

from __future__ import annotations

from typing import Any

from appliance import ADMINISTRATOR, SIGNED_IN, Principal, Route, Settings
from appliance.plugins.alerts.answers import (
    acknowledge_alert,
    alert_list,
    change_rule,
    comment_of,
    remove_rule,
    rule_list,
    rule_values,
    try_kept_rule,
)
from appliance.plugins.alerts.route_tables import alert_route_table
from appliance.plugins.alerts.rule_places import RulePlace
from appliance.plugins.alerts.store import alert_store
from appliance.plugins.alerts.visible_flows import VisibleFlows
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.parameters import Query

PATH = "/api/v1/alerts"


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
    return acknowledge_alert(number, comment_of(body), principal, alert_store(settings), query.zone)


def rules(settings: Settings, query: Query) -> dict[str, Any]:
    """Return every rule, and what rules can say."""
    return rule_list(_place(settings), query.zone, query.now)


def put_rule(
    name: str, body: Body, settings: Settings, query: Query, event: AuditEvent
) -> dict[str, Any]:
    """Add a rule, or change what the body has of one."""
    event.note(f"rule {name[:80]}")
    return change_rule(name, rule_values(body), _place(settings), query)


def delete_rule(name: str, settings: Settings, event: AuditEvent) -> dict[str, Any]:
    """Delete a rule; a ready-made one is as it came."""
    event.note(f"rule {name[:80]}")
    return remove_rule(name, alert_store(settings))


def test_rule(name: str, query: Query, settings: Settings) -> dict[str, Any]:
    """Return when a rule would have been in alert."""
    return try_kept_rule(name, query, _place(settings))


def _place(settings: Settings) -> RulePlace:
    return RulePlace(alert_store(settings), VisibleFlows(settings))


def alert_routes() -> list[Route]:
    """Return the routes."""
    handlers = (alerts, rules, acknowledge, put_rule, delete_rule, test_rule)
    return alert_route_table(PATH, handlers, (SIGNED_IN, ADMINISTRATOR))
