"""Accounts in SQLite or MySQL: users, roles, API tokens, failed sign-ins and the audit trail.

`accounts` is the whole; the tables are in the appliance database (`appliance.sql`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.hookspecs import hookimpl
from appliance.settings.file import Settings
from appliance.sql import is_sql_url

if TYPE_CHECKING:
    from appliance.contracts import AccountStore, BackupPart


@hookimpl
def account_store_from_url(url: str, settings: Settings) -> AccountStore | None:
    """Keep accounts at `sqlite:` and `mysql:` URLs."""
    from appliance.plugins.sql_accounts.accounts import SqlAccounts
    from appliance.sql.appliance_database import accounts_database

    if not is_sql_url(url):
        return None
    return SqlAccounts(accounts_database(url, settings["data_directory"]))


@hookimpl
def register_backups(settings: Settings) -> list[BackupPart]:
    """Save the appliance database."""
    from appliance.sql.copies import appliance_backups

    return appliance_backups(settings)
