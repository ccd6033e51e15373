"""Sessions begun and renewed: the token of a sign-in, and its cookie."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from appliance import AccountStore, Answer, Principal, Settings
from appliance.accounts.secret import secret_or_new, secret_path
from appliance.contracts import Session, User
from appliance.plugins.auth.tokens import COOKIE, LIFETIME_SECONDS, user_token
from appliance.web.audit import printable

_ID_OCTETS = 16


def new_session_token(
    environ: Mapping[str, Any], user: User, settings: Settings, accounts: AccountStore, now: float
) -> str:
    """Begin a session of a user; return its first token."""
    session = Session(
        secrets.token_hex(_ID_OCTETS),
        user.id,
        created=now,
        used=now,
        expires=now + LIFETIME_SECONDS,
        address=str(environ.get("REMOTE_ADDR", "")),
        user_agent=printable(str(environ.get("HTTP_USER_AGENT", ""))),
    )
    accounts.create_session(session)
    return user_token(secret_or_new(secret_path(settings)), user, session.id, now)


def renewed_token(
    principal: Principal, settings: Settings, accounts: AccountStore, now: float
) -> str | None:
    """Return another token of a session that goes on; None when there is none."""
    user = accounts.user(principal.account) if principal.account is not None else None
    if user is None or principal.session is None:
        return None
    if not accounts.use_session(principal.session, now, now + LIFETIME_SECONDS):
        return None
    return user_token(secret_or_new(secret_path(settings)), user, principal.session, now)


def answer_with_token(
    token: str, environ: Mapping[str, Any], message: str, *cookies: str
) -> Answer:
    """Answer with a token, as JSON and as the cookie."""
    body = {"success": True, "message": message, "token": token}
    return Answer(body, cookies=(access_cookie(token, environ), *cookies))


def access_cookie(token: str, environ: Mapping[str, Any]) -> str:
    """Return the value of Set-Cookie that keeps a token in a browser."""
    return cookie(COOKIE, token, environ, LIFETIME_SECONDS)


def cookie(name: str, value: str, environ: Mapping[str, Any], max_age: int, path: str = "/") -> str:
    """Return the value of Set-Cookie."""
    secure = "; Secure" if environ.get("wsgi.url_scheme") == "https" else ""
    return f"{name}={value}; Max-Age={max_age}; Path={path}; HttpOnly; SameSite=Strict{secure}"
