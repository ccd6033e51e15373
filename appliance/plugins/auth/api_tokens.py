"""Long-lived tokens of programs, below `/api/v1/admin/token`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from appliance import ADMINISTRATOR, USER, AccountStore, Answer, Principal, RequestError, Route
from appliance.contracts import AccountError, ApiToken, Problem, User, Why
from appliance.plugins.auth.own_account import user_of_path
from appliance.plugins.auth.tokens import ROLES, new_api_token
from appliance.settings.raw_values import parse_duration
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.openapi import AnswerExample, BodyExample, OrNull, Whole, operation
from appliance.web.parameters import row_id

PATH = "/api/v1/admin/token"
TAG = "API tokens"
MOST_NAME = 100
LONGEST_SECONDS = 10 * 366 * 86400
_EXAMPLE = Whole(
    {
        "tokenId": 1,
        "name": "grafana",
        "role": "User",
        "created": "2026-01-01T12:00:00Z",
        "expires": OrNull("2027-01-01T12:00:00Z"),
        "userId": OrNull(1),
    }
)


def list_tokens(accounts: AccountStore) -> dict[str, Any]:
    """Return every API token, without the token."""
    return {"tokens": [_token_json(token) for token in accounts.tokens()]}


def create_token(
    body: Body, accounts: AccountStore, principal: Principal, event: AuditEvent, now: float
) -> Answer:
    """Make an API token, one's own or a user's; the answer is the only one that ever shows it."""
    given = body.single(("name", "role", "lifetime", "userId"))
    lifetime = lifetime_of(given["lifetime"]) if given.get("lifetime") else None
    wanted = ApiToken(
        0,
        token_name(given.get("name", "")),
        given.get("role", USER),
        now,
        None if lifetime is None else now + lifetime,
        principal.account,
    )
    if wanted.role not in ROLES:
        raise RequestError(400, f"role: expected one of {', '.join(ROLES)}")
    if "userId" in given:
        owner = user_of_path(given["userId"], accounts)
        wanted = token_of_user(wanted, owner)
        event.note(f"for user {owner.username}")
    made, token = store_token(accounts, wanted)
    event.note(f"token {made.name} of role {made.role}")
    return Answer({"message": "Token created!", "token": token, **_token_json(made)}, 201)


def delete_token(token: str, accounts: AccountStore, event: AuditEvent) -> dict[str, str]:
    """End an API token at once."""
    number = row_id(token)
    if number is None:
        raise RequestError(404, "No token found with that ID")
    try:
        event.note(f"token {accounts.delete_token(number).name}")
    except AccountError as error:
        raise RequestError(404, str(error)) from None
    return {"message": "Successfully deleted!"}


def delete_named_token(body: Body, accounts: AccountStore, event: AuditEvent) -> dict[str, str]:
    """End the API token that the body names by `tokenId`."""
    return delete_token(body.single(("tokenId",)).get("tokenId", ""), accounts, event)


def store_token(accounts: AccountStore, wanted: ApiToken) -> tuple[ApiToken, str]:
    """Make an API token; return it as it is kept, and the token itself.

    Raises
    ------
    RequestError
        409: there is one of that name.
    """
    token, digest = new_api_token()
    try:
        number = accounts.create_token(wanted, digest)
    except AccountError as error:
        raise RequestError(409, str(error)) from None
    return replace(wanted, id=number), token


def token_of_user(wanted: ApiToken, owner: User) -> ApiToken:
    """Return a token as a user's own: it ends with the user, and is bound to the user's filter.

    Raises
    ------
    RequestError
        400: the user does not have its role, and is no administrator, who may do all.
    """
    if not {wanted.role, ADMINISTRATOR} & set(owner.roles):
        problem = Problem(Why.HAS_NOT_ROLE, owner.username, wanted.role)
        raise RequestError(400, str(problem))
    return replace(wanted, owner=owner.id)


def token_name(name: str) -> str:
    """Return the name of an API token.

    Raises
    ------
    RequestError
        400: it is empty, too long, or cannot be printed.
    """
    if not 0 < len(name) <= MOST_NAME or not name.isprintable() or name != name.strip():
        raise RequestError(400, f"name: expected 1 to {MOST_NAME} printable characters")
    return name


def lifetime_of(text: str) -> float:
    """Return how long an API token is to live, in seconds.

    Raises
    ------
    RequestError
        400: it is no duration, or too long.
    """
    try:
        seconds = parse_duration(text)
    except (ValueError, OverflowError):
        seconds = 0.0
    if not 1 <= seconds <= LONGEST_SECONDS:
        raise RequestError(400, "lifetime: expected one second to ten years, such as 90d")
    return seconds


def moment(seconds: float) -> str:
    """Return a time as RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def routes() -> list[Route]:
    """Return the routes of API tokens."""
    made = Whole({"message": "Token created!", "token": "nfa_...", **_EXAMPLE})
    wanted = {"name": "grafana", "role": "User", "lifetime": "365d", "userId": 1}
    asked = BodyExample(wanted, ("name",))
    gone = {"message": "Successfully deleted!"}
    table = (
        ("GET", "", list_tokens, operation("All API tokens", Whole(tokens=[_EXAMPLE]), tag=TAG)),
        (
            "POST",
            "",
            create_token,
            operation("Make an API token", AnswerExample(made, 201), body=asked, tag=TAG),
        ),
        ("DELETE", "/<token>", delete_token, operation("End an API token", gone, tag=TAG)),
        (
            "DELETE",
            "",
            delete_named_token,
            operation(
                "End an API token", gone, body=BodyExample({"tokenId": 1}, ("tokenId",)), tag=TAG
            ),
        ),
    )
    return [
        Route(method, f"{PATH}{end}", handler, role=ADMINISTRATOR, schema=schema)
        for method, end, handler, schema in table
    ]


def _token_json(token: ApiToken) -> Mapping[str, Any]:
    return {
        "tokenId": token.id,
        "name": token.name,
        "role": token.role,
        "created": moment(token.created),
        "expires": None if token.expires is None else moment(token.expires),
        "userId": token.owner,
    }
