"""The routes of "User Roles", under both spellings of the document."""

from __future__ import annotations

from typing import Any

from appliance import ADMINISTRATOR, AccountStore, Answer, Route
from appliance.contracts import AccountError, UserChange, Why
from appliance.plugins.users.answers import PATH, find_user, no_user, status_of_refusal
from appliance.web.audit import AuditEvent
from appliance.web.openapi import AnswerExample, Whole, operation

TAG = "User Roles"


def roles_of_user(user_id: str, accounts: AccountStore) -> Answer | dict[str, Any]:
    """Return the roles of a user, by name."""
    user = find_user(accounts, user_id)
    if user is None:
        return no_user()
    return {"userId": user.id, "username": user.username, "roles": sorted(user.roles)}


def add_role(
    user_id: str, role: str, accounts: AccountStore, event: AuditEvent, now: float
) -> Answer:
    """Give a user a role."""
    return _change_roles(accounts, user_id, UserChange({}, add_roles=(role,)), event, now)


def delete_role(
    user_id: str, role: str, accounts: AccountStore, event: AuditEvent, now: float
) -> Answer:
    """Take a role from a user."""
    return _change_roles(accounts, user_id, UserChange({}, delete_roles=(role,)), event, now)


def routes() -> list[Route]:
    """Return the routes of roles."""
    example = Whole(userId=1, username="firstUser", roles=["Administrator", "User"])
    added = Whole(message="Role - Administrator added to User - firstUser")
    deleted = Whole(message="Role - Administrator deleted from User - firstUser")
    one = f"{PATH}/<user_id>"
    found = [
        Route(
            "GET",
            f"{one}/role",
            roles_of_user,
            role=ADMINISTRATOR,
            schema=operation("Roles of a user", AnswerExample(example, refuses=(404,)), tag=TAG),
        )
    ]
    for path in (f"{one}/role/<role>", f"{one}/<role>"):
        for method, handler, summary, answer in (
            ("PUT", add_role, "Add a role to a user", added),
            ("DELETE", delete_role, "Delete a role from a user", deleted),
        ):
            described = AnswerExample(answer, refuses=(404, 409))
            schema = operation(summary, described, tag=TAG)
            found.append(Route(method, path, handler, role=ADMINISTRATOR, schema=schema))
    return found


def _change_roles(
    accounts: AccountStore, user_id: str, change: UserChange, event: AuditEvent, now: float
) -> Answer:
    user = find_user(accounts, user_id)
    if user is None:
        return no_user()
    event.note(f"user {user.username}")
    try:
        accounts.change_user(user.id, change, now)
    except AccountError as error:
        whys = {problem.why for problem in error.problems}
        status = 404 if whys == {Why.HAS_NOT_ROLE} else status_of_refusal(error)
        return Answer({"message": str(error)}, status)
    if change.add_roles:
        done = f"Role - {change.add_roles[0]} added to User - {user.username}"
    else:
        done = f"Role - {change.delete_roles[0]} deleted from User - {user.username}"
    return Answer({"message": done})
