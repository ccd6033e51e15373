"""`POST /auth` and `GET /signout`.

Guessing passwords is slowed down (see `attempts`) from failures that the accounts keep, so a
restart forgives nothing. An attempt counts before its password is checked: many at once gain
nothing. Who has to wait costs a look-up and no check. An unknown user costs the same time and the
same counting as a wrong password.
"""

from __future__ import annotations

import base64
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from appliance import PUBLIC, AccountStore, Answer, Principal, RequestError, Route, Settings
from appliance.accounts.passwords import cost_of, hashed, is_password, nobodys_hash
from appliance.accounts.secret import secret_or_new, secret_path
from appliance.contracts import User
from appliance.plugins.auth.attempts import (
    DEVICE_COOKIE,
    DEVICE_SECONDS,
    Attempt,
    attempt_of,
    new_device,
)
from appliance.plugins.auth.tokens import (
    COOKIE,
    LIFETIME_SECONDS,
    principal_of_request,
    token_of_request,
    user_token,
)
from appliance.web.audit import AuditEvent
from appliance.web.clients import UNKNOWN
from appliance.web.errors import NO_TOKEN, error_body
from appliance.web.guard import refuse_cross_site
from appliance.web.openapi import Whole, operation

WRONG = "Invalid Username or Password"
TOO_MANY = "Too many failed attempts, try again later"
AUTH_PATH = "/auth"
FORGET_SECONDS = 3600.0
BUSY_SECONDS = 1.0
_MOST_CREDENTIALS = 2000


class SignIn:
    """Answers `POST /auth`; checks so many passwords at a time that other requests get a turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._checking: list[str] = []

    def sign_in(
        self,
        environ: Mapping[str, Any],
        settings: Settings,
        accounts: AccountStore,
        event: AuditEvent,
        now: float,
    ) -> Answer:
        """Give a token for a username and password, or for a token."""
        refuse_cross_site(environ)
        credentials = credentials_of(environ)
        if credentials is None:
            return _token(_renewing(environ, settings, accounts), environ, settings, now)
        event.who = credentials[0]
        event.note("sign in")
        attempt = attempt_of(environ, credentials[0], settings, accounts, now)
        if wait := accounts.attempts_wait(attempt.waits, now, FORGET_SECONDS):
            return _slowed_down(wait)
        with self._turn(attempt, settings["web.threads"]) as has_turn:
            if not has_turn:
                return _slowed_down(BUSY_SECONDS)
            if wait := accounts.begin_attempts(attempt.waits, now, FORGET_SECONDS):
                return _slowed_down(wait)
            user = checked_user(accounts, *credentials, settings["accounts.password_cost"])
            event.principal = Principal(user.username, frozenset(user.roles), account=user.id)
            accounts.end_attempts(attempt.forgiven, attempt.uncounted)
        if attempt.client != UNKNOWN:
            accounts.remember_client(user.id, attempt.client, now)
        device = new_device(secret_or_new(secret_path(settings)), user.username)
        issued = cookie(DEVICE_COOKIE, device, environ, DEVICE_SECONDS, AUTH_PATH)
        return _token(user, environ, settings, now, issued)

    @contextmanager
    def _turn(self, attempt: Attempt, threads: int) -> Iterator[bool]:
        """Take a turn: half of the threads have one.

        Strangers leave one to those who are known, and take one each.
        """
        most = max(threads // 2, 1)
        with self._lock:
            has_turn = len(self._checking) < most
            if not attempt.is_known:
                is_first = attempt.client not in self._checking
                has_turn = is_first and len(self._checking) < max(most - 1, 1)
            if has_turn:
                self._checking.append(attempt.client)
        try:
            yield has_turn
        finally:
            if has_turn:
                with self._lock:
                    self._checking.remove(attempt.client)


def checked_user(accounts: AccountStore, username: str, password: str, cost: int) -> User:
    """Return the user whose password this is.

    Raises
    ------
    RequestError
        401: there is no such user, or it is not; both take the same time.
    """
    user = accounts.user_named(username)
    stored = user.password_hash if user is not None else nobodys_hash(cost)
    if not is_password(password, stored) or user is None:
        raise RequestError(401, WRONG)
    if cost_of(stored) != cost:
        # Else the time of an answer would tell older accounts from those that do not exist.
        accounts.replace_hash(user.id, stored, hashed(password, cost))
    return user


def sign_out(environ: Mapping[str, Any]) -> Answer:
    """Answer `GET /signout`: the browser forgets its token."""
    refuse_cross_site(environ)
    body = {"success": True, "message": "Signed out"}
    return Answer(body, cookies=(cookie(COOKIE, "", environ, 0),))


def credentials_of(environ: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return username and password of Basic authentication (RFC 7617), None when there is none.

    What cannot be read is a name that nobody has.
    """
    header = str(environ.get("HTTP_AUTHORIZATION", "")).strip()
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        octets = base64.b64decode(encoded.strip()[:_MOST_CREDENTIALS], validate=True)
        username, _, password = octets.decode().partition(":")
    except ValueError:
        return "", ""
    return username, password


def cookie(name: str, value: str, environ: Mapping[str, Any], max_age: int, path: str = "/") -> str:
    """Return the value of Set-Cookie."""
    secure = "; Secure" if environ.get("wsgi.url_scheme") == "https" else ""
    return f"{name}={value}; Max-Age={max_age}; Path={path}; HttpOnly; SameSite=Strict{secure}"


def routes() -> list[Route]:
    """Return the routes of signing in and out."""
    issued = Whole({"success": True, "message": "Token issued", "token": "JSONWebToken"})
    gone = Whole(success=True, message="Signed out")
    return [
        Route(
            "POST",
            AUTH_PATH,
            SignIn().sign_in,
            role=PUBLIC,
            schema=operation(
                "A token for a username and password (HTTP Basic), or for a valid token",
                issued,
                tag="Authentication",
            ),
        ),
        Route(
            "GET",
            "/signout",
            sign_out,
            role=PUBLIC,
            schema=operation("Forget the cookie", gone, tag="Authentication"),
            changes=True,
        ),
    ]


def _renewing(environ: Mapping[str, Any], settings: Settings, accounts: AccountStore) -> User:
    if token_of_request(environ) is None:
        raise RequestError(401, WRONG)
    principal = principal_of_request(environ, settings, lambda: accounts)
    user = accounts.user(principal.account) if principal and principal.account else None
    if user is None:
        raise RequestError(401, NO_TOKEN)
    return user


def _token(
    user: User, environ: Mapping[str, Any], settings: Settings, now: float, *cookies: str
) -> Answer:
    token = user_token(secret_or_new(secret_path(settings)), user, now)
    body = {"success": True, "message": "Token issued", "token": token}
    issued = cookie(COOKIE, token, environ, LIFETIME_SECONDS)
    return Answer(body, cookies=(issued, *cookies))


def _slowed_down(wait: float) -> Answer:
    headers = {"Retry-After": str(math.ceil(wait))}
    return Answer(error_body(TOO_MANY), 429, headers=headers)
