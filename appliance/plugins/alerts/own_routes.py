"""Routes of one's own alerts, for users who are bound to a filter: `/api/v1/account/alerts`.

Whatever they do is in the caller's own file and within the caller's filter; there is no word by
which a caller could name another user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance import (
    SIGNED_IN,
    AccountStore,
    FlowStore,
    Principal,
    RequestError,
    Route,
    Settings,
)
from appliance.plugins.alerts.alert_settings import USER_RULES
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
from appliance.plugins.alerts.user_mails import mail_address
from appliance.plugins.alerts.user_rules import RuleOwner, user_store
from appliance.plugins.alerts.visible_flows import VisibleFlows
from appliance.query.turns import QueryTurns
from appliance.web.bodies import Body
from appliance.web.caller_filter import bound_engine
from appliance.web.openapi import OrNull
from appliance.web.parameters import Query
from appliance.web.turns import caller_turn

OWN = "/api/v1/account/alerts"
NOT_BOUND = "Only users who are bound to a filter have alerts of their own: see /api/v1/alerts"
TURNS = QueryTurns(most=2, most_of_user=1, what="tests of rules")
"""Of this process. A test asks up to sixteen questions about weeks."""

OpenStore = Callable[[], FlowStore]
USER_EXAMPLE = {"most_rules": 10, "mail_to": OrNull("noc@customer.example")}
"""What the rules of a user have besides."""


def own_alerts(
    query: Query, principal: Principal, settings: Settings, open_store: OpenStore
) -> dict[str, Any]:
    """Return one's own alerts, the newest first."""
    query.refuse_others(("open", "before", "limit"))
    return alert_list(_own_place(principal, settings, open_store).store, query)


def acknowledge_own(
    number: str,
    body: Body,
    principal: Principal,
    settings: Settings,
    open_store: OpenStore,
    query: Query,
) -> dict[str, Any]:
    """Note that one has seen an alert of one's own."""
    store = _own_place(principal, settings, open_store).store
    return acknowledge_alert(number, comment_of(body), principal, store, query.zone)


def own_rules(
    principal: Principal,
    settings: Settings,
    open_store: OpenStore,
    accounts: AccountStore,
    query: Query,
) -> dict[str, Any]:
    """Return one's own rules, and what rules can say."""
    place = _own_place(principal, settings, open_store)
    account = _account_of(principal)
    return user_rules(RuleOwner(account, accounts.user(account), place.store), place, query)


def put_own_rule(
    name: str,
    body: Body,
    principal: Principal,
    settings: Settings,
    open_store: OpenStore,
    query: Query,
) -> dict[str, Any]:
    """Add a rule of one's own, or change what the body has of one."""
    place = _own_place(principal, settings, open_store)
    return change_rule(name, rule_values(body), place, query)


def delete_own_rule(
    name: str, principal: Principal, settings: Settings, open_store: OpenStore
) -> dict[str, Any]:
    """Delete a rule of one's own; a ready-made one is as it came."""
    return remove_rule(name, _own_place(principal, settings, open_store).store)


def test_own_rule(
    name: str, query: Query, principal: Principal, settings: Settings, open_store: OpenStore
) -> dict[str, Any]:
    """Return when a rule of one's own would have been in alert."""
    place = _own_place(principal, settings, open_store)
    query.refuse_others(("from", "to", "last"))
    with caller_turn(TURNS, principal):
        return try_kept_rule(name, query, place)


def own_alert_routes() -> list[Route]:
    """Return the routes."""
    return alert_route_table(
        OWN,
        (own_alerts, own_rules, acknowledge_own, put_own_rule, delete_own_rule, test_own_rule),
        (SIGNED_IN, SIGNED_IN),
        " of one's own",
        more=USER_EXAMPLE,
        open_to_bound_users=True,
    )


def user_rules(owner: RuleOwner, place: RulePlace, query: Query) -> dict[str, Any]:
    """Return the rules of a user, what rules can say, and where their mails go."""
    settings = place.flows.settings
    return {
        **rule_list(place, query.zone, query.now),
        "most_rules": settings[USER_RULES.name],
        "mail_to": mail_address(owner, settings),
    }


def _account_of(principal: Principal) -> int:
    """Return the account of a bound caller, also of a program's token of theirs.

    Raises
    ------
    RequestError
        404: the caller is bound to nothing.
    """
    account = principal.owner if principal.account is None else principal.account
    if principal.filter is None or account is None:
        raise RequestError(404, NOT_BOUND)
    return account


def _own_place(principal: Principal, settings: Settings, open_store: OpenStore) -> RulePlace:
    """Return where a bound caller's rules are.

    Raises
    ------
    RequestError
        404: the caller is bound to nothing; 403: the filter is not understood any more.
    """
    from appliance.query.engine import engine_from_settings

    account = _account_of(principal)

    def exporters() -> Any:
        return open_store().exporters()

    # Says no where nothing may be told.
    bound_engine(engine_from_settings(settings), principal, settings, exporters)
    store = user_store(settings, account, settings[USER_RULES.name], principal.filter)
    return RulePlace(store, VisibleFlows(settings, principal.filter, exporters))
