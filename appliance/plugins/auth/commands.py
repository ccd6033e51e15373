"""`appliance token` and `appliance secret`."""

from __future__ import annotations

import secrets
import time

import click

from appliance import USER, AccountStore, ApplianceError, Settings
from appliance.accounts.commands import (
    OpenAccounts,
    accounts_of,
    act_recorded,
    pass_accounts,
    user_of_name,
)
from appliance.accounts.secret import check_was_started, rotate_secret, secret_or_new, secret_path
from appliance.cli.options import command_hint, conf_path_option, pass_settings
from appliance.contracts import ApiToken
from appliance.plugins.auth.api_tokens import (
    LONGEST_SECONDS,
    moment,
    store_token,
    token_name,
    token_of_user,
)
from appliance.plugins.auth.tokens import ROLES, role_token
from appliance.settings.raw_values import parse_duration

LONGEST_SIGNED_SECONDS = 86400
"""A signed token of a role is kept nowhere and cannot be ended alone, so it lives a day at most."""


def _lifetime(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    if value is None or value == "never":
        return None
    try:
        seconds = parse_duration(value)
    except ValueError:
        raise click.BadParameter(f"expected a duration such as 20m, found {value}") from None
    if not 1 <= seconds <= LONGEST_SECONDS:
        raise click.BadParameter(f"expected one second to ten years, found {value}")
    return seconds


@click.group("token")
def token_group() -> None:
    """Make, list and revoke tokens for the REST API."""


@token_group.command("create", params=[conf_path_option(hidden=True)])
@click.option("--role", type=click.Choice(ROLES), default=USER, show_default=True)
@click.option(
    "--lifetime",
    default="20m",
    show_default=True,
    callback=_lifetime,
    help="Such as 8h or 365d; never, for a token that only `appliance token revoke` ends.",
)
@click.option("--name", help="Keep the token in the database under this name, to be revoked.")
@click.option(
    "--user",
    "username",
    metavar="NAME",
    help="Whose it is: it ends with the user, and is bound to the user's filter.",
)
@pass_accounts
@pass_settings
def create(
    settings: Settings,
    open_accounts: OpenAccounts,
    role: str,
    lifetime: float | None,
    name: str | None,
    username: str | None,
) -> None:
    """Print a new token.

    It is sent as `x-apiauth: Bearer TOKEN`. Without name and user, for up to a day, it is signed
    and kept nowhere; `appliance secret rotate` voids every such token. All others are kept in the
    database: `appliance token list` shows them, `appliance token revoke` ends one.
    """
    now = time.time()
    check_was_started(settings)
    is_short = lifetime is not None and lifetime <= LONGEST_SIGNED_SECONDS
    if name is None and username is None and lifetime is not None and is_short:
        secret = secret_or_new(secret_path(settings))
        click.echo(role_token(secret, role, lifetime, now))
        return
    expires = None if lifetime is None else now + lifetime
    checked = token_name(name if name is not None else f"token-{secrets.token_hex(4)}")
    wanted = ApiToken(0, checked, role, now, expires)
    with accounts_of(open_accounts) as accounts, act_recorded(accounts, "token create") as note:
        note(f"token {checked} of role {role}")
        if username is not None:
            note(f"for user {username}")
            wanted = token_of_user(wanted, user_of_name(accounts, username))
        made, token = store_token(accounts, wanted)
    click.echo(token)
    hint = command_hint(f"token revoke {made.id}")
    click.echo(f"kept as {made.id}, {made.name}: {hint}", err=True)


@token_group.command("list", params=[conf_path_option(hidden=True)])
@pass_accounts
def list_(open_accounts: OpenAccounts) -> None:
    """List the tokens that are kept; none can be shown again."""
    with accounts_of(open_accounts) as accounts:
        for token in accounts.tokens():
            ends = "never ends" if token.expires is None else f"ends {moment(token.expires)}"
            click.echo(f"{token.id}  {token.name}  {token.role}  {ends}")


@token_group.command("revoke", params=[conf_path_option(hidden=True)])
@click.argument("token", metavar="ID|NAME")
@pass_accounts
def revoke(open_accounts: OpenAccounts, token: str) -> None:
    """End a token that is kept, at once."""
    with accounts_of(open_accounts) as accounts, act_recorded(accounts, "token revoke") as note:
        note(f"token {token}")
        ended = accounts.delete_token(_number(accounts, token))
    click.echo(f"{ended.name} is revoked")


@click.group("secret")
def secret_group() -> None:
    """Look after the secret that signs tokens."""


@secret_group.command("rotate", params=[conf_path_option(hidden=True)])
@pass_accounts
@pass_settings
def rotate(settings: Settings, open_accounts: OpenAccounts) -> None:
    """Make a new secret: everyone signs in again.

    Every signed token is void at once; tokens that are kept in the database stay.
    """
    check_was_started(settings)
    rotate_secret(secret_path(settings))
    click.echo("everyone signs in again")
    with accounts_of(open_accounts) as accounts, act_recorded(accounts, "secret rotate"):
        pass


def _number(accounts: AccountStore, text: str) -> int:
    """Return the identifier of a token by its number or name; a name goes first."""
    for token in accounts.tokens():
        if token.name == text:
            return token.id
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ApplianceError(f"no token is named {text}")
    return int(text)
