"""`POST /auth` and `GET /signout`; passwords are checked by `password_checks`."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from appliance import PUBLIC, AccountStore, Answer, Principal, RequestError, Route, Settings
from appliance.accounts.secret import secret_or_new, secret_path
from appliance.errors import StorageError
from appliance.plugins.auth.attempts import (
    DEVICE_COOKIE,
    DEVICE_SECONDS,
    new_device,
)
from appliance.plugins.auth.password_checks import (
    WRONG,
    PasswordChecks,
    check_code,
    check_password,
)
from appliance.plugins.auth.tokens import principal_of_request, token_of_request
from appliance.web.audit import AuditEvent
from appliance.web.bodies import Body
from appliance.web.clients import UNKNOWN
from appliance.web.errors import NO_TOKEN
from appliance.web.guard import refuse_cross_site
from appliance.web.openapi import Whole, operation
from appliance.web.session_tokens import (
    COOKIE,
    answer_with_token,
    cookie,
    new_session_token,
    renewed_token,
)

AUTH_PATH = "/auth"
ISSUED = "Token issued"
_MOST_CREDENTIALS = 2000


class SignIn:
    """Answers `POST /auth`."""

    def __init__(self, checks: PasswordChecks) -> None:
        self._checks = checks

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
            token = _renew_token(environ, settings, accounts, now)
            return answer_with_token(token, environ, ISSUED)
        event.who = credentials[0]
        event.note("sign in")
        with self._checks.attempt(environ, credentials[0], accounts, settings, now) as attempt:
            user = check_password(accounts, *credentials, settings["accounts.password_cost"])
            check_code(accounts, user, lambda: _code(environ, settings, event), now)
            event.principal = Principal(user.username, frozenset(user.roles), account=user.id)
        if attempt.client != UNKNOWN:
            accounts.remember_client(user.id, attempt.client, now)
        device = new_device(secret_or_new(secret_path(settings)), user.username)
        issued = cookie(DEVICE_COOKIE, device, environ, DEVICE_SECONDS, AUTH_PATH)
        token = new_session_token(environ, user, settings, accounts, now)
        return answer_with_token(token, environ, ISSUED, issued)


def sign_out(
    environ: Mapping[str, Any], settings: Settings, open_accounts: Callable[[], AccountStore]
) -> Answer:
    """Answer `GET /signout`: the session of the token ends, and the browser forgets the token."""
    refuse_cross_site(environ)
    # Nobody is kept signed in at this browser because the database is away.
    with contextlib.suppress(StorageError):
        principal = principal_of_request(environ, settings, open_accounts)
        if principal is not None and principal.account is not None and principal.session:
            open_accounts().end_session(principal.account, principal.session)
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


def routes(checks: PasswordChecks) -> list[Route]:
    """Return the routes of signing in and out."""
    issued = Whole({"success": True, "message": ISSUED, "token": "JSONWebToken"})
    gone = Whole(success=True, message="Signed out")
    return [
        Route(
            "POST",
            AUTH_PATH,
            SignIn(checks).sign_in,
            role=PUBLIC,
            schema=operation(
                "A token for a username and password (HTTP Basic), or for a valid token; `totp` is"
                " a code of the second factor or a recovery code, where the user has one",
                issued,
                body={"totp": "123456"},
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


def _renew_token(
    environ: Mapping[str, Any], settings: Settings, accounts: AccountStore, now: float
) -> str:
    if token_of_request(environ) is None:
        raise RequestError(401, WRONG)
    principal = principal_of_request(environ, settings, lambda: accounts)
    token = renewed_token(principal, settings, accounts, now) if principal else None
    if token is None:
        raise RequestError(401, NO_TOKEN)
    return token


def _code(environ: Mapping[str, Any], settings: Settings, event: AuditEvent) -> str:
    """Return the code of a body; only asked for where one is needed, as others send any body."""
    body = Body(environ, settings["web.max_body_octets"], event.note_values)
    return body.single(("totp",)).get("totp", "")
