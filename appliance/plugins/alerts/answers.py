"""What routes answer about alerts and rules, whoever they are of: bodies in, JSON out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from appliance import Principal, RequestError
from appliance.plugins.alerts.rule_places import RulePlace
from appliance.plugins.alerts.rules import (
    CONDITIONS,
    GROUPS,
    MEASURES,
    SEVERITIES,
    UNITS,
    Rule,
    RuleError,
)
from appliance.plugins.alerts.store import Alert, AlertStore
from appliance.web.bodies import Body
from appliance.web.openapi import AnyKeys, OrNull
from appliance.web.parameters import Query, row_id
from appliance.web.times import rfc3339
from appliance.web.turns import caller_name

TAG = "Alerts"
DEFAULT_ROWS = 100
DEFAULT_SECONDS = 7 * 86_400
MOST_SECONDS = 93 * 86_400

RULE_EXAMPLE = {**Rule("SYN flood", limit=2000.5, clear=1.5).as_dict(), "sentence": "at least 2000"}
RULE_EXAMPLE |= {"clear": OrNull(1500.5), "least": 0.5, "ready_made": True, "problem": ""}
ALERT_EXAMPLE = {
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
TEST_EXAMPLE = {
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
LIST_EXAMPLE = {"alerts": [ALERT_EXAMPLE], "open": 1, "next": OrNull(7)}
RULES_EXAMPLE = {
    "rules": [RULE_EXAMPLE],
    "measures": AnyKeys({"bps": "bits a second"}),
    "groups": ["source"],
    "conditions": AnyKeys({"above": "at the limit"}),
    "severities": ["warning"],
}
BODY_EXAMPLE = {"measure": "fps", "filter": "flags S", "by": "destination", "limit": "2000"}
_FIELDS = tuple(field for field in Rule.__dataclass_fields__ if field != "name")


def alert_list(store: AlertStore, query: Query) -> dict[str, Any]:
    """Return alerts, the newest first."""
    limit = query.limit(DEFAULT_ROWS) or DEFAULT_ROWS
    rows = store.alerts(only_open=query.flag("open"), before=query.number("before"), limit=limit)
    return {
        "alerts": [_alert_json(row, query.zone) for row in rows],
        "open": sum(store.open_by_severity().values()),
        "next": rows[-1].id if len(rows) == limit else None,
    }


def acknowledge_alert(
    number: str, comment: str, principal: Principal, store: AlertStore, zone: tzinfo
) -> dict[str, Any]:
    """Note that somebody has seen an alert.

    Raises
    ------
    RequestError
        404: there is none; 400: the comment is too long.
    """
    identifier = row_id(number)
    if identifier is None:
        raise RequestError(404, "No such alert")
    try:
        alert = store.acknowledge(identifier, caller_name(principal), comment)
    except RuleError as error:
        raise RequestError(404 if "no alert" in str(error) else 400, str(error)) from None
    return _alert_json(alert, zone)


def comment_of(body: Body) -> str:
    """Return what somebody says of an alert."""
    return body.single(("Comment",), nullable=("Comment",)).get("Comment", "")


def rule_list(place: RulePlace, zone: tzinfo, now: float) -> dict[str, Any]:
    """Return every rule, and what rules can say."""
    measures = MEASURES if place.is_limited else UNITS
    conditions = dict(CONDITIONS)
    if place.is_limited:
        del conditions["utilisation"]
    return {
        "rules": [_rule_json(rule, place, zone, now) for rule in place.store.rules()],
        "measures": dict(measures),
        "groups": list(GROUPS),
        "conditions": conditions,
        "severities": list(SEVERITIES),
    }


def change_rule(
    name: str, values: Mapping[str, str], place: RulePlace, query: Query
) -> dict[str, Any]:
    """Add a rule, or change what is said of one.

    Raises
    ------
    RequestError
        400: it does not fit, or there are too many.
    """
    try:
        rule = place.store.rule_with(name, values)
        place.check(rule)
        place.store.put_rule(rule)
    except RuleError as error:
        raise RequestError(400, str(error)) from None
    return _rule_json(rule, place, query.zone, query.now)


def rule_values(body: Body) -> dict[str, str]:
    """Return what a body says of a rule."""
    values = body.values(_FIELDS, nullable=("clear", "filter", "quiet", "text"), flags=("is_on",))
    if several := [field for field, texts in values.items() if len(texts) != 1]:
        raise RequestError(400, f"{several[0]}: expected one value")
    return {field: texts[0] for field, texts in values.items()}


def remove_rule(name: str, store: AlertStore) -> dict[str, Any]:
    """Delete a rule; a ready-made one is as it came."""
    try:
        store.delete_rule(name)
    except RuleError as error:
        raise RequestError(404, str(error)) from None
    return {"deleted": name}


def try_kept_rule(name: str, query: Query, place: RulePlace) -> dict[str, Any]:
    """Return when a rule would have been in alert.

    Raises
    ------
    RequestError
        404: there is none; 400: the range is too long, or the past does not tell.
    """
    from appliance.plugins.alerts.history import try_rule

    since, until = query.range()
    end = query.now if until is None else until
    start = end - DEFAULT_SECONDS if since is None else since
    if not 0 < end - start <= MOST_SECONDS:
        raise RequestError(400, f"expected a range of up to {MOST_SECONDS // 86_400} days")
    try:
        rule = place.store.rule(name)
    except RuleError as error:
        raise RequestError(404, str(error)) from None
    try:
        place.check(rule)
        outcome = try_rule(rule, start, end, place.flows, query.now)
    except RuleError as error:
        raise RequestError(400, str(error)) from None
    return {
        "rule": rule.name,
        "since": rfc3339(start, query.zone),
        "until": rfc3339(end, query.zone),
        "complete_from": rfc3339(outcome.complete_from, query.zone),
        "step_seconds": outcome.step,
        "problem": outcome.problem,
        "alerts": [
            one._asdict()
            | {name: rfc3339(getattr(one, name), query.zone) for name in ("began", "ended")}
            for one in outcome.alerts
        ],
    }


def _alert_json(alert: Alert, zone: tzinfo) -> dict[str, Any]:
    times = {
        name: None if (at := getattr(alert, name)) is None else rfc3339(at, zone)
        for name in ("began", "ended", "acknowledged_at")
    }
    return {name: value for name, value in (alert._asdict() | times).items() if name != "keys"}


def _rule_json(rule: Rule, place: RulePlace, zone: tzinfo, now: float) -> dict[str, Any]:
    from appliance.plugins.alerts.baseline_store import BaselineStore, problem_of

    hours = BaselineStore(place.store, zone, place.flows.bound_to)
    return {
        **rule.as_dict(),
        "sentence": rule.sentence,
        "ready_made": place.store.is_ready_made(rule.name),
        "problem": problem_of(rule, hours, now),
    }
