"""What the commands about accounts share: the store, and a record of what was done."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate

from appliance.cli.options import P, R, pass_part
from appliance.contracts import AccountStore, AuditEntry, User
from appliance.errors import ApplianceError

OpenAccounts = Callable[[], AccountStore]

_DONE, _REFUSED = 200, 400


def pass_accounts(command: Callable[Concatenate[OpenAccounts, P], R]) -> Callable[P, R]:
    """Give a command function what opens the accounts as its first argument."""
    return pass_part(lambda app: app.open_accounts)(command)


@contextmanager
def accounts_of(open_accounts: OpenAccounts) -> Iterator[AccountStore]:
    """Open the accounts for one command.

    Raises
    ------
    StorageError
        The database is away, or no plugin keeps accounts.
    """
    store = open_accounts()
    try:
        yield store
    finally:
        store.close()


def user_of_name(accounts: AccountStore, username: str) -> User:
    """Return the user of a name.

    Raises
    ------
    ApplianceError
        There is none.
    """
    user = accounts.user_named(username)
    if user is None:
        raise ApplianceError(f"no user is named {username}")
    return user


@contextmanager
def act_recorded(accounts: AccountStore, command: str) -> Iterator[Callable[[str], None]]:
    """Record a command in the audit trail: before it does something, and how it ended.

    Yields
    ------
    callable
        Adds to what the entry says; no secrets.
    """
    details: list[str] = []
    entry = AuditEntry(time.time(), _caller(), "", f"appliance {command}")
    audit_id = accounts.record(entry)
    try:
        yield details.append
    except ApplianceError:
        accounts.complete(audit_id, _REFUSED, ", ".join(details))
        raise
    accounts.complete(audit_id, _DONE, ", ".join(details))


def _caller() -> str:
    try:
        return f"command line ({getpass.getuser()})"
    # A user without an entry in the user database has no name.
    except (OSError, KeyError):
        return "command line"
