"""Tokens: found in a request, and looked up to the person or program that they name.

A token of `POST /auth` is a JSON Web Token (HS256) that names a user, the user's session and the
stamp of the password; whether that session goes on, and which roles the user has, is asked of the
accounts at each request. `appliance token create` also makes JSON Web Tokens that name a role
alone. An API token is random; the accounts hold its digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from appliance import ADMINISTRATOR, USER, AccountStore, Principal, Settings
from appliance.accounts.secret import read_secret, secret_path
from appliance.contracts import Session
from appliance.errors import StorageError
from appliance.web.session_tokens import (
    ALGORITHM,
    COOKIE,
    ISSUER,
    cookie_of_request,
    signed_token,
)

TOKEN_NAME = "appliance token"  # noqa: S105 - who a printed token says it is
ROLES = (USER, ADMINISTRATOR)
MAX_TOKEN_LETTERS = 4096
API_TOKEN_PREFIX = "nfa_"  # noqa: S105 - what an API token begins with
_API_TOKEN_OCTETS = 32
_USED_SECONDS = 60.0
_CLAIMS = ["exp", "iat", "nbf", "iss"]


def role_token(secret: bytes, role: str, lifetime_seconds: float, now: float) -> str:
    """Return a signed token of a role, which is nobody's."""
    return signed_token(secret, {"role": role}, lifetime_seconds, now)


def new_api_token() -> tuple[str, str]:
    """Return a new API token and the digest to keep of it."""
    token = API_TOKEN_PREFIX + secrets.token_urlsafe(_API_TOKEN_OCTETS)
    return token, digest_of(token)


def digest_of(token: str) -> str:
    """Return the digest of an API token; a plain hash, as nobody can guess 256 random bits."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def principal_of_request(
    environ: Mapping[str, Any], settings: Settings, accounts: Callable[[], AccountStore]
) -> Principal | None:
    """Return whom the token of a request names; one query of the accounts at most.

    Raises
    ------
    StorageError
        The accounts are away, and the token is one that needs them.
    """
    carried = token_of_request(environ)
    if carried is None:
        return None
    token, from_cookie = carried
    if token.startswith(API_TOKEN_PREFIX):
        return _program(token, accounts(), from_cookie)
    secret = read_secret(secret_path(settings))
    claims = claims_of(token, secret) if secret else None
    if claims is None:
        return None
    if "sub" in claims:
        return _person(claims, accounts, from_cookie)
    if claims.get("role") not in ROLES:
        return None
    return Principal(TOKEN_NAME, frozenset({claims["role"]}), from_cookie)


def claims_of(token: str, secret: bytes) -> Mapping[str, Any] | None:
    """Return what a signed token says; None when it is not ours, is over or not valid yet."""
    import jwt

    if len(token) > MAX_TOKEN_LETTERS:
        return None
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token, secret, algorithms=[ALGORITHM], issuer=ISSUER, options={"require": _CLAIMS}
        )
    # PyJWT lets errors of its helpers through for some malformed tokens.
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    return claims


def token_of_request(environ: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return the token that a request carries, and whether it came as a cookie."""
    for header in ("HTTP_X_APIAUTH", "HTTP_AUTHORIZATION"):
        scheme, _, token = str(environ.get(header, "")).strip().partition(" ")
        if scheme.lower() == "bearer":
            return token.strip(), False
    value = cookie_of_request(environ, COOKIE)
    return (value, True) if value is not None else None


def _person(
    claims: Mapping[str, Any], accounts: Callable[[], AccountStore], from_cookie: bool
) -> Principal | None:
    session_id, stamp = str(claims.get("sid", "")), str(claims.get("stamp", ""))
    is_readable = session_id.isascii() and session_id.isalnum()
    kept = accounts().session_with_user(session_id) if is_readable else None
    if kept is None:
        return None
    session, user = kept
    if str(user.id) != str(claims["sub"]) or not secrets.compare_digest(
        user.stamp.encode(), stamp.encode()
    ):
        return None
    _note_use(session, accounts)
    return Principal(
        user.username,
        frozenset(user.roles),
        from_cookie,
        user.id,
        session.id,
        user.must_change_password,
        user.filter,
    )


def _note_use(session: Session, accounts: Callable[[], AccountStore]) -> None:
    """Note that a session is used, once a minute: not every request shall write."""
    now = time.time()
    if now - session.used >= _USED_SECONDS:
        # Who only reads is answered from a database that cannot be written, too.
        with contextlib.suppress(StorageError):
            accounts().use_session(session.id, now)


def _program(token: str, accounts: AccountStore, from_cookie: bool) -> Principal | None:
    found = accounts.token_of(digest_of(token))
    if found is None or (found.expires is not None and found.expires <= time.time()):
        return None
    name, roles = f"token {found.name}", frozenset({found.role})
    return Principal(name, roles, from_cookie, filter=found.filter, owner=found.owner)
