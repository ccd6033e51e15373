"""Sessions begun and renewed: the token of a sign-in, and its cookie.

For every plugin that signs people in; who a token names is looked up by the plugin `auth`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from appliance.accounts.secret import secret_or_new, secret_path
from appliance.contracts import AccountStore, Answer, Principal, Session, User
from appliance.settings.file import Settings
from appliance.web.audit import printable

ALGORITHM = "HS256"
ISSUER = "netflow-appliance"
COOKIE = "access_token"
LIFETIME_SECONDS = 1200
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


def cookie(
    name: str,
    value: str,
    environ: Mapping[str, Any],
    max_age: int,
    path: str = "/",
    same_site: str = "Strict",
) -> str:
    """Return the value of Set-Cookie."""
    secure = "; Secure" if environ.get("wsgi.url_scheme") == "https" else ""
    return f"{name}={value}; Max-Age={max_age}; Path={path}; HttpOnly; SameSite={same_site}{secure}"


def cookie_of_request(environ: Mapping[str, Any], name: str) -> str | None:
    """Return the value of a cookie, None when there is none of that name."""
    try:
        cookie = SimpleCookie(str(environ.get("HTTP_COOKIE", ""))).get(name)
    except CookieError:
        return None
    return cookie.value if cookie is not None else None


def user_token(secret: bytes, user: User, session_id: str, now: float) -> str:
    """Return a signed token of a user, for twenty minutes from `now`, seconds UTC."""
    claims = {"sub": str(user.id), "name": user.username, "stamp": user.stamp, "sid": session_id}
    return signed_token(secret, claims, LIFETIME_SECONDS, now)


def signed_token(
    secret: bytes, claims: Mapping[str, str], lifetime_seconds: float, now: float
) -> str:
    """Return a JSON Web Token that says some claims, for a time from `now`."""
    import jwt

    times = {"iat": int(now), "nbf": int(now), "exp": int(now + lifetime_seconds)}
    whole = {**claims, **times, "iss": ISSUER, "jti": secrets.token_hex(8)}
    return jwt.encode(whole, secret, algorithm=ALGORITHM)
