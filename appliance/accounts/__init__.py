"""The way to the accounts that a plugin keeps (`appliance.contracts.accounts`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from appliance.contracts import AccountStore
from appliance.errors import StorageError

if TYPE_CHECKING:
    from appliance.app import App

ACCOUNTS_SETTING = "database"


def configured_accounts(app: App) -> Callable[[], AccountStore]:
    """Return what opens the accounts in the database that `database` names.

    The returned callable raises StorageError when no plugin knows its URL's scheme.
    """
    from appliance.guard import guarded
    from appliance.guard.methods import ACCOUNTS

    settings = app.settings

    def open_accounts() -> AccountStore:
        url = str(settings[ACCOUNTS_SETTING])
        entry = app.first_result(
            "account_store_from_url", "accounts", ACCOUNTS.check, url=url, settings=settings
        )
        if entry is None:
            raise StorageError("no plugin keeps accounts")
        guard = app.guard(entry.plugin, "accounts")
        return cast(AccountStore, guarded(guard, entry.value, ACCOUNTS))

    return open_accounts
