"""`POST /auth` and `GET /signout`.

Guessing passwords is slowed down by account and by client address, from failures that the accounts
keep, so a restart forgives nothing. An attempt counts before its password is checked: many at once
gain nothing. An unknown user costs the same time and the same counting as a wrong password.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from appliance.accounts import AccountStore, User
from appliance.accounts.passwords import cost_of, hashed, is_password, nobodys_hash
from appliance.accounts.secret import secret_or_new, secret_path
from appliance.contracts import PUBLIC, Answer, Route
from appliance.errors import RequestError
from appliance.plugins.auth.tokens import (
    COOKIE,
    LIFETIME_SECONDS,
    principal_of_request,
    token_of_request,
    user_token,
)
from appliance.settings import Settings
from appliance.web.audit import Act
from appliance.web.errors import NO_TOKEN, error_body
from appliance.web.guard import refuse_cross_site
from appliance.web.openapi import Whole, operation

WRONG = "Invalid Username or Password"
TOO_MANY = "Too many failed attempts, try again later"
FORGET_SECONDS = 3600.0
ACCOUNT_FREE, ACCOUNT_MOST_SECONDS = 5, 60.0
ADDRESS_FREE, ADDRESS_MOST_SECONDS = 20, 900.0
"""So many failures cost nothing; then the wait doubles with each, up to the most. An account's most
is short: who attacks it from elsewhere must not be able to lock its owner out for long."""

BUSY_SECONDS = 1.0
_MOST_CREDENTIALS = 2000
_IPV6_PREFIX = 64


class SignIn:
    """Answers `POST /auth`; checks so many passwords at a time that other requests get a turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._checking = 0

    def sign_in(
        self,
        environ: Mapping[str, Any],
        settings: Settings,
        accounts: AccountStore,
        act: Act,
        now: float,
    ) -> Answer:
        """Give a token for a username and password, or for a token."""
        refuse_cross_site(environ)
        credentials = credentials_of(environ)
        if credentials is None:
            user = _renewing(environ, settings, accounts)
            return _token(user, environ, settings, now)
        act.who = credentials[0]
        act.note("sign in")
        with self._turn(max(settings["web.threads"] // 2, 1)) as has_turn:
            if not has_turn:
                return _slowed_down(BUSY_SECONDS)
            names = attempt_names(credentials[0], str(environ.get("REMOTE_ADDR", "")))
            waits = dict(zip(names, (account_wait, address_wait), strict=True))
            if wait := accounts.begin_attempts(waits, now, FORGET_SECONDS):
                return _slowed_down(wait)
            user = checked_user(accounts, *credentials, settings["accounts.password_cost"])
            accounts.end_attempts([names[0]], [names[1]])
        return _token(user, environ, settings, now)

    @contextmanager
    def _turn(self, most: int) -> Iterator[bool]:
        with self._lock:
            has_turn = self._checking < most
            self._checking += has_turn
        try:
            yield has_turn
        finally:
            with self._lock:
                self._checking -= has_turn


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
    return Answer(body, headers={"Set-Cookie": cookie("", environ, 0)})


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


def attempt_names(username: str, address: str) -> tuple[str, str]:
    """Return under which names an attempt counts: its account's and its client's.

    Clients of IPv6 count by network, as each has one of its own to choose addresses from.
    """
    account = hashlib.sha256(username.encode(errors="surrogatepass")).hexdigest()
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return f"account:{account}", "address:unknown"
    if isinstance(client, ipaddress.IPv6Address):
        network = ipaddress.ip_network((client, _IPV6_PREFIX), strict=False)
        client = client.ipv4_mapped or network.network_address
    return f"account:{account}", f"address:{client}"


def account_wait(failures: int) -> float:
    """Return how many seconds an account must wait after so many failures."""
    return _wait(failures, ACCOUNT_FREE, ACCOUNT_MOST_SECONDS)


def address_wait(failures: int) -> float:
    """Return how many seconds a client must wait after so many failures."""
    return _wait(failures, ADDRESS_FREE, ADDRESS_MOST_SECONDS)


def cookie(token: str, environ: Mapping[str, Any], max_age: int) -> str:
    """Return the value of Set-Cookie."""
    secure = "; Secure" if environ.get("wsgi.url_scheme") == "https" else ""
    return f"{COOKIE}={token}; Max-Age={max_age}; Path=/; HttpOnly; SameSite=Strict{secure}"


def routes() -> list[Route]:
    """Return the routes of signing in and out."""
    issued = Whole({"success": True, "message": "Token issued", "token": "JSONWebToken"})
    gone = Whole(success=True, message="Signed out")
    return [
        Route(
            "POST",
            "/auth",
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


def _token(user: User, environ: Mapping[str, Any], settings: Settings, now: float) -> Answer:
    token = user_token(secret_or_new(secret_path(settings)), user, now)
    body = {"success": True, "message": "Token issued", "token": token}
    return Answer(body, headers={"Set-Cookie": cookie(token, environ, LIFETIME_SECONDS)})


def _wait(failures: int, free: int, most_seconds: float) -> float:
    if failures <= free:
        return 0.0
    return min(2.0 ** min(failures - free - 1, 30), most_seconds)


def _slowed_down(wait: float) -> Answer:
    headers = {"Retry-After": str(math.ceil(wait))}
    return Answer(error_body(TOO_MANY), 429, headers=headers)
