"""The filters that users are bound to: `/api/v1/admin/account/<user_id>/filter`."""

from __future__ import annotations

from typing import Any

from appliance import ADMINISTRATOR, AccountStore, RequestError, Route
from appliance.accounts.filters import EXAMPLE, CheckFilter
from appliance.contracts import AccountError, User, UserChange
from appliance.errors import QueryError
from appliance.plugins.users.answers import NO_USER, find_user, status_of_refusal
from appliance.plugins.users.users import TAG
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.errors import sentence
from appliance.web.openapi import BodyExample, OrNull, Whole, operation

LIST_PATH = "/api/v1/admin/account/filters"
PATH = "/api/v1/admin/account/<user_id>/filter"
MOST_NOTED = 300
_SHOWN = {"userId": 2, "username": "customer17", "filter": OrNull(EXAMPLE), "problem": ""}


def all_filters(accounts: AccountStore, check_filter: CheckFilter) -> dict[str, Any]:
    """Return the users who are bound, with their filters and what is wrong with one."""
    bound = [user for user in accounts.users() if user.filter is not None]
    return {"filters": [_filter_json(user, check_filter) for user in bound]}


def filter_of(user_id: str, accounts: AccountStore, check_filter: CheckFilter) -> dict[str, Any]:
    """Return what a user is bound to, and what is wrong with it; null: to nothing."""
    return _filter_json(_user(accounts, user_id), check_filter)


def bind(
    user_id: str,
    body: Body,
    accounts: AccountStore,
    check_filter: CheckFilter,
    event: AuditEvent,
    now: float,
) -> dict[str, Any]:
    """Bind a user to a filter from the next request on.

    Raises
    ------
    RequestError
        400: it is not understood, or leaves nothing out; 409: the user is an administrator.
    """
    text = body.single(("filter",)).get("filter", "")
    user = _user(accounts, user_id)
    try:
        kept = check_filter(text)
    except QueryError as error:
        raise RequestError(400, sentence(f"filter: {error}")) from None
    event.note(f"user {user.username} is bound to {kept[:MOST_NOTED]}")
    _change(accounts, user, kept, now)
    return _filter_json(_user(accounts, user_id), check_filter)


def unbind(user_id: str, accounts: AccountStore, event: AuditEvent, now: float) -> dict[str, str]:
    """Let a user see everything from the next request on."""
    user = _user(accounts, user_id)
    event.note(f"user {user.username} is bound to no filter")
    if user.filter is None:
        raise RequestError(404, f"User - {user.username} is bound to no filter")
    _change(accounts, user, "", now)
    return {"message": f"User - {user.username} sees everything"}


def routes() -> list[Route]:
    """Return the routes."""
    shown, gone = Whole(_SHOWN), {"message": "User - customer17 sees everything"}
    body = BodyExample({"filter": EXAMPLE}, ("filter",))
    table = (
        ("GET", LIST_PATH, all_filters, "Users bound to filters", Whole(filters=[shown]), None),
        ("GET", PATH, filter_of, "What a user is bound to", shown, None),
        ("PUT", PATH, bind, "Bind a user to a filter", shown, body),
        ("DELETE", PATH, unbind, "Let a user see everything", gone, None),
    )
    return [
        Route(
            method,
            path,
            handler,
            role=ADMINISTRATOR,
            schema=operation(summary, answer, body=asked, tag=TAG),
        )
        for method, path, handler, summary, answer, asked in table
    ]


def _user(accounts: AccountStore, user_id: str) -> User:
    user = find_user(accounts, user_id)
    if user is None:
        raise RequestError(404, NO_USER)
    return user


def _change(accounts: AccountStore, user: User, text: str, now: float) -> None:
    try:
        accounts.change_user(user.id, UserChange({}, filter=text), now)
    except AccountError as error:
        raise RequestError(status_of_refusal(error), str(error)) from None


def _filter_json(user: User, check_filter: CheckFilter) -> dict[str, Any]:
    problem = ""
    if user.filter is not None:
        try:
            check_filter(user.filter)
        except QueryError as error:
            problem = str(error)
    return {
        "userId": user.id,
        "username": user.username,
        "filter": user.filter,
        "problem": problem,
    }
