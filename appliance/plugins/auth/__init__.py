"""Signing in: `POST /auth`, tokens of people and of programs, and whom a request's token names.

`tokens` makes and reads tokens, `sign_in` gives them for passwords, which `password_checks` checks;
`attempts` slows guessing down, `session_routes` lists and ends sessions, `account_routes` tells who
one is and changes the password, `second_factor` turns TOTP on and off, `own_account` is what
routes of one's own account share, `api_tokens` are the long-lived tokens of programs, `commands` is
the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from appliance import AccountStore, Principal, Route, Setting, Settings, hookimpl
from appliance.plugins.auth.tokens import principal_of_request


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Add whose guesses do not count with strangers'."""
    from appliance.plugins.auth import attempts

    return attempts.register_settings()


@hookimpl
def register_commands() -> list[click.Command]:
    """Return `appliance token` and `appliance secret`."""
    from appliance.plugins.auth.commands import secret_group, token_group

    return [token_group, secret_group]


@hookimpl
def register_routes() -> list[Route]:
    """Return `/auth`, `/signout` and the routes of accounts, sessions and tokens."""
    from appliance.plugins.auth import (
        account_routes,
        api_tokens,
        second_factor,
        session_routes,
        sign_in,
    )
    from appliance.plugins.auth.password_checks import PasswordChecks

    checks = PasswordChecks()
    return [
        *sign_in.routes(checks),
        *account_routes.routes(checks),
        *second_factor.routes(checks),
        *session_routes.routes(),
        *api_tokens.routes(),
    ]


@hookimpl
def principal_from_request(
    environ: Mapping[str, Any], settings: Settings, accounts: Callable[[], AccountStore]
) -> Principal | None:
    """Return whom the token of a request names."""
    return principal_of_request(environ, settings, accounts)
