"""Tokens: signed with the instance's secret, printed by `appliance token create`.

A token is a JSON Web Token (HS256). The secret is a file that only its owner can read, made when
the first token is; deleting it voids every token. A request carries its token as `x-apiauth: Bearer
T`, `Authorization: Bearer T` or in the cookie `access_token`; the first of them that is there
counts.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

import click

from appliance.app import App
from appliance.cli.options import conf_path_option, pass_app
from appliance.contracts import ADMINISTRATOR, USER, Principal
from appliance.errors import StartupError
from appliance.hookspecs import hookimpl
from appliance.setting_types import parse_duration
from appliance.settings import Settings

SECRET_FILE = "secret"  # noqa: S105 - a file's name
SECRET_OCTETS = 32
ALGORITHM = "HS256"
AUDIENCE = "netflow-appliance"
COOKIE = "access_token"
TOKEN_NAME = "appliance token"  # noqa: S105 - who a printed token says it is
ROLES = (USER, ADMINISTRATOR)
MAX_TOKEN_LETTERS = 4096


def make_token(secret: bytes, name: str, role: str, lifetime_seconds: float, now: float) -> str:
    """Return a signed token.

    Parameters
    ----------
    now
        Seconds UTC.
    """
    import jwt

    claims = {
        "sub": name,
        "role": role,
        "aud": AUDIENCE,
        "iat": int(now),
        "exp": int(now + lifetime_seconds),
        "jti": secrets.token_hex(8),
    }
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def principal_of_token(token: str, secret: bytes, *, from_cookie: bool = False) -> Principal | None:
    """Return whom a token names; None when it is not ours, is over or says anything unexpected."""
    import jwt

    if len(token) > MAX_TOKEN_LETTERS:
        return None
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            options={"require": ["exp", "sub", "aud"]},
        )
    # PyJWT lets errors of its helpers through for some malformed tokens.
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    if claims.get("role") not in ROLES:
        return None
    return Principal(str(claims["sub"]), frozenset({claims["role"]}), from_cookie)


def token_of_request(environ: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return the token that a request carries, and whether it came as a cookie."""
    for header in ("HTTP_X_APIAUTH", "HTTP_AUTHORIZATION"):
        scheme, _, token = str(environ.get(header, "")).strip().partition(" ")
        if scheme.lower() == "bearer":
            return token.strip(), False
    try:
        cookie = SimpleCookie(str(environ.get("HTTP_COOKIE", ""))).get(COOKIE)
    except CookieError:
        return None
    return (cookie.value, True) if cookie is not None else None


def read_secret(path: Path) -> bytes | None:
    """Return the secret, None when there is none that can be used."""
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return secret if len(secret) >= SECRET_OCTETS else None


def secret_or_new(path: Path) -> bytes:
    """Return the secret; make it when there is none. Two who make it at once get the same.

    Raises
    ------
    StartupError
        The file is there but is no secret, or it cannot be written.
    """
    found = read_secret(path)
    if found is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path, secrets.token_bytes(SECRET_OCTETS))
    except OSError as error:
        raise StartupError(f"{path} cannot be written: {(error.strerror or '').lower()}") from error
    found = read_secret(path)
    if found is None:
        raise StartupError(f"{path} cannot be read as a secret: make it readable, or delete it")
    return found


def _create(path: Path, secret: bytes) -> None:
    """Write the file beside (0600) and link it into place, which fails where one is already."""
    descriptor, beside = tempfile.mkstemp(prefix=".secret-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret.hex())
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(beside)


def _lifetime(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError:
        raise click.BadParameter(f"expected a duration such as 20m, found {value}") from None
    if not 1 <= seconds <= 10 * 366 * 86400:
        raise click.BadParameter(f"expected one second to ten years, found {value}")
    return seconds


@click.group("token")
def token_group() -> None:
    """Make tokens for the REST API."""


@token_group.command("create", params=[conf_path_option(hidden=True)])
@click.option("--role", type=click.Choice(ROLES), default=USER, show_default=True)
@click.option("--lifetime", default="20m", show_default=True, callback=_lifetime)
@pass_app
def create(app: App, role: str, lifetime: float) -> None:
    """Print a new token.

    It is sent as `x-apiauth: Bearer TOKEN`. Deleting the file `secret` in the data directory voids
    every token.
    """
    secret = secret_or_new(app.settings["data_directory"] / SECRET_FILE)
    click.echo(make_token(secret, TOKEN_NAME, role, lifetime, time.time()))


@hookimpl
def register_commands() -> list[click.Command]:
    """Return `appliance token`."""
    return [token_group]


@hookimpl
def principal_from_request(environ: Mapping[str, Any], settings: Settings) -> Principal | None:
    """Return whom the token of a request names."""
    carried = token_of_request(environ)
    if carried is None:
        return None
    secret = read_secret(settings["data_directory"] / SECRET_FILE)
    return principal_of_token(carried[0], secret, from_cookie=carried[1]) if secret else None
