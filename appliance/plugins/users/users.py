"""The routes of "Users": list, show, add, modify and delete, with the documented messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance import (
    ADMINISTRATOR,
    AccountStore,
    Answer,
    RequestError,
    Route,
    Settings,
)
from appliance.accounts.filters import EXAMPLE, CheckFilter
from appliance.accounts.passwords import hash_password
from appliance.accounts.rules import OPTIONAL, RULES, problems_of
from appliance.contracts import AccountError, UserChange
from appliance.errors import QueryError
from appliance.plugins.users.answers import (
    NO_USER,
    PATH,
    error_body,
    errors,
    find_user,
    no_user,
    status_of_refusal,
)
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.openapi import AnswerExample, BodyExample, OrNull, Whole, operation

TAG = "Users"
FILTER = "filter"
ROLE_FIELDS = ("addRole", "deleteRole")


def all_users(accounts: AccountStore, settings: Settings) -> dict[str, Any]:
    """Return every user with the hash of the password, unless the settings hide it."""
    shown: bool = settings["show_password_hashes"]
    return {
        "users": [
            {
                "userId": user.id,
                "username": user.username,
                "password": user.password_hash if shown else None,
                "firstname": user.firstname,
                "lastname": user.lastname,
                "email": user.email,
                "role": list(user.roles),
            }
            for user in accounts.users()
        ]
    }


def one_user(user_id: str, accounts: AccountStore) -> Answer | dict[str, Any]:
    """Return one user with the roles that there are beside the user's own."""
    user = find_user(accounts, user_id)
    if user is None:
        return no_user()
    return {
        "userId": user.id,
        "username": user.username,
        "role": list(user.roles),
        "unassignedRole": [role for role in accounts.roles() if role not in user.roles],
        "firstname": user.firstname,
        "lastname": user.lastname,
        "email": user.email,
    }


def add_user(
    body: Body,
    accounts: AccountStore,
    settings: Settings,
    now: float,
    check_filter: CheckFilter,
) -> Answer:
    """Make a user, bound to a filter from the start where one is given."""
    values = body.single((*RULES, FILTER), (*OPTIONAL, FILTER))
    bound_to = values.pop(FILTER, "").strip()
    missing = [f"No {name} provided" for name in ("username", "password") if not values.get(name)]
    given = {name: value for name, value in values.items() if value}
    if problems := [*missing, *problems_of(given)]:
        return errors(problems)
    try:
        if bound_to:
            bound_to = check_filter(bound_to)
    except QueryError as error:
        return errors([f"filter: {error}"])
    change = UserChange(values_to_store(given, settings), filter=bound_to or None)
    try:
        accounts.create_user(change, now)
    except AccountError as error:
        return errors(_texts(error), status_of_refusal(error))
    return Answer({"message": "User created!"}, 201)


def modify_user(
    user_id: str,
    body: Body,
    accounts: AccountStore,
    settings: Settings,
    event: AuditEvent,
    now: float,
) -> Answer:
    """Change values and roles of a user, all of them or nothing."""
    given = body.values((*RULES, *ROLE_FIELDS), OPTIONAL)
    user = find_user(accounts, user_id)
    if user is None:
        return errors([NO_USER], 404)
    event.note(f"user {user.username}")
    if not any(given.values()):
        return errors(["No Valid Parameters Provided"])
    values = _singles(given)
    problems = [*problems_of(values), *_role_problems(given)]
    if problems:
        return errors(problems)
    added, deleted = (tuple(given.get(name, ())) for name in ROLE_FIELDS)
    change = UserChange(values_to_store(values, settings), added, deleted)
    try:
        accounts.change_user(user.id, change, now)
    except AccountError as error:
        return errors(_texts(error), status_of_refusal(error, 400))
    return Answer({"message": "User updated!"})


def delete_user(user_id: str, accounts: AccountStore, event: AuditEvent) -> Answer:
    """Delete a user with everything that belongs to it."""
    user = find_user(accounts, user_id)
    if user is None:
        return no_user()
    event.note(f"user {user.username}")
    try:
        accounts.delete_user(user.id)
    except AccountError as error:
        return Answer({"message": str(error)}, status_of_refusal(error))
    return Answer({"message": "Successfully deleted!"})


def values_to_store(values: Mapping[str, str], settings: Settings) -> dict[str, str | None]:
    """Return checked values as they are kept: the password hashed, empty texts as None."""
    kept: dict[str, str | None] = {
        name: value or None if name in OPTIONAL else value for name, value in values.items()
    }
    password = kept.pop("password", None)
    if password is not None:
        kept["password_hash"] = hash_password(password, settings["accounts.password_cost"])
    return kept


def routes() -> list[Route]:
    """Return the routes of users."""
    one = f"{PATH}/<user_id>"
    table = (
        ("GET", PATH, all_users, "All users", Whole(users=[_LISTED]), None),
        ("GET", one, one_user, "A user", AnswerExample(_SHOWN, refuses=(404,)), None),
        ("POST", PATH, add_user, "Add a user", _CREATED, _NEW),
        ("PUT", one, modify_user, "Modify a user", _UPDATED, _CHANGE),
        ("DELETE", one, delete_user, "Delete a user", _DELETED, None),
    )
    return [
        Route(
            method,
            path,
            handler,
            role=ADMINISTRATOR,
            schema=operation(summary, answer, body=body, tag=TAG),
            error_body=error_body if method in ("POST", "PUT") else None,
        )
        for method, path, handler, summary, answer, body in table
    ]


def _singles(given: Mapping[str, list[str]]) -> dict[str, str]:
    values = {name: found for name, found in given.items() if name not in ROLE_FIELDS}
    for name, found in values.items():
        if len(found) != 1:
            raise RequestError(400, f"{name} is given {len(found)} times, expected once")
    return {name: found[0] for name, found in values.items()}


def _role_problems(given: Mapping[str, list[str]]) -> list[str]:
    both = set(given.get("addRole", ())) & set(given.get("deleteRole", ()))
    return [f"Role - {role} is both added and deleted" for role in sorted(both)]


def _texts(error: AccountError) -> list[str]:
    return [str(problem) for problem in error.problems]


_LISTED = Whole(
    {
        "userId": 1,
        "username": "firstUser",
        "password": OrNull("$2b$12$..."),
        "firstname": OrNull("myName"),
        "lastname": OrNull("isFirst"),
        "email": OrNull("firstuser@destne.com"),
        "role": ["User", "Administrator"],
    }
)
_SHOWN = Whole(
    {
        "userId": 1,
        "username": "firstUser",
        "role": ["User"],
        "unassignedRole": ["Administrator"],
        "firstname": OrNull("first"),
        "lastname": OrNull("user"),
        "email": OrNull("firstisBest@destne.com"),
    }
)
_VALUES = {
    "username": "thirdUser",
    "password": "th!s1s@paSw0RD",
    "firstname": OrNull("first"),
    "lastname": OrNull("user"),
    "email": OrNull("firstisBest@destne.com"),
}
_NEW = BodyExample({**_VALUES, FILTER: OrNull(EXAMPLE)}, required=("username", "password"))
_CHANGE = {**_VALUES, "addRole": ["Administrator"], "deleteRole": ["User"]}
_UNREADABLE = (400, 413, 415, 503)
_CREATED = AnswerExample(Whole(message="User created!"), 201, refuses=(*_UNREADABLE, 409))
_UPDATED = AnswerExample(Whole(message="User updated!"), refuses=(*_UNREADABLE, 404, 409))
_DELETED = AnswerExample(Whole(message="Successfully deleted!"), refuses=(404, 409))
