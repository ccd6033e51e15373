"""Routes by which administrators have the alerts and rules of each user who is bound to a filter:
below `/api/v1/admin/account`.
"""

from __future__ import annotations

from typing import Any

from appliance import ADMINISTRATOR, AccountStore, Principal, RequestError, Route, Settings
from appliance.accounts.filters import CheckFilter
from appliance.contracts import Problem, User, Why
from appliance.errors import QueryError
from appliance.plugins.alerts.alert_settings import USER_RULES
from appliance.plugins.alerts.answers import (
    TAG,
    acknowledge_alert,
    alert_list,
    change_rule,
    comment_of,
    remove_rule,
    rule_values,
    try_kept_rule,
)
from appliance.plugins.alerts.own_routes import USER_EXAMPLE, OpenStore, user_rules
from appliance.plugins.alerts.route_tables import alert_route_table
from appliance.plugins.alerts.rule_places import RulePlace
from appliance.plugins.alerts.store import AlertStore
from appliance.plugins.alerts.user_rules import (
    RuleOwner,
    accounts_with_rules,
    rule_owners,
    user_store,
)
from appliance.plugins.alerts.visible_flows import VisibleFlows
from appliance.web.bodies import Body
from appliance.web.openapi import operation
from appliance.web.parameters import Query, row_id

OF_USER = "/api/v1/admin/account/<user_id>/alerts"
ALL_USERS = "/api/v1/admin/account/alerts"
_USERS = {"users": [{"userId": 17, "username": "customer17", "rules": 2, "open": 1, "problem": ""}]}


def users_with_alerts(
    settings: Settings, accounts: AccountStore, check_filter: CheckFilter
) -> dict[str, Any]:
    """Return the users who may have rules of their own, and those who have left some."""
    return {
        "users": [
            {
                "userId": owner.account,
                "username": owner.name,
                "rules": sum(rule.is_on for rule in owner.store.rules()),
                "open": sum(owner.store.open_by_severity().values()),
                "problem": owner_problem(owner, check_filter),
            }
            for owner in rule_owners(settings, accounts.users(), with_bound=True)
        ]
    }


def owner_problem(owner: RuleOwner, check_filter: CheckFilter) -> str:
    """Return why a user's rules are not looked at; empty where they are."""
    if owner.problem or owner.bound_to is None:
        return owner.problem
    try:
        check_filter(owner.bound_to)
    except QueryError as error:
        return f"{owner.name} is bound to no usable filter: {error}"
    return ""


def alerts_of_user(
    user_id: str, query: Query, settings: Settings, accounts: AccountStore
) -> dict[str, Any]:
    """Return the alerts of a user, the newest first, those under earlier filters too."""
    return alert_list(_owner(user_id, settings, accounts).store, query)


def acknowledge_of_user(
    user_id: str, number: str, body: Body, principal: Principal, settings: Settings, query: Query
) -> dict[str, Any]:
    """Note that an administrator has seen an alert of a user."""
    store = _store_of(user_id, settings)
    return acknowledge_alert(number, comment_of(body), principal, store, query.zone)


def rules_of_user(
    user_id: str,
    settings: Settings,
    accounts: AccountStore,
    query: Query,
) -> dict[str, Any]:
    """Return the rules of a user, and what rules can say."""
    owner = _owner(user_id, settings, accounts)
    # Of one who is bound to nothing they are only listed.
    place = RulePlace(owner.store, VisibleFlows(settings, owner.bound_to or ""))
    return user_rules(owner, place, query)


def put_rule_of_user(
    user_id: str,
    name: str,
    body: Body,
    settings: Settings,
    accounts: AccountStore,
    query: Query,
) -> dict[str, Any]:
    """Add a rule of a user, or change what the body has of one."""
    owner = _owner(user_id, settings, accounts)
    flows = VisibleFlows(settings, _filter_of(owner))
    return change_rule(name, rule_values(body), RulePlace(owner.store, flows), query)


def delete_rule_of_user(user_id: str, name: str, settings: Settings) -> dict[str, Any]:
    """Delete a rule of a user; a ready-made one is as it came."""
    return remove_rule(name, _store_of(user_id, settings))


def test_rule_of_user(
    user_id: str,
    name: str,
    query: Query,
    settings: Settings,
    accounts: AccountStore,
    open_store: OpenStore,
) -> dict[str, Any]:
    """Return when a rule of a user would have been in alert."""
    owner = _owner(user_id, settings, accounts)
    flows = VisibleFlows(settings, _filter_of(owner), lambda: open_store().exporters())
    return try_kept_rule(name, query, RulePlace(owner.store, flows))


def user_alert_routes() -> list[Route]:
    """Return the routes."""
    all_users = operation("Users who may have rules of their own", _USERS, tag=TAG)
    listing = (alerts_of_user, rules_of_user, acknowledge_of_user)
    changing = (put_rule_of_user, delete_rule_of_user, test_rule_of_user)
    roles = (ADMINISTRATOR, ADMINISTRATOR)
    return [
        Route("GET", ALL_USERS, users_with_alerts, role=ADMINISTRATOR, schema=all_users),
        *alert_route_table(OF_USER, (*listing, *changing), roles, " of a user", more=USER_EXAMPLE),
    ]


def _owner(user_id: str, settings: Settings, accounts: AccountStore) -> RuleOwner:
    """Return the user whom a path names, also one who is gone and has left rules.

    Raises
    ------
    RequestError
        404: there is none.
    """
    account = row_id(user_id)
    user: User | None = None if account is None else accounts.user(account)
    if account is None or (user is None and account not in accounts_with_rules(settings)):
        raise RequestError(404, str(Problem(Why.NO_USER)))
    return RuleOwner(account, user, user_store(settings, account, settings[USER_RULES.name]))


def _store_of(user_id: str, settings: Settings) -> AlertStore:
    """Return what is kept of a user, also of one who is gone.

    Raises
    ------
    RequestError
        404: nothing is.
    """
    account = row_id(user_id)
    if account is None or account not in accounts_with_rules(settings):
        raise RequestError(404, "This user has no alerts and no rules")
    return user_store(settings, account, settings[USER_RULES.name])


def _filter_of(owner: RuleOwner) -> str:
    """Return what a user is bound to.

    Raises
    ------
    RequestError
        409: to nothing, or the user is gone.
    """
    if owner.bound_to is None:
        raise RequestError(409, owner.problem)
    return owner.bound_to
