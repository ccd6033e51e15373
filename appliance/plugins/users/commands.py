"""`appliance user`: accounts from the command line, with or without a running web server."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import click

from appliance import ApplianceError, FlowStore, Settings
from appliance.accounts.commands import (
    OpenAccounts,
    accounts_of,
    act_recorded,
    pass_accounts,
    user_of_name,
)
from appliance.accounts.filters import check_account_filter
from appliance.accounts.rules import RULES, problems_of
from appliance.cli.options import conf_path_option, pass_part, pass_settings
from appliance.contracts import UserChange
from appliance.plugins.users.users import values_to_store

_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, one line."
)


@dataclass(frozen=True, slots=True)
class FilterCheck:
    """What says whether accounts can be bound to a filter."""

    settings: Settings
    open_store: Callable[[], FlowStore]

    def checked(self, text: str) -> str:
        """Return a filter as it is kept.

        Raises
        ------
        QueryError
            It is not understood, or leaves nothing out.
        """
        return check_account_filter(text, self.settings, self.open_store)


_pass_check = pass_part(lambda app: FilterCheck(app.settings, app.open_store))


@click.group("user")
def user_group() -> None:
    """Add, list, change and delete accounts."""


@user_group.command("add", params=[conf_path_option(hidden=True)])
@click.argument("username")
@click.option("--role", "roles", multiple=True, help="A role to give; may be repeated.")
@click.option("--firstname")
@click.option("--lastname")
@click.option("--email")
@click.option(
    "--filter",
    "bound_to",
    default="",
    metavar="FILTER",
    help="Show the user nothing but flows that satisfy this; see `appliance user filter`.",
)
@_password_option
@pass_accounts
@_pass_check
def add(
    check: FilterCheck,
    open_accounts: OpenAccounts,
    /,
    username: str,
    roles: tuple[str, ...],
    bound_to: str,
    password_stdin: bool,
    **names: str | None,
) -> None:
    """Add a user; asks for the password."""
    given = {name: value for name, value in names.items() if value}
    _refuse(problems_of({"username": username, **given}))
    kept = check.checked(bound_to) if bound_to else None
    values = {"username": username, **given, "password": _password(password_stdin)}
    change = UserChange(values_to_store(values, check.settings), roles, filter=kept)
    with accounts_of(open_accounts) as accounts, act_recorded(accounts, "user add") as note:
        note(f"{username}, roles {', '.join(roles) or 'none'}")
        if kept:
            note(f"bound to {kept}")
        number = accounts.create_user(change, time.time())
    click.echo(f"user {number}, {username}, is made")


@user_group.command("list", params=[conf_path_option(hidden=True)])
@pass_accounts
def list_(open_accounts: OpenAccounts) -> None:
    """List all users with their roles."""
    with accounts_of(open_accounts) as accounts:
        for user in accounts.users():
            names = " ".join(filter(None, (user.firstname, user.lastname, user.email)))
            roles = ", ".join(user.roles) or "no role"
            bound = "" if user.filter is None else f"bound to: {user.filter}"
            facts = (str(user.id), user.username, roles, names, bound)
            click.echo("  ".join(fact for fact in facts if fact))


@user_group.command("passwd", params=[conf_path_option(hidden=True)])
@click.argument("username")
@_password_option
@pass_accounts
@pass_settings
def passwd(
    settings: Settings, open_accounts: OpenAccounts, username: str, password_stdin: bool
) -> None:
    """Change a password; every token of the user ends at once."""
    with accounts_of(open_accounts) as accounts:
        user = user_of_name(accounts, username)
        change = UserChange(values_to_store({"password": _password(password_stdin)}, settings))
        with act_recorded(accounts, "user passwd") as note:
            note(username)
            accounts.change_user(user.id, change, time.time())
    click.echo(f"the password of {username} is changed")


@user_group.command("disable-totp", params=[conf_path_option(hidden=True)])
@click.argument("username")
@pass_accounts
def disable_totp(open_accounts: OpenAccounts, username: str) -> None:
    """Turn the second factor of a user off, whose device is lost."""
    with accounts_of(open_accounts) as accounts:
        user = user_of_name(accounts, username)
        with act_recorded(accounts, "user disable-totp") as note:
            note(username)
            if not accounts.disable_totp(user.id):
                raise ApplianceError(f"{username} has no second factor")
    click.echo(f"{username} signs in with the password alone")


@user_group.command("role", params=[conf_path_option(hidden=True)])
@click.argument("username")
@click.option("--add", "added", multiple=True, metavar="ROLE", help="A role to give.")
@click.option("--delete", "deleted", multiple=True, metavar="ROLE", help="A role to take away.")
@pass_accounts
def role(
    open_accounts: OpenAccounts, username: str, added: tuple[str, ...], deleted: tuple[str, ...]
) -> None:
    """Give roles to a user, or take them away; prints those that the user has then."""
    with accounts_of(open_accounts) as accounts:
        user = user_of_name(accounts, username)
        if added or deleted:
            with act_recorded(accounts, "user role") as note:
                note(", ".join([username, *(f"+{r}" for r in added), *(f"-{r}" for r in deleted)]))
                accounts.change_user(user.id, UserChange({}, added, deleted), time.time())
        click.echo(", ".join(user_of_name(accounts, username).roles) or "no role")


@user_group.command("filter", params=[conf_path_option(hidden=True)])
@click.argument("username")
@click.argument("bound_to", metavar="[FILTER]", required=False)
@click.option("--remove", is_flag=True, help="Let the user see everything again.")
@pass_accounts
@_pass_check
def filter_(
    check: FilterCheck,
    open_accounts: OpenAccounts,
    username: str,
    bound_to: str | None,
    remove: bool,
) -> None:
    """Bind a user to a filter, or print the one that the user is bound to.

    FILTER is in the language of `appliance flows`, such as "ip in [192.0.2.0/24, 2001:db8::/48]" or
    "exporter 192.0.2.1 and if in [3, 7]". From the next request on the user, sessions and tokens
    are shown nothing but flows that satisfy it. Administrators cannot be bound.
    """
    if remove and bound_to is not None:
        raise ApplianceError("expected either a filter or --remove, not both")
    kept = check.checked(bound_to) if bound_to is not None else "" if remove else None
    with accounts_of(open_accounts) as accounts:
        user = user_of_name(accounts, username)
        if kept is not None:
            with act_recorded(accounts, "user filter") as note:
                note(f"{username}, bound to {kept or 'no filter'}")
                accounts.change_user(user.id, UserChange({}, filter=kept), time.time())
        click.echo(user_of_name(accounts, username).filter or "bound to no filter")


@user_group.command("delete", params=[conf_path_option(hidden=True)])
@click.argument("username")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@pass_accounts
def delete(open_accounts: OpenAccounts, username: str, yes: bool) -> None:
    """Delete a user with roles and tokens."""
    with accounts_of(open_accounts) as accounts:
        user = user_of_name(accounts, username)
        if not yes:
            click.confirm(f"Delete {username}?", abort=True)
        with act_recorded(accounts, "user delete") as note:
            note(username)
            accounts.delete_user(user.id)
    click.echo(f"{username} is deleted")


def _password(from_stdin: bool) -> str:
    """Ask for a password without showing it, twice; or read it."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif not sys.stdin.isatty():
        raise ApplianceError("no terminal to ask for the password, expected --password-stdin")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    _refuse(RULES["password"](password))
    return password


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ApplianceError("; ".join(problems))
