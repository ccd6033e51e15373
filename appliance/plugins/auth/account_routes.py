"""Who one is, and the own password: `/api/v1/account`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance import (
    PUBLIC,
    SIGNED_IN,
    AccountStore,
    Answer,
    Principal,
    RequestError,
    Route,
    Settings,
    SignInWay,
)
from appliance.accounts.filters import EXAMPLE
from appliance.accounts.passwords import hash_password
from appliance.accounts.rules import password_problems
from appliance.contracts import UserChange
from appliance.plugins.auth.own_account import PATH, TAG, OwnPassword, own_user
from appliance.plugins.auth.password_checks import PasswordChecks
from appliance.web.bodies import Body
from appliance.web.openapi import BodyExample, OrNull, Whole, operation
from appliance.web.session_tokens import answer_with_token, new_session_token


def who_am_i(principal: Principal, accounts: AccountStore) -> dict[str, Any]:
    """Return the caller's name and roles, and the filter that the caller is bound to; `userId` is
    null for a token of a program.
    """
    totp = accounts.totp(principal.account) if principal.account is not None else None
    return {
        "username": principal.name,
        "userId": principal.account,
        "roles": sorted(principal.roles),
        "must_change_password": principal.must_change_password,
        "totp": totp is not None and totp.is_on,
        "filter": principal.filter,
    }


def ways(sign_in_ways: Sequence[SignInWay]) -> dict[str, Any]:
    """Tell which ways to sign in there are."""
    others = {way.name: {"title": way.title, "url": way.url} for way in sign_in_ways}
    return {"password": True, **others}


class PasswordChange:
    """Answers `PUT /api/v1/account/password`."""

    def __init__(self, checks: PasswordChecks) -> None:
        self._password = OwnPassword(checks)

    def change(
        self,
        environ: Mapping[str, Any],
        principal: Principal,
        accounts: AccountStore,
        body: Body,
        settings: Settings,
        now: float,
    ) -> Answer:
        """Set another password; all sessions end, and the answer has the token of a new one."""
        values = body.single(("password", "newPassword"))
        user, new = own_user(principal, accounts), values.get("newPassword", "")
        current = values.get("password", "")
        self._password.check(environ, user, current, accounts, settings, now)
        problems = password_problems(new)
        if new == current:
            problems.append("The new password is the old one")
        if problems:
            raise RequestError(400, "; ".join(problems))
        password_hash = hash_password(new, settings["accounts.password_cost"])
        accounts.change_user(user.id, UserChange({"password_hash": password_hash}), now)
        changed = own_user(principal, accounts)
        token = new_session_token(environ, changed, settings, accounts, now)
        return answer_with_token(token, environ, "Password changed")


def routes(checks: PasswordChecks) -> list[Route]:
    """Return the routes of one's own account."""
    me = Whole(
        {
            "username": "destneAdmin",
            "userId": OrNull(1),
            "roles": ["Administrator"],
            "must_change_password": False,
            "totp": False,
            "filter": OrNull(EXAMPLE),
        }
    )
    passwords = {"password": "th!s1s@paSw0RD", "newPassword": "An0ther@paSw0RD"}
    changed = Whole({"success": True, "message": "Password changed", "token": "JSONWebToken"})
    return [
        Route(
            "GET",
            PATH,
            who_am_i,
            role=SIGNED_IN,
            schema=operation("Who one is", me, tag=TAG),
            before_password_change=True,
            open_to_bound_users=True,
        ),
        Route(
            "GET",
            f"{PATH}/ways",
            ways,
            role=PUBLIC,
            schema=operation(
                "Ways to sign in: a password, and others by name",
                {"password": True, "oidc": {"title": "Single sign-on", "url": "/auth/oidc"}},
                tag="Authentication",
            ),
        ),
        Route(
            "PUT",
            f"{PATH}/password",
            PasswordChange(checks).change,
            role=SIGNED_IN,
            schema=operation(
                "Change the own password; all sessions end, a new one begins",
                changed,
                body=BodyExample(passwords, tuple(passwords)),
                tag=TAG,
            ),
            before_password_change=True,
            open_to_bound_users=True,
        ),
    ]
